// SPDX-License-Identifier: Apache-2.0
import { Readable } from 'node:stream';
import { createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { type ByteSource, bufferSource, windowSource } from './byteSource.ts';
import { Defect } from './finding.ts';

/** How far one stream is decompressed; what is longer is judged by its beginning, or refused. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

/** Shared by all streams of one file. */
export type InflateBudget = { inflatedBytes: number };

export type Compression = 'deflate' | 'zlib' | 'gzip';

/** The decompressed content, in memory, as far as the limits go. @throws Defect when the stream is broken or has something behind it */
export async function inflate(source: ByteSource, compression: Compression, budget: InflateBudget, sizeBytes?: number): Promise<ByteSource> {
  const decoder = compression === 'deflate' ? createInflateRaw() : compression === 'zlib' ? createInflate() : createGunzip();
  const max = Math.min(MAX_INFLATED_BYTES, budget.inflatedBytes);
  if (max <= 0) throw new Defect('decompresses to more than is judged in one file');
  const input = Readable.from(chunks(source));
  let failure: unknown;
  input.on('error', (error) => {
    failure = error;
    decoder.destroy(error);
  });
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of input.pipe(decoder)) {
      parts.push(part);
      length += part.length;
      if (length > max) break;
    }
  } catch (error) {
    if (failure !== undefined) throw failure;
    throw new Defect(`does not decompress: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    input.destroy();
    decoder.destroy();
  }
  budget.inflatedBytes -= Math.min(length, max);
  const bytes = Buffer.concat(parts).subarray(0, max);
  if (length > max) return windowSource(bytes, sizeBytes ?? Number.MAX_SAFE_INTEGER);
  if (sizeBytes !== undefined && sizeBytes !== length) throw new Defect(`decompresses to ${length} bytes, not to ${sizeBytes}`);
  if (decoder.bytesWritten !== source.sizeBytes) throw new Defect('has bytes behind its compressed ones');
  return bufferSource(bytes);
}

async function* chunks(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < source.sizeBytes; position += CHUNK_BYTES) {
    // A copy: the decoder reads it while the next is fetched, perhaps into the same memory.
    yield Buffer.from(await source.read(position, CHUNK_BYTES));
  }
}
