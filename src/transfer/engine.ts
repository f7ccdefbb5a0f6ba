// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, asAppError, serialiseError, worstError } from '../base/errors.ts';
import type { Emit, FileOrigin } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile, Part } from '../oms/manifest.ts';
import type { HttpSettings, Locator } from '../source/source.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import type { Budget } from './budget.ts';
import { createLocalExecutor, type Executor, type ExecutorSettings } from './executor.ts';
import type { Subject } from './sink.ts';
import type { Outcome, Task } from './task.ts';

export type HttpLocator = Extract<Locator, { kind: 'http' }>;

/** Where a verified file's bytes go. `settle` is called exactly once, after nothing uses the descriptor any more. */
export type Output = { readonly fd: number; settle(result: 'verified' | 'failed'): Promise<void> };

/** One file to check, or to digest. Inputs are opened and outputs made anew for every attempt. */
export type Job<F extends Subject = ManifestFile> = {
  readonly file: F;
  readonly origin: FileOrigin;
  /** Length in bytes where it is known beforehand. */
  readonly sizeBytes?: number;
  readonly input: { readonly kind: 'http'; locate(signal: AbortSignal): Promise<HttpLocator> } | { readonly kind: 'file'; open(): Promise<FileHandle> };
  /** Lets the owner say what it means that the object is not there. */
  readonly missing?: (error: unknown) => unknown;
  /** Absent: only hash. */
  readonly output?: () => Promise<Output>;
};

export type TransferDeps = {
  readonly budget: Budget;
  readonly http?: HttpSettings;
  readonly maxFileBytes: number;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** `skip`: candidates of which it is not known whether they are right; wrong ones, and those that change or vanish meanwhile, are left out of the results. Default `fail`. */
  readonly mismatch?: 'fail' | 'skip';
  /** Reserves room for a file whose length is now known. @throws NO_SPACE */
  admit?(sizeBytes: number): Promise<void>;
};

/** Verified, or digested: name, length, the digests of its parts and what the source said. */
export type FileResult<F extends Subject = ManifestFile> = {
  readonly file: F;
  readonly origin: FileOrigin;
  readonly sizeBytes: number;
  readonly parts: readonly Part[];
  readonly facts: Extract<Outcome, { kind: 'ok' }>['facts'];
};

const MAX_ATTEMPTS = 3;
/** Files longer than this are worth a worker thread... */
const HAND_OFF_BYTES = 128 * 1024 * 1024;
/** ...and, where all lengths are known, so is a job as long as this. */
const WORKERS_FROM_BYTES = 512 * 1024 * 1024;
const SMALL_FILE_BYTES = 4 * 1024 * 1024;
const LOCAL_FILES_AT_ONCE = 2;

/**
 * Checks all jobs, in parallel, and returns a result for each. The first failure stops the rest, waits until nothing
 * runs any more, and is thrown; of several failures the gravest.
 */
export async function transfer<F extends Subject = ManifestFile>(jobs: readonly Job<F>[], deps: TransferDeps): Promise<readonly FileResult<F>[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  await using crew = createCrew(jobs, deps, signal);
  const queue = [...jobs].sort((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0));
  const results: FileResult<F>[] = [];
  const errors: AppError[] = [];

  async function lane(): Promise<void> {
    for (let job = queue.shift(); job !== undefined && !signal.aborted; job = queue.shift()) {
      try {
        results.push(await checkFile(job, crew, deps, signal));
      } catch (error) {
        if (deps.mismatch === 'skip' && isNoCandidate(asAppError(error))) continue;
        // What fails after the stop fails because of it.
        if (!signal.aborted) errors.push(asAppError(error));
        stop.abort();
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(crew.lanes, jobs.length) }, lane));
  deps.signal.throwIfAborted();
  const worst = worstError(errors);
  if (worst !== undefined) throw worst;
  return results;
}

/** Attempts at one file: an interrupted transfer is taken up again, a mismatch is fetched once more from a fresh address. */
async function checkFile<F extends Subject>(job: Job<F>, crew: Crew, deps: TransferDeps, signal: AbortSignal): Promise<FileResult<F>> {
  let place: 'anywhere' | 'worker' = 'anywhere';
  for (let attempt = 1; ; attempt++) {
    let told = 0;
    try {
      const progress = (bytes: number): void => {
        told += bytes;
        deps.emit({ kind: 'bytes', bytes });
      };
      let outcome = await attemptFile(job, crew, deps, signal, place, progress);
      if (outcome.kind === 'handOff') {
        place = 'worker';
        outcome = await attemptFile(job, crew, deps, signal, place, progress);
      }
      if (outcome.kind === 'handOff') throw new AppError('INTERNAL', 'a worker handed a file off');
      deps.emit({ kind: 'fileDone', path: printable(job.file.path), sizeBytes: outcome.sizeBytes, origin: job.origin });
      return { file: job.file, origin: job.origin, sizeBytes: outcome.sizeBytes, parts: outcome.parts, facts: outcome.facts };
    } catch (error) {
      const failure = asAppError(job.missing?.(error) ?? error);
      if (signal.aborted || job.origin !== 'fetched' || attempt >= attemptsFor(failure)) throw failure;
      deps.emit({ kind: 'bytes', bytes: -told });
      deps.emit({ kind: 'fileRetried', path: printable(job.file.path), attempt, error: serialiseError(failure) });
      await sleep(backoffMs(attempt, failure.context.retryAfterMs), undefined, { signal });
    }
  }
}

/** A mismatch may be a broken transfer: one more try. A mismatch of what is read from a volume is a fact. */
function attemptsFor(error: AppError): number {
  if (isMismatch(error) || error.code === 'SOURCE_CHANGED') return 2;
  return isRetryable(error) ? MAX_ATTEMPTS : 1;
}

function isMismatch(error: AppError): boolean {
  return error.code === 'DIGEST_MISMATCH' || error.code === 'SIZE_MISMATCH';
}

function isNoCandidate(error: AppError): boolean {
  return isMismatch(error) || error.code === 'SOURCE_CHANGED';
}

let taskIds = 0;

async function attemptFile(
  job: Job<Subject>,
  crew: Crew,
  deps: TransferDeps,
  signal: AbortSignal,
  place: 'anywhere' | 'worker',
  progress: (bytes: number) => void,
): Promise<Outcome> {
  signal.throwIfAborted();
  const { input } = job;
  await using handle = input.kind === 'file' ? await input.open() : undefined;
  const locator = input.kind === 'http' ? await input.locate(signal) : undefined;
  const output = await job.output?.();
  let outcome: Outcome | undefined;
  try {
    const handOff = place === 'anywhere' && crew.mayHandOff && input.kind === 'http';
    const task: Task = {
      id: ++taskIds,
      file: job.file,
      input: taskInput(handle, locator),
      maxFileBytes: deps.maxFileBytes,
      ...(output !== undefined && { outputFd: output.fd }),
      ...(handOff && { handOffBytes: HAND_OFF_BYTES }),
    };
    const executor = await crew.pick(job, place);
    outcome = await executor.run(task, {
      progress,
      relocate() {
        if (input.kind === 'http') return input.locate(signal);
        throw new AppError('INTERNAL', 'a file cannot be located again');
      },
      async admit(sizeBytes) {
        await deps.admit?.(sizeBytes);
        deps.emit({ kind: 'sizeKnown', path: printable(job.file.path), sizeBytes });
      },
    });
  } finally {
    await output?.settle(outcome?.kind === 'ok' ? 'verified' : 'failed');
  }
  return outcome;
}

function taskInput(handle: FileHandle | undefined, locator: HttpLocator | undefined): Task['input'] {
  if (handle !== undefined) return { kind: 'fd', fd: handle.fd };
  if (locator !== undefined) return { kind: 'http', locator };
  throw new AppError('INTERNAL', 'a job without input');
}

type Crew = AsyncDisposable & {
  readonly lanes: number;
  readonly mayHandOff: boolean;
  pick(job: Job<Subject>, place: 'anywhere' | 'worker'): Promise<Executor>;
};

/** This thread, and worker threads from the moment something is worth them. */
function createCrew(jobs: readonly Job<Subject>[], deps: TransferDeps, signal: AbortSignal): Crew {
  const { budget } = deps;
  const remote = deps.http !== undefined;
  const share = (threads: number): ExecutorSettings => ({
    ...(deps.http !== undefined && { http: deps.http }),
    connections: budget.connections,
    windowSegments: Math.max(1, Math.floor(budget.windowSegments / threads)),
  });
  const local = createLocalExecutor(share(1), signal);
  const knownBytes = jobs.reduce((sum, job) => sum + (job.sizeBytes ?? 0), 0);
  const useWorkers = budget.workers > 0 && knownBytes >= WORKERS_FROM_BYTES;

  let workers: Promise<readonly Executor[]> | undefined;

  async function hire(): Promise<readonly Executor[]> {
    const { createWorkerExecutor } = await import('./pool.ts');
    return Array.from({ length: budget.workers }, () => createWorkerExecutor(share(budget.workers), signal));
  }
  return {
    lanes: remote ? budget.connections : LOCAL_FILES_AT_ONCE * (1 + budget.workers),
    mayHandOff: budget.workers > 0,
    async pick(job, place) {
      if (place === 'anywhere' && !(useWorkers && (job.sizeBytes ?? 0) > SMALL_FILE_BYTES)) return local;
      workers ??= hire();
      return leastBusy(await workers);
    },
    async [Symbol.asyncDispose]() {
      for (const executor of [local, ...((await workers) ?? [])]) await executor[Symbol.asyncDispose]();
    },
  };
}

function leastBusy(executors: readonly Executor[]): Executor {
  const best = [...executors].sort((a, b) => a.running - b.running)[0];
  if (best === undefined) throw new AppError('INTERNAL', 'no worker thread');
  return best;
}
