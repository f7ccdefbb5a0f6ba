// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { isFromTheFuture } from '../../src/trust/signingTime.ts';
import { NOW } from './pki.ts';

const after = (ms: number): Date => new Date(NOW.getTime() + ms);

it('a time is from the future when it is more than five minutes ahead of our clock', () => {
  expect([after(-1), after(0), after(300_000)].map((at) => isFromTheFuture(at, NOW))).toEqual([false, false, false]);
  expect([after(300_001), after(86_400_000)].map((at) => isFromTheFuture(at, NOW))).toEqual([true, true]);
});

it('a time that is none is never taken for past', () => {
  expect(isFromTheFuture(new Date(Number.NaN), NOW)).toBe(true);
});
