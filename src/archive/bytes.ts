// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Gunzip, InflateRaw } from 'node:zlib';
import { AppError, fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';

/** Read, inflated and parsed in pieces of at most this many bytes: that much work is done between two looks at the event loop. */
export const CHUNK_BYTES = 128 * 1024;

/** The bytes from `start` to `end` (exclusive), or up to the end of the file. Every chunk is a buffer of its own. @throws IO */
export async function* readRange(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let position = start; position < end; ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, end - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position).catch((error: unknown) => Promise.reject(unreadable(error)));
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** What the decompressor makes of the chunks, no more of them than are asked for. @throws ARCHIVE_INVALID, and what the chunks throw */
export async function* inflate(chunks: AsyncIterable<Buffer>, decompressor: Gunzip | InflateRaw): AsyncGenerator<Buffer> {
  // Its error, whoever of the two made it, comes out of the loop below.
  pipeline(Readable.from(chunks), decompressor).catch(() => {});
  try {
    for await (const chunk of decompressor as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw malformed(error);
  }
}

/** An archive that its parser, or the decompressor, does not understand; unless the volume is to blame. */
export function malformed(error: unknown): AppError {
  if (error instanceof Error && 'syscall' in error) return unreadable(error);
  if (error instanceof AppError) return error;
  return invalid(`cannot be read: ${printable(error instanceof Error ? error.message : String(error), 300)}`, error);
}

export function invalid(problem: string, cause?: unknown): AppError {
  return new AppError('ARCHIVE_INVALID', `the archive ${problem}`, { cause });
}

function unreadable(error: unknown): AppError {
  return fromSystemError(error, 'reading the archive');
}
