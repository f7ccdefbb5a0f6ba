// SPDX-License-Identifier: Apache-2.0
import { type AppError, CATALOGUE } from '../base/errors.ts';

/** Why a check runs. */
export type Trigger = 'start' | 'interval' | 'change' | 'retry';

/** Times in ms, by a clock that only goes forward. */
export type Rhythm = { readonly intervalMs: number; readonly graceMs: number };

/** What the checks so far amount to. */
export type Standing = {
  readonly startedMs: number;
  readonly success?: { readonly endedMs: number };
  /** Longest time that a successful check took. */
  readonly longestMs: number;
  /** Failures in a row. */
  readonly failures: number;
  readonly endedMs: number;
  /** Of the last check. */
  readonly error?: AppError;
  /** Holds until the next success: trouble with the volume does not take back what was found against the model. */
  readonly refusal?: AppError;
};

/**
 * `unsettled`: the last checks could not be finished, but the time for which the last success counts is not over.
 * `stale`: it is. `refused`: something speaks against the model, or nobody can say any more whom to trust.
 */
export type State = 'starting' | 'verified' | 'unsettled' | 'stale' | 'refused';

export function begin(nowMs: number): Standing {
  return { startedMs: nowMs, longestMs: 0, failures: 0, endedMs: nowMs };
}

export function concluded(standing: Standing, startedMs: number, endedMs: number, error: AppError | undefined): Standing {
  const { startedMs: since, longestMs, success, refusal } = standing;
  if (error === undefined) return { startedMs: since, success: { endedMs }, longestMs: Math.max(longestMs, endedMs - startedMs), failures: 0, endedMs };
  const refused = isPassing(error) ? refusal : error;
  return {
    startedMs: since,
    longestMs,
    failures: standing.failures + 1,
    endedMs,
    error,
    ...(success !== undefined && { success }),
    ...(refused !== undefined && { refusal: refused }),
  };
}

/** Trouble of the source or the volume says nothing about the model. Everything else does, or leaves nobody to vouch for it. */
export function isPassing(error: AppError): boolean {
  const { category } = CATALOGUE[error.code];
  return category === 'source' || category === 'volume';
}

/**
 * How long the last success counts: until the next check should have ended (it may take twice as long as the longest so far), and the grace.
 * One bound for checks that fail, that hang, and that are not begun.
 */
export function dueMs({ success, longestMs, startedMs }: Standing, { intervalMs, graceMs }: Rhythm): number {
  return success === undefined ? startedMs + graceMs : success.endedMs + intervalMs + 2 * longestMs + graceMs;
}

export function stateOf(standing: Standing, rhythm: Rhythm, nowMs: number): State {
  if (standing.refusal !== undefined) return 'refused';
  if (standing.success === undefined) return 'starting';
  if (nowMs > dueMs(standing, rhythm)) return 'stale';
  return standing.error === undefined ? 'verified' : 'unsettled';
}

export function isVerified(state: State): boolean {
  switch (state) {
    case 'verified':
    case 'unsettled':
      return true;
    case 'starting':
    case 'stale':
    case 'refused':
      return false;
  }
}

const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 60_000;

/** When to check again, and why; a change may come before. A refusal is a fact: it is looked at again by the clock, like everything. */
export function next(standing: Standing, { intervalMs }: Rhythm): { readonly atMs: number; readonly trigger: Trigger } {
  const { error, failures, endedMs } = standing;
  if (error === undefined || !isPassing(error)) return { atMs: endedMs + intervalMs, trigger: 'interval' };
  const backoffMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
  return { atMs: endedMs + Math.min(intervalMs, backoffMs), trigger: 'retry' };
}

/** Whether it is time to end, where that was asked for. Before the first success, trouble is waited for as long as the grace. */
export function isOver(standing: Standing, rhythm: Rhythm, nowMs: number, failures: number): boolean {
  switch (stateOf(standing, rhythm, nowMs)) {
    case 'refused':
      return standing.failures >= failures;
    case 'stale':
      return true;
    case 'starting':
      return standing.error !== undefined && nowMs > dueMs(standing, rhythm);
    case 'verified':
    case 'unsettled':
      return false;
  }
}
