// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';

/** Holds reads back to so many bytes a second, over all files together: each stretch books its time behind those before it. */
export function createPace(bytesPerSecond: number, signal: AbortSignal): (bytes: number) => Promise<void> {
  let bookedUntilMs = 0;
  return async (bytes) => {
    const now = performance.now();
    bookedUntilMs = Math.max(now, bookedUntilMs) + (1000 * bytes) / bytesPerSecond;
    const waitMs = bookedUntilMs - now;
    // Timers are no more exact than that.
    if (waitMs >= 10) await sleep(waitMs, undefined, { signal });
  };
}
