// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { ByteSource } from '../../src/formats/byteSource.ts';
import { Cursor } from '../../src/formats/cursor.ts';
import { Defect } from '../../src/formats/finding.ts';

const CHUNK = 262_144;

/** A cursor, and what it has read: where, and how much. */
function open(content: string, position?: number): { readonly cursor: Cursor; readonly reads: (readonly [number, number])[] } {
  const bytes = Buffer.from(content, 'latin1');
  const reads: (readonly [number, number])[] = [];
  const source: ByteSource = {
    sizeBytes: bytes.length,
    read: async (start, length) => {
      reads.push([start, length]);
      return bytes.subarray(start, start + length);
    },
  };
  return { cursor: position === undefined ? new Cursor(source) : new Cursor(source, position), reads };
}

const text = (bytes: Buffer | undefined): string | undefined => bytes?.toString('latin1');

describe('a cursor', () => {
  it('begins at the beginning, or where it is told to', async () => {
    expect(open('abcdef').cursor.position).toBe(0);
    const { cursor, reads } = open('abcdef', 2);
    expect([cursor.position, cursor.remaining]).toEqual([2, 4]);
    await cursor.buffer(1);
    expect(String.fromCharCode(cursor.byte())).toBe('c');
    expect([cursor.position, cursor.remaining]).toEqual([3, 3]);
    expect(reads).toEqual([[2, 4]]);
  });

  it('has nothing in memory before it is told to read', () => {
    const { cursor, reads } = open('abc');
    expect([cursor.has(0), cursor.has(1)]).toEqual([true, false]);
    expect(() => cursor.byte()).toThrow(new Defect('ends in the middle'));
    expect(() => cursor.take(1)).toThrow(new Defect('ends in the middle'));
    expect(cursor.position).toBe(0);
    expect(reads).toEqual([]);
  });

  it('takes bytes, the last ones included, and then no more', async () => {
    const { cursor } = open('abcde');
    await cursor.buffer(5);
    expect([cursor.has(5), cursor.has(6)]).toEqual([true, false]);
    expect(text(cursor.take(2))).toBe('ab');
    expect([cursor.has(3), cursor.has(4)]).toEqual([true, false]);
    expect(() => cursor.take(4)).toThrow(new Defect('ends in the middle'));
    expect(text(cursor.take(3))).toBe('cde');
    expect([cursor.position, cursor.remaining]).toEqual([5, 0]);
    expect(text(cursor.take(0))).toBe('');
  });

  it('reads at least a chunk, more if asked, and never beyond the end', async () => {
    const { cursor, reads } = open('x'.repeat(CHUNK * 3));
    await cursor.buffer(1);
    cursor.take(10);
    await cursor.buffer(CHUNK + 1);
    expect(cursor.position).toBe(10);
    cursor.take(CHUNK + 1);
    await cursor.buffer(CHUNK * 3);
    expect(cursor.position).toBe(CHUNK + 11);
    expect(reads).toEqual([
      [0, CHUNK],
      [10, CHUNK + 1],
      [CHUNK + 11, CHUNK * 2 - 11],
    ]);
  });

  it('reads a view of memory that begins elsewhere', async () => {
    const cursor = new Cursor({ sizeBytes: 2, read: async () => new Uint8Array(Buffer.from('abcd')).subarray(1, 3) });
    await cursor.buffer(2);
    expect(text(cursor.take(2))).toBe('bc');
  });
});

describe('skipping', () => {
  it('stays in memory as far as it reaches', async () => {
    const { cursor } = open('abcdef');
    await cursor.buffer(1);
    cursor.skip(3);
    expect(cursor.position).toBe(3);
    expect(text(cursor.take(1))).toBe('d');
    cursor.skip(2);
    expect(cursor.remaining).toBe(0);
  });

  it('reads nothing of what it skips', async () => {
    const { cursor, reads } = open(`${'x'.repeat(CHUNK * 2)}end`);
    await cursor.buffer(1);
    cursor.take(5);
    cursor.skip(CHUNK * 2 - 5);
    expect([cursor.position, cursor.has(0), cursor.has(1)]).toEqual([CHUNK * 2, true, false]);
    await cursor.buffer(3);
    expect(text(cursor.take(3))).toBe('end');
    expect(reads).toEqual([
      [0, CHUNK],
      [CHUNK * 2, 3],
    ]);
  });

  it('goes to the end, and not beyond', () => {
    const { cursor } = open('abcdef', 1);
    expect(() => cursor.skip(6)).toThrow(new Defect('claims more bytes than there are'));
    expect(cursor.position).toBe(1);
    cursor.skip(5);
    expect(cursor.position).toBe(6);
  });

  it('moves anywhere, back as well', async () => {
    const { cursor } = open('abcdef');
    await cursor.buffer(6);
    cursor.take(4);
    cursor.moveTo(1);
    expect([cursor.position, cursor.has(1)]).toEqual([1, false]);
    await cursor.buffer(1);
    expect(text(cursor.take(2))).toBe('bc');
  });
});

describe('a line', () => {
  const lines = async (content: string, max: number, count: number): Promise<readonly unknown[]> => {
    const { cursor } = open(content);
    const found: unknown[] = [];
    for (let i = 0; i < count; i++) {
      const { bytes, ended } = await cursor.line(max);
      found.push([text(bytes), ended, cursor.position]);
    }
    return found;
  };

  it('is what stands before a line feed', async () => {
    expect(await lines('ab\n\ncd\r\n', 4, 3)).toEqual([
      ['ab', true, 3],
      ['', true, 4],
      ['cd\r', true, 8],
    ]);
  });

  it('may lack the line feed at the end of the file', async () => {
    expect(await lines('ab\ncdef', 4, 3)).toEqual([
      ['ab', true, 3],
      ['cdef', false, 7],
      ['', false, 7],
    ]);
    expect(await lines('', 4, 1)).toEqual([['', false, 0]]);
  });

  it('is skipped when it is too long', async () => {
    expect(await lines('abcd\nabcde\nf\n', 4, 3)).toEqual([
      ['abcd', true, 5],
      [undefined, true, 11],
      ['f', true, 13],
    ]);
    expect(await lines('abcde', 4, 2)).toEqual([
      [undefined, false, 5],
      ['', false, 5],
    ]);
  });

  it('is found across the borders of what is read', async () => {
    for (const length of [1, 2, 3, 4, 5, 6])
      expect(await lines(`${'x'.repeat(CHUNK - length - 1)}\nabcd\ny`, 4, 3)).toEqual([
        [undefined, true, CHUNK - length],
        ['abcd', true, CHUNK - length + 5],
        ['y', false, CHUNK - length + 6],
      ]);
    for (const length of [CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 2, CHUNK * 2 + 1])
      expect(await lines(`${'x'.repeat(length)}\ny\n`, 4, 2)).toEqual([
        [undefined, true, length + 1],
        ['y', true, length + 3],
      ]);
    for (const length of [CHUNK, CHUNK * 2, CHUNK * 2 + 3]) expect(await lines('x'.repeat(length), 4, 1)).toEqual([[undefined, false, length]]);
  });

  it('may be longer than what is read otherwise', async () => {
    const { bytes, ended } = await open(`${'x'.repeat(CHUNK)}\n`).cursor.line(CHUNK);
    expect([bytes?.length, ended]).toEqual([CHUNK, true]);
  });

  it('reads again only when fewer bytes are in memory than it may have', async () => {
    const { cursor, reads } = open(`ab\n${'x'.repeat(CHUNK)}`);
    await cursor.buffer(1);
    expect((await cursor.line(CHUNK - 1)).ended).toBe(true);
    expect(reads).toEqual([[0, CHUNK]]);
    await cursor.line(CHUNK);
    expect(reads).toEqual([
      [0, CHUNK],
      [3, CHUNK],
    ]);
  });
});
