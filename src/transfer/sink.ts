// SPDX-License-Identifier: Apache-2.0
import { writeSync } from 'node:fs';
import { AppError, fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile, Part } from '../oms/manifest.ts';
import type { UnsignedFile } from './digester.ts';
import { hashHere } from './inOrder.ts';
import type { Sink } from './ranged.ts';

/** What hashing is about: a signed file, to be compared with its manifest entry, or an unsigned one, whose digests are wanted. */
export type Subject = ManifestFile | UnsignedFile;

/** After the last byte: what was hashed. @throws DIGEST_MISMATCH, SIZE_MISMATCH, IO */
export type FileSink = Sink & AsyncDisposable & { finish(): Promise<{ readonly sizeBytes: number; readonly parts: readonly Part[] }> };

export type SinkTask = {
  readonly file: Subject;
  /** Open for reading and writing; absent: only hash. */
  readonly outputFd?: number;
  readonly maxFileBytes: number;
  /** Hash it in a thread of its own. */
  readonly hashApart?: boolean;
};

/**
 * Writes bytes where they belong, and has them hashed in their order. Writing is synchronous: it is a copy into the page cache, which
 * takes less than handing it to another thread, and the buffer is free for the next bytes at once (docs/performance.md).
 * `put` throws DIGEST_MISMATCH, SIZE_MISMATCH, LIMIT_EXCEEDED, NO_SPACE and IO.
 */
export async function createSink({ file, outputFd: fd, maxFileBytes, hashApart: apart }: SinkTask, progress: (bytes: number) => void): Promise<FileSink> {
  const hashing = apart === true && fd !== undefined ? (await import('./hashApart.ts')).hashApart(file, fd) : await hashHere(file, fd);
  const name = printable(file.path);
  const stretches: Stretch[] = [];
  let reach = 0;
  return {
    anyOrder: fd !== undefined,
    ...(hashing.lend !== undefined && { lend: hashing.lend }),
    put(bytes, position) {
      // The length may have been a lie, or absent.
      if (position + bytes.length > maxFileBytes) throw tooLarge(name, position + bytes.length, maxFileBytes);
      if (fd !== undefined) writeAll(fd, bytes, position, name);
      extend(stretches, position, bytes.length);
      reach = endOf(stretches, reach);
      hashing.written(bytes, position, reach);
      progress(bytes.length);
    },
    async finish() {
      const parts = await hashing.finish();
      return { sizeBytes: reach, parts };
    },
    // The descriptor is closed next, and its number given to another file.
    [Symbol.asyncDispose]: () => hashing[Symbol.asyncDispose](),
  };
}

type Stretch = { start: number; end: number };

/** There are about as many stretches as connections. */
function extend(stretches: Stretch[], position: number, length: number): void {
  const stretch = stretches.find((candidate) => candidate.end === position);
  if (stretch === undefined) stretches.push({ start: position, end: position + length });
  else stretch.end += length;
}

/** How far the file is written without a gap from `position`. */
function endOf(stretches: readonly Stretch[], position: number): number {
  let reach = position;
  for (;;) {
    const stretch = stretches.find(({ start, end }) => start <= reach && reach < end);
    if (stretch === undefined) return reach;
    reach = stretch.end;
  }
}

/** A write may be short (signals, quotas, network file systems): go on until everything is down. */
function writeAll(fd: number, bytes: Uint8Array, position: number, name: string): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  } catch (error) {
    throw fromSystemError(error, `writing ${name}`);
  }
}

function tooLarge(name: string, found: number, max: number): AppError {
  return new AppError('LIMIT_EXCEEDED', `'${name}' has at least ${found} bytes, more than --max-file-size ${max}`, {
    context: { path: name, expected: `${max}`, found: `${found}` },
  });
}
