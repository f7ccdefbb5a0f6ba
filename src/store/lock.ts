// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Destination } from './destination.ts';
import type { Dir } from './dir.ts';
import { enter } from './owner.ts';
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
  const entered = await enter(base, name);
  if (entered === undefined) return undefined;
  const { dir, owner } = entered;
  return {
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
      // Not empty: the next one is in it already, and removes it in turn.
      await base.removeEmptyDir(name);
    },
  };
}
