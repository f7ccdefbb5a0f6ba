// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpSettings } from '../source/source.ts';
import type { Budget } from './budget.ts';
import { createLocalExecutor, type Executor, type ExecutorSettings } from './executor.ts';

/** Who runs a task, and whether the file's hash gets a thread of its own. Held until the task is over. */
export type Place = Disposable & {
  readonly executor: Executor;
  readonly hashApart: boolean;
  /** Here, where a file's length may only be known when it is opened: whether it stays, or is worth a worker. */
  keeps?(sizeBytes: number): boolean;
};

/**
 * This thread, and worker threads from the moment something is worth them: starting one takes as long as some 30 MB. How long the files
 * are is often known only when each is opened, so this keeps count. Long files are the workers' alone. Of many small ones, and of some of
 * middling length, this thread takes its share in place of one worker: it has to open and to name each of them anyway.
 */
export type Crew = AsyncDisposable & {
  /** Files that may be in the works at the same time. */
  readonly lanes: number;
  /** For a file that is opened here first, or of known length. */
  place(sizeBytes: number | undefined): Promise<Place>;
  /** For a file that was handed off because of its length. */
  placeLarge(sizeBytes: number): Promise<Place>;
  /** A file's length is now known. */
  known(): void;
  /** A file is done with. */
  done(sizeBytes: number): void;
};

/** Where all lengths are known, a job as long as this is worth workers, for all but the smallest of its files... */
const WORKERS_FROM_BYTES = 512 * 1024 * 1024;
const SMALL_FILE_BYTES = 4 * 1024 * 1024;
/** ...and where they are not, one with so much to come, if the files that are left are like the first ones. */
const ENOUGH_BYTES = 32 * 1024 * 1024;
const FIRST_FILES = 4;
/** A file longer than this is a worker's. */
const LONG_FILE_BYTES = 128 * 1024 * 1024;
/** Of others this thread has so many bytes in the works; of what comes then, a file that is worth opening a second time goes to a worker. */
const KEPT_BYTES = 256 * 1024 * 1024;
const WORTH_REOPENING_BYTES = 32 * 1024 * 1024;
/** A small file counts so many times here: this thread looks after those of the workers, too. */
const LOCAL_WEIGHT = 2;
/** One file of this length has its hash in a thread of its own while no other large file needs one. */
const HASH_APART_BYTES = 256 * 1024 * 1024;
/** How long to wait for the lengths of the other files, in milliseconds. */
const CENSUS_MS = 200;
const LOCAL_FILES_AT_ONCE = 2;

type Plan = { readonly files: number; readonly knownBytes: number; readonly budget: Budget; readonly http: HttpSettings | undefined };

export function createCrew({ files, knownBytes, budget, http }: Plan, signal: AbortSignal): Crew {
  const share = (threads: number): ExecutorSettings => ({
    ...(http !== undefined && { http }),
    connections: Math.max(1, Math.floor(budget.connections / threads)),
  });
  // This thread keeps the time.
  const local = createLocalExecutor(share(1), { mayBlock: false, signal });
  const workers: Executor[] = [];
  /** Tasks that were given to an executor, begun or not. */
  const given = new Map<Executor, number>();
  const mayHire = budget.workers > 0;
  /** Workers where this thread takes a share of the files, too. */
  const besideThisThread = Math.max(1, budget.workers - 1);
  let unknown = files;
  let left = files;
  let movedBytes = 0;
  let keptBytes = 0;
  let large = 0;
  let allKnown: () => void = () => {};
  const census = new Promise<void>((resolve) => (allKnown = resolve));

  /** One that has nothing to do, else a new one, else the least busy. Chosen and taken in one go: files are placed at the same time. */
  async function giveWorker(hashApart: boolean, most = budget.workers): Promise<Place> {
    const { createWorkerExecutor } = await import('./pool.ts');
    const best = leastBusy();
    if (best !== undefined && (tasksOf(best) === 0 || workers.length >= most)) return give(best, hashApart);
    const fresh = createWorkerExecutor(share(budget.workers), signal);
    workers.push(fresh);
    return give(fresh, hashApart);
  }

  /** For one of many small files. What is read from a volume may take for ever, and this thread keeps the time. */
  function giveAny(): Promise<Place> | Place {
    if (http === undefined) return giveWorker(false);
    const best = leastBusy();
    const here = workers.length >= besideThisThread && best !== undefined && tasksOf(local) * LOCAL_WEIGHT < tasksOf(best);
    return here ? give(local, false) : giveWorker(false, besideThisThread);
  }

  function leastBusy(): Executor | undefined {
    return workers.toSorted((a, b) => tasksOf(a) - tasksOf(b))[0];
  }

  function tasksOf(executor: Executor): number {
    return given.get(executor) ?? 0;
  }

  function give(executor: Executor, hashApart: boolean): Place {
    let kept = 0;
    given.set(executor, tasksOf(executor) + 1);
    return {
      executor,
      hashApart,
      ...(executor.isLocal &&
        mayHire && {
          keeps(sizeBytes) {
            const full = keptBytes + sizeBytes > KEPT_BYTES && sizeBytes >= WORTH_REOPENING_BYTES;
            if (full || sizeBytes > LONG_FILE_BYTES) return false;
            kept += sizeBytes;
            keptBytes += sizeBytes;
            return true;
          },
        }),
      [Symbol.dispose]() {
        given.set(executor, tasksOf(executor) - 1);
        keptBytes -= kept;
      },
    };
  }

  return {
    lanes: http === undefined ? LOCAL_FILES_AT_ONCE * (1 + budget.workers) : budget.connections,
    async place(sizeBytes) {
      if (!mayHire) return give(local, false);
      if (knownBytes >= WORKERS_FROM_BYTES && (sizeBytes ?? 0) > SMALL_FILE_BYTES) return giveWorker(false);
      return files - left >= FIRST_FILES && (movedBytes / (files - left)) * left >= ENOUGH_BYTES ? giveAny() : give(local, false);
    },
    async placeLarge(sizeBytes) {
      large++;
      if (sizeBytes >= HASH_APART_BYTES && left <= budget.connections) await Promise.race([census, sleep(CENSUS_MS, undefined, { signal })]);
      const most = sizeBytes > LONG_FILE_BYTES ? budget.workers : besideThisThread;
      return giveWorker(sizeBytes >= HASH_APART_BYTES && unknown === 0 && large === 1, most);
    },
    known() {
      unknown--;
      if (unknown === 0) allKnown();
    },
    done(sizeBytes) {
      left--;
      movedBytes += sizeBytes;
    },
    async [Symbol.asyncDispose]() {
      for (const executor of [local, ...workers]) await executor[Symbol.asyncDispose]();
    },
  };
}
