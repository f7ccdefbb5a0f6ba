// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';

const BASE_MS = 250;
const MAX_MS = 20_000;

/** Whether the same request may give another answer. */
export function isRetryable(error: unknown): boolean {
  return error instanceof AppError && (error.context.retry === 'again' || error.context.retry === 'relocate');
}

/** Full jitter over an exponential; never shorter than what the server asked for (Retry-After). */
export function backoffMs(attempt: number, retryAfterMs = 0, random = Math.random()): number {
  return Math.max(retryAfterMs, Math.round(random * Math.min(MAX_MS, BASE_MS * 2 ** (attempt - 1)) + BASE_MS / 2));
}
