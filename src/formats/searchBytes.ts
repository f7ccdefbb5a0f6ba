// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';

const CHUNK_BYTES = 1024 * 1024;
/** Longer than anything that is looked for. */
const OVERLAP_BYTES = 256;

/** Whether one of the patterns stands anywhere in the bytes, read as Latin-1. What was not decompressed is not looked at. */
export async function searchBytes(source: ByteSource, patterns: readonly RegExp[]): Promise<boolean> {
  const end = source.readableBytes ?? source.sizeBytes;
  for (let position = 0; position < end; position += CHUNK_BYTES - OVERLAP_BYTES) {
    const text = Buffer.from(await source.read(position, Math.min(CHUNK_BYTES, end - position))).toString('latin1');
    if (patterns.some((pattern) => pattern.test(text))) return true;
  }
  return false;
}
