// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource } from '../../src/formats/byteSource.ts';
import { Cursor } from '../../src/formats/cursor.ts';
import { Defect } from '../../src/formats/finding.ts';
import { type Field, fieldsOf } from '../../src/formats/protobuf.ts';
import { field } from './look.ts';

async function read(source: ByteSource, start = 0, end = source.sizeBytes, budget = { fields: 100 }): Promise<readonly Field[]> {
  const found: Field[] = [];
  for await (const one of fieldsOf(new Cursor(source, start), end, budget)) found.push(one);
  return found;
}

const bytes = (...values: readonly number[]): ByteSource => bufferSource(Buffer.from(values));
/** A number of nine bytes without an end. */
const UNENDING = Array<number>(9).fill(0x80);

describe('the fields of a message', () => {
  it('are told with the place of what they hold', async () => {
    const message = bytes(0x08, 0x96, 0x01, 0x12, 0x03, 1, 2, 3, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x12, 0x00);
    expect(await read(message)).toEqual([
      { number: 1, wire: 0, value: 150n, start: 3, sizeBytes: 0 },
      { number: 2, wire: 2, value: 3n, start: 5, sizeBytes: 3 },
      { number: 3, wire: 1, value: 0n, start: 9, sizeBytes: 8 },
      { number: 4, wire: 5, value: 0n, start: 18, sizeBytes: 4 },
      { number: 2, wire: 2, value: 0n, start: 24, sizeBytes: 0 },
    ]);
  });

  it('are those between two places', async () => {
    const message = bytes(0xff, 0x08, 0x01, 0x10, 0x02, 0xff);
    expect((await read(message, 1, 5)).map(({ number, value }) => [number, value])).toEqual([
      [1, 1n],
      [2, 2n],
    ]);
    expect(await read(message, 1, 1)).toEqual([]);
  });

  it.each<[string, readonly number[], bigint]>([
    ['127', [0x7f], 127n],
    ['128', [0x80, 0x01], 128n],
    ['a zero that is written long', [...UNENDING, 0x00], 0n],
    ['the largest of 64 bits', [...Array<number>(9).fill(0xff), 0x01], 2n ** 64n - 1n],
  ])('may be %s', async (_what, value, expected) => {
    expect(await read(bytes(0x08, ...value))).toEqual([{ number: 1, wire: 0, value: expected, start: 1 + value.length, sizeBytes: 0 }]);
  });

  it('have numbers up to 2²⁹ - 1', async () => {
    expect((await read(bytes(0xf8, 0xff, 0xff, 0xff, 0x0f, 0x00))).map(({ number }) => number)).toEqual([536_870_911]);
  });

  it.each<[string, readonly number[], string]>([
    ['the number 0', [0x00, 0x00], 'has a field without a number'],
    ['the number 0 for bytes', [0x02, 0x00], 'has a field without a number'],
    ['the number 2²⁹', [0x80, 0x80, 0x80, 0x80, 0x10, 0x00], 'has a field without a number'],
    ['the beginning of a group', [0x0b], 'has a field of unknown kind 3'],
    ['the end of a group', [0x0c], 'has a field of unknown kind 4'],
    ['the kind 6', [0x0e], 'has a field of unknown kind 6'],
    ['the kind 7', [0x0f], 'has a field of unknown kind 7'],
    ['bytes beyond the end', [0x12, 0x02, 0x00], 'has a field that reaches beyond its message'],
    ['eight bytes beyond the end', [0x09, 0, 0, 0, 0, 0, 0, 0], 'has a field that reaches beyond its message'],
    ['four bytes beyond the end', [0x0d, 0, 0, 0], 'has a field that reaches beyond its message'],
    ['a length of 2⁵³ - 1', [0x12, ...Array<number>(7).fill(0xff), 0x0f], 'has a field that reaches beyond its message'],
    ['a length of 2⁶³', [0x12, ...UNENDING, 0x01], 'has a field that reaches beyond its message'],
    ['a number that ends too late', [0x08, ...UNENDING, 0x80, 0x00], 'has a number that does not end'],
    ['a key that ends too late', [...UNENDING, 0x80, 0x00], 'has a number that does not end'],
    ['a number that is cut off', [0x08, 0x80], 'ends in the middle'],
    ['a key alone', [0x08], 'ends in the middle'],
  ])('may not have %s', async (_what, message, expected) => {
    await expect(read(bytes(...message))).rejects.toThrow(Defect);
    await expect(read(bytes(...message))).rejects.toThrow(new Defect(expected));
  });

  it('may not reach beyond the message within a larger file', async () => {
    const message = bytes(0x12, 0x02, 0x00, 0x00, 0x00);
    expect(await read(message, 0, 4)).toHaveLength(1);
    await expect(read(message, 0, 3)).rejects.toThrow(new Defect('has a field that reaches beyond its message'));
    await expect(read(bytes(0x08, 0x80, 0x01), 0, 2)).rejects.toThrow(new Defect('has a field that reaches beyond its message'));
  });

  it('are no more than all messages of a file may have', async () => {
    const budget = { fields: 3 };
    const two = bytes(0x08, 0x01, 0x08, 0x02);
    expect(await read(two, 0, 4, budget)).toHaveLength(2);
    expect(budget).toEqual({ fields: 1 });
    expect(await read(two, 0, 2, budget)).toHaveLength(1);
    await expect(read(two, 0, 2, budget)).rejects.toThrow(new Defect('has more fields than are walked'));
  });

  it('are not read where bytes are long, and the source is asked seldom', async () => {
    let [asked, largest] = [0, 0];
    const content = Buffer.concat([field(1, Buffer.alloc(1_000_000)), ...Array.from({ length: 90 }, () => field(2, 7)), field(3, 'end')]);
    const source: ByteSource = {
      sizeBytes: content.length,
      read: async (position, length) => {
        asked += 1;
        largest = Math.max(largest, length);
        return content.subarray(position, position + length);
      },
    };
    expect((await read(source)).at(-1)).toEqual({ number: 3, wire: 2, value: 3n, start: 1_000_186, sizeBytes: 3 });
    // Near the end there are fewer bytes than a field may want, and they are fetched again: some 16 times.
    expect(asked).toBeLessThan(25);
    expect(largest).toBe(262_144);
  });
});
