// SPDX-License-Identifier: Apache-2.0
import { read as readCallback, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fromSystemError } from '../base/errors.ts';
import { copyBuffer, PIECE_BYTES } from './memory.ts';

const read = promisify(readCallback);

export type FileReading = {
  /** For messages; printable. */
  readonly name: string;
  /** Memory for reading, of this thread, that nothing uses now: made anew for each file, it would cost more than reading a small one. */
  readonly buffers: Buffer[];
  /** Whether this thread may wait for a file system. One that others rely on may not: a mount that is gone never answers. */
  readonly mayBlock: boolean;
  /** Gets the bytes in their order; they are the taker's until it has answered. */
  take(bytes: Buffer, position: number): Promise<void> | void;
};

/** What a disk or the network has to bring: the more is asked for at once, the better. */
const FAR_BYTES = 1024 * 1024;
/** A piece that was waited for longer, in milliseconds, was not in memory. It takes 0.1 from there. */
const FAR_MS = 0.5;
/** So many pieces are then asked for beforehand until it is looked again. */
const FAR_PIECES = 16;
/** So many are read without giving way to whatever else this thread has to do. */
const PIECES_IN_A_ROW = 8;

/**
 * Reads a file from its start to its end. Where the page cache has it, handing a piece to another thread and back takes about as long as
 * hashing it, and fetches it into the wrong core's cache: it is read here. What has to come from elsewhere is asked for while the piece
 * before is worked on (docs/performance.md). When this has ended, well or not, nothing uses the descriptor or the memory any more.
 * @throws IO, what `take` throws
 */
export async function readThrough(fd: number, { name, buffers, mayBlock, take }: FileReading): Promise<void> {
  const lent = [buffers.pop() ?? copyBuffer(FAR_BYTES), buffers.pop() ?? copyBuffer(FAR_BYTES)] as const;
  let [buffer, spare] = lent;
  let far = mayBlock ? 0 : Number.POSITIVE_INFINITY;
  let pending: Promise<{ readonly bytesRead: number }> | undefined;
  const ask = (position: number): void => {
    pending = read(fd, buffer, 0, FAR_BYTES, position);
    // Handled where it is waited for.
    pending.catch(() => {});
  };
  const answer = async (position: number): Promise<number> => {
    try {
      if (pending !== undefined) return (await pending).bytesRead;
      const asked = performance.now();
      const count = readSync(fd, buffer, 0, PIECE_BYTES, position);
      if (performance.now() - asked > FAR_MS) far = FAR_PIECES;
      return count;
    } catch (error) {
      throw fromSystemError(error, `reading ${name}`);
    }
  };
  try {
    if (far > 0) ask(0);
    for (let position = 0, pieces = 1; ; pieces++) {
      const count = await answer(position);
      if (count === 0) return;
      const bytes = buffer.subarray(0, count);
      pending = undefined;
      if (far-- > 0) {
        [buffer, spare] = [spare, buffer];
        ask(position + count);
      }
      await take(bytes, position);
      position += count;
      if (pieces % PIECES_IN_A_ROW === 0) await nextTurn();
    }
  } finally {
    await pending?.catch(() => {});
    buffers.push(...lent);
  }
}
