// SPDX-License-Identifier: Apache-2.0
import { type AppError, asAppError } from '../base/errors.ts';
import { begin, concluded, dueMs, isOver, isVerified, next, type Rhythm, type Standing, stateOf, type Trigger } from './schedule.ts';

export type Clock = {
  /** Milliseconds; only goes forward. */
  now(): number;
  /** @throws when aborted */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
};

/** Notices that something is not as it was. */
export type Changes = {
  /** What is there now is known from here on. */
  mark(): Promise<void>;
  /** Returns when something has changed since the mark. @throws when aborted */
  noticed(signal: AbortSignal): Promise<void>;
};

export type RoundDeps = {
  /** One check. @throws what it found */
  check(trigger: Trigger): Promise<void>;
  /** Called with every new standing, and when a success has counted long enough. */
  told(standing: Standing): Promise<void>;
  readonly changes: Changes;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Present: end after so many refusals in a row. */
  readonly failures?: number;
};

/** A change is looked at once it has had this long to be whole. */
const SETTLE_MS = 2_000;

/** Checks, waits for the clock or a change, and checks again. Returns when it gives up. @throws when aborted */
export async function runRounds(rhythm: Rhythm, deps: RoundDeps): Promise<Standing> {
  const { clock, changes, signal } = deps;
  let standing = begin(clock.now());
  let trigger: Trigger = 'start';
  let changeMs = 0;
  for (;;) {
    await changes.mark();
    const startedMs = clock.now();
    const checked = await whileItCounts(failureOf(deps.check(trigger)));
    if (checked === 'over') return standing;
    signal.throwIfAborted();
    standing = concluded(standing, startedMs, clock.now(), checked.error);
    if (trigger === 'change') changeMs = clock.now() - startedMs;
    await deps.told(standing);
    if (isTime()) return standing;
    const waited = await whileItCounts(pause());
    if (waited === 'over') return standing;
    trigger = waited;
  }

  /** Until it is time for the next check, or something changes; whoever changes things all the time gets half of the time at most. */
  async function pause(): Promise<Trigger> {
    const planned = next(standing, rhythm);
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const waits = [clock.sleep(Math.max(0, planned.atMs - clock.now()), both).then(() => planned.trigger), changes.noticed(both).then((): Trigger => 'change')];
    try {
      const first = await Promise.race(waits);
      if (first === 'change') await clock.sleep(Math.max(SETTLE_MS, changeMs), signal);
      return first;
    } finally {
      stop.abort();
      await Promise.allSettled(waits);
    }
  }

  /** Also a check that hangs must not keep the last success alive. */
  async function whileItCounts<T>(work: Promise<T>): Promise<T | 'over'> {
    const left = dueMs(standing, rhythm) - clock.now();
    if (!isVerified(stateOf(standing, rhythm, clock.now()))) return work;
    const stop = new AbortController();
    const expired = clock.sleep(left + 1, AbortSignal.any([signal, stop.signal])).then(
      () => 'expired' as const,
      () => 'stopped' as const,
    );
    const first = await Promise.race([work, expired]).finally(() => stop.abort());
    if (first !== 'expired') return work;
    await deps.told(standing);
    if (!isTime()) return work;
    // What hangs is left behind.
    work.catch(() => {});
    return 'over';
  }

  function isTime(): boolean {
    return deps.failures !== undefined && isOver(standing, rhythm, clock.now(), deps.failures);
  }
}

async function failureOf(check: Promise<void>): Promise<{ readonly error?: AppError }> {
  try {
    await check;
    return {};
  } catch (error) {
    return { error: asAppError(error) };
  }
}
