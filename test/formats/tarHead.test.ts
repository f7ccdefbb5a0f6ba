// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { Header } from 'tar';
import { describe, expect, test } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { looksLikeTar } from '../../src/formats/tarHead.ts';
import { formatsOf, refusalsOf } from './look.ts';

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

/** The sum of the bytes, with blanks for the checksum. */
function sumOf(block: Buffer, Bytes: typeof Uint8Array | typeof Int8Array = Uint8Array): number {
  let sum = 0;
  for (const byte of new Bytes(Buffer.from(block).fill(0x20, 148, 156))) sum += byte;
  return sum;
}

/** A header whose checksum stands there in another way. */
function written(write: (sum: number) => string, Bytes: typeof Uint8Array | typeof Int8Array = Uint8Array, path = 'weights'): Buffer {
  const block = headerBlock(path, 0);
  block.fill(0, 148, 156).write(write(sumOf(block, Bytes)), 148, 'latin1');
  return block;
}

describe('whether a file begins like a tar', () => {
  test('is what the library says, or more, for headers, for damaged ones, and for odd ways to write the checksum', async () => {
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
          const sum = sumOf(block);
          block.fill(0, 148, 156).write(write(sum).slice(0, 8), 148, 'latin1');
          if (damaged >= 0) block[damaged] = (block[damaged] ?? 0) ^ 1;
          headers += isHeader(block) ? 1 : 0;
          if (isHeader(block)) expect(await looksLikeTar(bufferSource(block))).toBe(true);
          else if (damaged === 300) expect(await looksLikeTar(bufferSource(block))).toBe(false);
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

  const base256 = (sum: number): string => `\x80${Buffer.from(sum.toString(16).padStart(14, '0'), 'hex').toString('latin1')}`;
  const base64 = (sum: number): string =>
    Buffer.from((sum * 64).toString(16).padStart(6, '0'), 'hex')
      .toString('base64')
      .slice(0, 3);

  test.each<[string, Buffer]>([
    ['octal, as all write it', written((sum) => `${sum.toString(8).padStart(6, '0')}\0 `)],
    ['octal with the signs and lines that Python takes', written((sum) => `+0o${sum.toString(8).replace(/^./, '$&_')}`.slice(0, 8))],
    ['octal behind a separator that Python takes for a blank', written((sum) => `\x1c${sum.toString(8)}\0`)],
    ['octal behind a zero, which GNU tar skips', written((sum) => `\0${sum.toString(8)}\0`)],
    ['base 256', written(base256)],
    ['base 64, as an old GNU tar wrote it', written((sum) => `+${base64(sum)}`)],
    ['the sum of signed bytes', written((sum) => `${sum.toString(8).padStart(6, '0')}\0 `, Int8Array, 'ü')],
  ])('is yes for a checksum in %s', async (_how, block) => {
    expect(await looksLikeTar(bufferSource(block))).toBe(true);
  });

  test('is yes where the sum of signed bytes is nothing, or less', async () => {
    const block = headerBlock('weights', 0);
    for (let at = 265; sumOf(block, Int8Array) > 0; at++) block[at] = Math.max(0x80, 0x100 - sumOf(block, Int8Array));
    const none = Buffer.from(block).fill(0, 148, 156);
    expect(sumOf(none, Int8Array)).toBe(0);
    expect(await looksLikeTar(bufferSource(none))).toBe(true);
    block[328] = 0xff;
    expect(sumOf(block, Int8Array)).toBe(-1);
    for (const less of ['-1\0\0\0\0\0\0', '\xff'.repeat(8), '-B\0\0\0\0\0\0']) {
      block.write(less, 148, 'latin1');
      expect(await looksLikeTar(bufferSource(block))).toBe(true);
    }
  });

  test('is no for a checksum of nothing, or of something else', async () => {
    const fields = ['', '       ', 'weights', '+weights', '\x80', '\xff'];
    for (const field of fields) expect(await looksLikeTar(bufferSource(written(() => field)))).toBe(false);
  });

  test('is also asked of a file that is something else', async () => {
    const png = headerBlock('x', 0);
    png.write('\x89PNG\r\n\x1a\n', 'latin1');
    png.write(`${sumOf(png, Int8Array).toString(8).padStart(6, '0')}\0 `, 148);
    expect(await formatsOf(png, 'x.png')).toEqual(['image', 'tar']);
    expect(await refusalsOf(png, 'x.png')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED tar: .*checksum is wrong/));
  });
});
