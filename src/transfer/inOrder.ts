// SPDX-License-Identifier: Apache-2.0
import { readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AppError, fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Part } from '../oms/manifest.ts';
import { type Checker, createChecker } from './checker.ts';
import { createDigester, type Digester } from './digester.ts';
import { copyBuffer, PIECE_BYTES } from './memory.ts';
import type { Subject } from './sink.ts';

/** Hashes one file's bytes in their order, whatever the order they arrive in. */
export type InOrder = AsyncDisposable & {
  /** Memory for bytes that are to arrive at `position`, where that spares a copy. */
  lend?(position: number): Buffer | undefined;
  /** `bytes` lie at `position` of the file, and `reach` bytes from its start without a gap. Throws what an earlier byte failed with. */
  written(bytes: Buffer, position: number, reach: number): void;
  /** After the last byte. @throws DIGEST_MISMATCH, SIZE_MISMATCH, IO */
  finish(): Promise<readonly Part[]>;
};

/** Every file comes to this in the end, nearly always when nobody asks any more: making an error each time would cost more than its hash's beginning and end. */
const GIVEN_UP = { error: new AppError('INTERNAL', 'a file was given up') };

/**
 * In this thread: bytes that arrive in their turn are hashed while they are in the cache; others are read back from the file when all
 * before them has been hashed. Without a file (`fd`), all have to come in order.
 */
export async function hashHere(file: Subject, fd: number | undefined): Promise<InOrder> {
  const hashing = await createHashing(file);
  let hashed = 0;
  let failure: { readonly error: unknown } | undefined;
  let catchingUp: Promise<void> | undefined;
  let available = 0;

  /** A little at a time, so that connections are served meanwhile. */
  async function catchUp(from: number): Promise<void> {
    const buffer = copyBuffer(PIECE_BYTES);
    try {
      for (; hashed < available && failure === undefined; await nextTurn()) hashed += readBack(from, file, buffer, hashed, available, hashing);
    } catch (error) {
      failure = { error };
    }
    catchingUp = undefined;
  }

  return {
    written(bytes, position, reach) {
      if (failure !== undefined) throw failure.error;
      available = reach;
      if (position === hashed) {
        hashing.update(bytes);
        hashed += bytes.length;
      }
      if (fd !== undefined && hashed < available) catchingUp ??= catchUp(fd);
    },
    async finish() {
      await catchingUp;
      if (failure !== undefined) throw failure.error;
      return hashing.finish();
    },
    async [Symbol.asyncDispose]() {
      failure ??= GIVEN_UP;
      await catchingUp;
    },
  };
}

export type Hashing = Checker | Digester;

export function createHashing(file: Subject): Promise<Hashing> {
  return 'parts' in file ? createChecker(file) : createDigester(file);
}

/** Hashes as much of `from`..`to` as fits into the buffer; how much that was. @throws IO and what hashing throws */
export function readBack(fd: number, file: Subject, buffer: Buffer, from: number, to: number, hashing: Hashing): number {
  const name = printable(file.path);
  let count: number;
  try {
    count = readSync(fd, buffer, 0, Math.min(buffer.length, to - from), from);
  } catch (error) {
    throw fromSystemError(error, `reading back ${name}`);
  }
  if (count === 0) throw new AppError('IO', `'${name}' became shorter while it was written`);
  hashing.update(buffer.subarray(0, count));
  return count;
}
