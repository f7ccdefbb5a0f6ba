// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { backoffMs, isRetryable } from '../../src/transfer/backoff.ts';

test('pauses grow with every attempt, with jitter, up to a bound', () => {
  expect([1, 2, 3, 4].map((attempt) => backoffMs(attempt, 0, 0))).toEqual([125, 125, 125, 125]);
  expect([1, 2, 3, 4].map((attempt) => backoffMs(attempt, 0, 1))).toEqual([375, 625, 1125, 2125]);
  expect(backoffMs(50, 0, 1)).toBe(20_125);
});

test('a pause is never shorter than Retry-After', () => {
  expect(backoffMs(1, 30_000, 0)).toBe(30_000);
});

test('only errors that say so are retried', () => {
  expect(isRetryable(new AppError('SOURCE_UNAVAILABLE', '', { context: { retry: 'again' } }))).toBe(true);
  expect(isRetryable(new AppError('SOURCE_DENIED', '', { context: { retry: 'relocate' } }))).toBe(true);
  expect(isRetryable(new AppError('SOURCE_UNAVAILABLE', '', { context: { retry: 'no' } }))).toBe(false);
  expect(isRetryable(new AppError('SOURCE_UNAVAILABLE', ''))).toBe(false);
  expect(isRetryable(new Error('again'))).toBe(false);
});
