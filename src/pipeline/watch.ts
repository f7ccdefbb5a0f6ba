// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { FLOOR_PATH, type Floor, readFloor } from '../anchors/floor.ts';
import { AppError, asAppError } from '../base/errors.ts';
import type { WatchPlan } from '../plan/plan.ts';
import { type Evidence, startEvidence } from '../report/evidence.ts';
import type { Subject } from '../store/fingerprint.ts';
import { subjectsOf, watchChanges } from './changes.ts';
import type { GateDeps } from './gate.ts';
import { Memory, type Scope } from './reading.ts';
import { type Clock, runRounds } from './rounds.ts';
import { isPassing, type Standing, type Trigger } from './schedule.ts';
import { verify } from './verify.ts';

/** One check, and what came of it. */
export type Round = { readonly trigger: Trigger; readonly evidence: Evidence; readonly error?: AppError; readonly ms: number };

export type WatchDeps = Omit<GateDeps, 'evidence'> & {
  /** After each check, before its standing is told. */
  checked(round: Round): void | Promise<void>;
  told(standing: Standing): Promise<void>;
};

/** Of files that policies name; more than any one can. */
const MAX_NAMED = 1024;

export const CLOCK: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    await sleep(ms, undefined, { signal });
  },
};

/**
 * Verifies a model where it stands, again and again. `floor` is that of the start: the files that say whom to trust are read anew by every
 * check. Returns when it gives up, which is only asked for by --on-failure exit. @throws CANCELLED
 */
export async function watch(plan: WatchPlan, deps: WatchDeps): Promise<Standing> {
  // Policies name files of their own; the first check that reads them finds more to look at, which is a change.
  const named = new Set<string>();
  const noted = (path: string): void => {
    if (named.has(path) || named.size >= MAX_NAMED) return;
    named.add(path);
    changes.look();
  };
  const subjects = (): readonly Subject[] => [...subjectsOf(plan, FLOOR_PATH), ...[...named].map((path) => ({ path, kind: 'mounted' as const }))];
  using changes = watchChanges(subjects, { pollMs: plan.pollMs, maxEntries: plan.check.limits.entries });
  const memory = new Memory();
  let slice = 0;

  function scopeOf(trigger: Trigger): Scope {
    const { of, parts } = plan.share;
    switch (trigger) {
      case 'start':
        return { kind: 'all' };
      case 'change':
        return { kind: 'changed' };
      case 'interval':
      case 'retry':
        return of === parts ? { kind: 'all' } : { kind: 'share', first: slice, of, parts };
    }
  }

  async function check(trigger: Trigger): Promise<void> {
    const start = performance.now();
    const scope = scopeOf(trigger);
    const evidence = startEvidence(plan.check.relaxations, deps.now());
    memory.expect(scope);
    let error: AppError | undefined;
    try {
      await checkOnce(plan, { ...deps, evidence, noted }, memory);
      memory.keep(evidence.models[0]);
      // A share that was not read to its end is read again.
      if (scope.kind === 'share') slice = (slice + scope.of) % scope.parts;
    } catch (thrown) {
      deps.signal.throwIfAborted();
      error = asAppError(thrown);
      if (!isPassing(error)) memory.forget();
    }
    await deps.checked({ trigger, evidence, ...(error !== undefined && { error }), ms: Math.round(performance.now() - start) });
    if (error !== undefined) throw error;
  }

  // Awaited here: what is returned as a promise is not waited for before `changes` is disposed of.
  return await runRounds(plan, {
    check,
    told: deps.told,
    changes,
    clock: CLOCK,
    signal: deps.signal,
    ...(plan.onFailure.kind === 'exit' && { failures: plan.onFailure.failures }),
  });
}

async function checkOnce({ check }: WatchPlan, deps: GateDeps, memory: Memory): Promise<void> {
  const { timeoutMs } = check;
  const deadline = new AbortController();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => deadline.abort(tooSlow(timeoutMs)), timeoutMs);
  try {
    await verify(check, { ...deps, signal: AbortSignal.any([deps.signal, deadline.signal]), floor: await currentFloor(deps.floor) }, memory);
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

/** A floor that is not mounted any more has not been lifted. @throws POLICY_INVALID */
async function currentFloor(atStart: Floor): Promise<Floor> {
  const floor = await readFloor();
  if (floor.kind === 'absent' && atStart.kind === 'present') throw new AppError('POLICY_INVALID', `the floor policy ${FLOOR_PATH} is not there any more`);
  return floor;
}

function tooSlow(timeoutMs: number): AppError {
  return new AppError('SOURCE_TIMEOUT', `the check did not end within --timeout ${timeoutMs / 1000} s`, {
    hint: 'Raise --timeout, give the container more CPU, or check less at a time with --share.',
  });
}
