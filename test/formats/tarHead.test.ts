// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { Header } from 'tar';
import { describe, expect, test } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { looksLikeTar } from '../../src/formats/tarHead.ts';

/** What the library says. */
function isHeader(block: Buffer): boolean {
  try {
    const header = new Header(block);
    return header.cksumValid && !header.nullBlock;
  } catch {
    return false;
  }
}

function headerBlock(path: string, size: number): Buffer {
  const header = new Header();
  header.path = path;
  header.size = size;
  header.type = 'File';
  const block = Buffer.alloc(512);
  header.encode(block, 0);
  return block;
}

describe('whether a file begins like a tar', () => {
  test('is what the library says, for headers, for damaged ones, and for odd ways to write the checksum', async () => {
    const checksums = fc.constantFrom<(sum: number) => string>(
      (sum) => `${sum.toString(8)}\0`,
      (sum) => ` ${sum.toString(8)} `,
      (sum) => `${sum.toString(8)}z`,
      (sum) => `\t${sum.toString(8)}\0xx`,
      (sum) => `0${sum.toString(8)}`,
      (sum) => `-${sum.toString(8)}`,
      (sum) => `${sum}`,
      (sum) => String.fromCharCode(0x80, 0, 0, 0, 0, 0, sum >> 8, sum & 0xff),
      (sum) => String.fromCharCode(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, sum >> 8, sum & 0xff),
      () => '',
    );
    let headers = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, maxLength: 90 }),
        fc.nat(1e9),
        checksums,
        fc.constantFrom(-1, 0, 150, 300),
        async (path, size, write, damaged) => {
          const block = headerBlock(path, size);
          block.fill(0x20, 148, 156);
          const sum = block.reduce((total, byte) => total + byte, 0);
          block.fill(0, 148, 156).write(write(sum).slice(0, 8), 148, 'latin1');
          if (damaged >= 0) block[damaged] = (block[damaged] ?? 0) ^ 1;
          headers += isHeader(block) ? 1 : 0;
          expect(await looksLikeTar(bufferSource(block))).toBe(isHeader(block));
        },
      ),
      { numRuns: 2000 },
    );
    expect(headers).toBeGreaterThan(100);
  });

  test('is no for zeros, and for less than a block', async () => {
    expect(await looksLikeTar(bufferSource(Buffer.alloc(512)))).toBe(false);
    expect(await looksLikeTar(bufferSource(headerBlock('a', 1).subarray(0, 511)))).toBe(false);
  });
});
