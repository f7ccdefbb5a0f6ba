// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Destination } from './destination.ts';
import { type Dir, isPrivate } from './dir.ts';
import { claim } from './owner.ts';
import { STAGING_PREFIX } from './staging.ts';

/** Publishing takes milliseconds; whoever holds the lock for longer is in trouble itself. */
const PATIENCE_MS = 30_000;

/**
 * Does something to a destination while no other process, on whatever node, does: entries of two models must never mix.
 * @throws IO when another process holds it for too long
 */
export async function alone<T>(destination: Destination, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const name = `${STAGING_PREFIX}publishing-${createHash('sha256').update(destination.path).digest('hex').slice(0, 12)}`;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const lock = await tryLock(destination.base, name).catch((error: unknown) =>
      Promise.reject(fromSystemError(error, `locking ${printable(destination.path)}`)),
    );
    if (lock !== undefined) {
      await using _held = lock;
      return await work();
    }
    if (performance.now() > deadline) throw new AppError('IO', `another process has been publishing to ${printable(destination.path)} for too long`);
    await sleep(20, undefined, { signal });
  }
}

async function tryLock(base: Dir, name: string): Promise<AsyncDisposable | undefined> {
  try {
    if (!(await base.makeDirExclusive(name)) && !(await isPrivate(base, name))) return undefined;
    const dir = await base.openDir(name);
    const owner = await claim(dir);
    const release = async (): Promise<void> => {
      await owner?.[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    };
    if (owner !== undefined && (await base.holds(name, dir))) {
      return {
        async [Symbol.asyncDispose]() {
          await release();
          // Not empty: the next one is in it already, and removes it in turn.
          await base.removeEmptyDir(name);
        },
      };
    }
    await release();
    return undefined;
  } catch (error) {
    // Removed by its owner under our hands.
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
