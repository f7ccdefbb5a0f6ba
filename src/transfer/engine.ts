// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, asAppError, asVolumeError, serialiseError, worstError } from '../base/errors.ts';
import type { Emit, FileOrigin } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile, Part } from '../oms/manifest.ts';
import type { HttpSettings, Locator } from '../source/source.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import type { Budget } from './budget.ts';
import { type Crew, createCrew, type Place } from './crew.ts';
import type { Subject } from './sink.ts';
import type { Outcome, Task } from './task.ts';

export type HttpLocator = Extract<Locator, { kind: 'http' }>;

/** Where a verified file's bytes go, open for reading and writing. `settle` is called exactly once, after nothing uses the descriptor any more. */
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
  /** Called after each stretch of a file that is read here; holds the next one back. Needs a budget without workers. */
  pace?(bytes: number): Promise<void>;
  /** Reserves room for a file whose length is now known. @throws NO_SPACE */
  admit?(sizeBytes: number): Promise<void>;
  /** A file is verified and stands where it was written, while others are still on their way. */
  verified?(path: string): void;
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

/**
 * Checks all jobs, in parallel, and returns a result for each, in their order. The first failure stops the rest, waits until nothing
 * runs any more, and is thrown; of several failures the gravest.
 */
export async function transfer<F extends Subject = ManifestFile>(jobs: readonly Job<F>[], deps: TransferDeps): Promise<readonly FileResult<F>[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  const knownBytes = jobs.reduce((sum, job) => sum + (job.sizeBytes ?? 0), 0);
  await using crew = createCrew({ files: jobs.length, knownBytes, budget: deps.budget, http: deps.http }, signal);
  const queue = [...jobs].sort((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0));
  const results = new Map<Job<F>, FileResult<F>>();
  const errors: AppError[] = [];

  async function lane(): Promise<void> {
    for (let job = queue.shift(); job !== undefined && !signal.aborted; job = queue.shift()) {
      try {
        results.set(job, await checkFile(job, crew, deps, signal));
        deps.verified?.(job.file.path);
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
  return jobs.flatMap((job) => results.get(job) ?? []);
}

/** Attempts at one file: an interrupted transfer is taken up again, a mismatch is fetched once more from a fresh address. */
async function checkFile<F extends Subject>(job: Job<F>, crew: Crew, deps: TransferDeps, signal: AbortSignal): Promise<FileResult<F>> {
  let large: number | undefined;
  let counted = false;
  const known = (): void => {
    if (!counted) crew.known();
    counted = true;
  };
  for (let attempt = 1; ; attempt++) {
    let told = 0;
    try {
      const hooks: AttemptHooks = {
        known,
        progress(bytes) {
          told += bytes;
          deps.emit({ kind: 'bytes', bytes });
        },
      };
      if (large === undefined) {
        using place = await crew.place(job.sizeBytes);
        const outcome = await attemptFile(job, place, deps, signal, hooks);
        known();
        if (outcome.kind === 'ok') return finished(job, outcome, deps, crew);
        large = outcome.sizeBytes;
      }
      using place = await crew.placeLarge(large);
      const outcome = await attemptFile(job, place, deps, signal, hooks);
      if (outcome.kind === 'handOff') throw new AppError('INTERNAL', 'a worker handed a file off');
      return finished(job, outcome, deps, crew);
    } catch (error) {
      known();
      const failure = asAppError(asVolumeError(job.missing?.(error) ?? error));
      if (signal.aborted || job.origin !== 'fetched' || attempt >= attemptsFor(failure)) throw failure;
      deps.emit({ kind: 'bytes', bytes: -told });
      deps.emit({ kind: 'fileRetried', path: printable(job.file.path), attempt, error: serialiseError(failure) });
      await sleep(backoffMs(attempt, failure.context.retryAfterMs), undefined, { signal });
    }
  }
}

function finished<F extends Subject>(
  job: Job<F>,
  { sizeBytes, parts, facts }: Extract<Outcome, { kind: 'ok' }>,
  deps: TransferDeps,
  crew: Crew,
): FileResult<F> {
  crew.done(sizeBytes);
  deps.emit({ kind: 'fileDone', path: printable(job.file.path), sizeBytes, origin: job.origin });
  return { file: job.file, origin: job.origin, sizeBytes, parts, facts };
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

type AttemptHooks = { known(): void; progress(bytes: number): void };

async function attemptFile(
  job: Job<Subject>,
  { executor, hashApart, keeps }: Place,
  deps: TransferDeps,
  signal: AbortSignal,
  { known, progress }: AttemptHooks,
): Promise<Outcome> {
  signal.throwIfAborted();
  const { input } = job;
  await using handle = input.kind === 'file' ? await input.open() : undefined;
  const locator = input.kind === 'http' ? await input.locate(signal) : undefined;
  const output = await job.output?.();
  let outcome: Outcome | undefined;
  try {
    const task: Task = {
      id: ++taskIds,
      file: job.file,
      input: taskInput(handle, locator),
      maxFileBytes: deps.maxFileBytes,
      ...(output !== undefined && { outputFd: output.fd }),
      ...(hashApart && { hashApart }),
    };
    outcome = await executor.run(task, {
      progress,
      ...(keeps !== undefined && { keeps }),
      ...(deps.pace !== undefined && { pace: deps.pace }),
      relocate() {
        if (input.kind === 'http') return input.locate(signal);
        throw new AppError('INTERNAL', 'a file cannot be located again');
      },
      async admit(sizeBytes) {
        known();
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
