// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly } from './byteSource.ts';

const BLOCK_BYTES = 512;
const CHECKSUM = { start: 148, end: 156 };

/** Whether the first block is the header of a tar. The library that says so is loaded only where the checksum does not already say no. */
export async function looksLikeTar(source: ByteSource): Promise<boolean> {
  if (source.sizeBytes < BLOCK_BYTES) return false;
  const block = await readExactly(source, 0, BLOCK_BYTES, 'the first header');
  return mayBeHeader(block) && (await import('./tar.ts')).isHeader(block);
}

/** Whether the sum of the block, with blanks for the checksum, is what stands there in octal digits; or it is written in the base 256 of GNU. */
function mayBeHeader(block: Buffer): boolean {
  if (block[CHECKSUM.start] === 0x80) return true;
  let sum = (CHECKSUM.end - CHECKSUM.start) * 0x20;
  for (const [i, byte] of block.entries()) if (i < CHECKSUM.start || i >= CHECKSUM.end) sum += byte;
  const written = block.toString('utf8', CHECKSUM.start, CHECKSUM.end).replace(/\0[\s\S]*$/, '');
  return Number.parseInt(written.trim(), 8) === sum;
}
