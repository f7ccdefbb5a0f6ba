// SPDX-License-Identifier: Apache-2.0

/** How far ahead of our clock the clock of an honest log or timestamp authority may be. */
const CLOCK_SKEW_MS = 5 * 60 * 1000;

/** Whether a vouched-for time is later than any honest clock shows now. */
export function isFromTheFuture(at: Date, now: Date): boolean {
  return !(at.getTime() <= now.getTime() + CLOCK_SKEW_MS);
}
