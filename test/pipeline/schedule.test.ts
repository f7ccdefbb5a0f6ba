// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { type Changes, type Clock, runRounds } from '../../src/pipeline/rounds.ts';
import { begin, concluded, dueMs, isOver, isVerified, next, type Standing, stateOf, type Trigger } from '../../src/pipeline/schedule.ts';

const RHYTHM = { intervalMs: 600_000, graceMs: 300_000 };
const WRONG = new AppError('DIGEST_MISMATCH', 'wrong');
const TROUBLE = new AppError('IO', 'trouble');

/** A success that took a minute and ended at 60,000. */
const VERIFIED = concluded(begin(0), 0, 60_000, undefined);

describe('what checks amount to', () => {
  test('a success counts for the interval, twice the longest check, and the grace; not a moment longer', () => {
    expect(dueMs(VERIFIED, RHYTHM)).toBe(60_000 + 600_000 + 120_000 + 300_000);
    expect(stateOf(VERIFIED, RHYTHM, 1_080_000)).toBe('verified');
    expect(stateOf(VERIFIED, RHYTHM, 1_080_001)).toBe('stale');
  });

  test('trouble leaves the last success its time, and no more of it', () => {
    const troubled = concluded(VERIFIED, 660_000, 661_000, TROUBLE);
    expect(stateOf(troubled, RHYTHM, 661_000)).toBe('unsettled');
    expect(stateOf(troubled, RHYTHM, 1_080_001)).toBe('stale');
    expect(isOver(troubled, RHYTHM, 1_080_000, 1)).toBe(false);
    expect(isOver(troubled, RHYTHM, 1_080_001, 5)).toBe(true);
  });

  test.each(['DIGEST_MISMATCH', 'UNSIGNED', 'ANCHORS_INVALID', 'POLICY_INVALID', 'MODEL_NOT_FOUND', 'INTERNAL'] as const)(
    '%s ends it at once, and trouble behind it does not bring it back',
    (code) => {
      const refused = concluded(VERIFIED, 660_000, 661_000, new AppError(code, 'no'));
      expect(stateOf(refused, RHYTHM, 661_000)).toBe('refused');
      expect(stateOf(concluded(refused, 662_000, 663_000, TROUBLE), RHYTHM, 663_000)).toBe('refused');
      expect(isVerified(stateOf(concluded(refused, 662_000, 663_000, undefined), RHYTHM, 663_000))).toBe(true);
    },
  );

  test('trouble is tried again soon, and ever later; a refusal by the clock', () => {
    let standing = VERIFIED;
    const pauses = Array.from({ length: 6 }, () => {
      standing = concluded(standing, standing.endedMs, standing.endedMs, TROUBLE);
      return next(standing, RHYTHM).atMs - standing.endedMs;
    });
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    expect(next(concluded(VERIFIED, 0, 0, WRONG), RHYTHM)).toEqual({ atMs: 600_000, trigger: 'interval' });
  });

  test('before the first success nothing is verified, and trouble is waited for as long as the grace', () => {
    const troubled = concluded(begin(0), 0, 1, TROUBLE);
    expect(isVerified(stateOf(troubled, RHYTHM, 1))).toBe(false);
    expect(isOver(troubled, RHYTHM, 300_000, 1)).toBe(false);
    expect(isOver(troubled, RHYTHM, 300_001, 1)).toBe(true);
  });
});

describe('rounds', () => {
  /** A clock that jumps to the next moment anybody waits for, once nothing else is to be done. */
  function fakeClock(): Clock & { readonly time: number } {
    let time = 0;
    const waiting = new Set<{ readonly atMs: number; wake(): void }>();
    const jump = (): void => {
      const [first] = [...waiting].sort((x, y) => x.atMs - y.atMs);
      if (first === undefined) return;
      waiting.delete(first);
      time = Math.max(time, first.atMs);
      first.wake();
      setImmediate(jump);
    };
    return {
      get time() {
        return time;
      },
      now: () => time,
      sleep(ms, signal) {
        return new Promise((wake, failed) => {
          if (signal.aborted) return failed(signal.reason);
          const sleeper = { atMs: time + ms, wake };
          if (waiting.size === 0) setImmediate(jump);
          waiting.add(sleeper);
          signal.addEventListener('abort', () => {
            waiting.delete(sleeper);
            failed(signal.reason);
          });
        });
      },
    };
  }

  const quiet: Changes = {
    mark: async () => {},
    noticed: (signal) => new Promise((_, failed) => signal.addEventListener('abort', () => failed(signal.reason))),
  };

  async function run(outcomes: readonly (AppError | undefined)[], changes: Changes = quiet, failures?: number) {
    const stop = new AbortController();
    const clock = fakeClock();
    const checks: [Trigger, number][] = [];
    const standings: Standing[] = [];
    const ended = runRounds(RHYTHM, {
      async check(trigger) {
        checks.push([trigger, clock.time]);
        const outcome = outcomes[checks.length - 1];
        if (checks.length > outcomes.length) stop.abort(new AppError('CANCELLED', 'enough'));
        if (outcome !== undefined) throw outcome;
      },
      told: async (standing) => void standings.push(standing),
      changes,
      clock,
      signal: stop.signal,
      ...(failures !== undefined && { failures }),
    });
    const result = await ended.catch((error: unknown) => error);
    return { checks, standings, result };
  }

  test('follow the clock, and end with the signal', async () => {
    const { checks, result } = await run([undefined, undefined]);
    expect(checks).toEqual([
      ['start', 0],
      ['interval', 600_000],
      ['interval', 1_200_000],
    ]);
    expect(result).toMatchObject({ code: 'CANCELLED' });
  });

  test('follow a change after it had two seconds to be whole', async () => {
    const { checks } = await run([undefined], { mark: async () => {}, noticed: async () => {} });
    expect(checks).toEqual([
      ['start', 0],
      ['change', 2_000],
    ]);
  });

  test('give up after as many refusals in a row as were asked for', async () => {
    const { checks, result } = await run([undefined, WRONG, WRONG], quiet, 2);
    expect(checks).toHaveLength(3);
    expect(result).toMatchObject({ refusal: WRONG, failures: 2 });
  });
});
