// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource, readExactly, readHead, slice, windowSource } from '../../src/formats/byteSource.ts';
import { BeyondLimits, Defect } from '../../src/formats/finding.ts';
import { searchBytes } from '../../src/formats/searchBytes.ts';
import { judgeGraph } from '../../src/formats/tensorflow.ts';

const LETTERS = bufferSource(Buffer.from('abcdefgh'));
async function read(source: ByteSource, position: number, length: number): Promise<string> {
  return Buffer.from(await source.read(position, length)).toString();
}

describe('a source of bytes in memory', () => {
  it('gives fewer bytes than asked only at the end', async () => {
    expect(LETTERS.sizeBytes).toBe(8);
    expect(LETTERS.readableBytes).toBeUndefined();
    expect(await read(LETTERS, 0, 3)).toBe('abc');
    expect(await read(LETTERS, 6, 3)).toBe('gh');
    expect(await read(LETTERS, 8, 3)).toBe('');
  });
});

describe('the beginning of something longer', () => {
  const window = windowSource(Buffer.from('abcd'), 6);

  it('says how long it is, and how much of it can be read', () => {
    expect([window.sizeBytes, window.readableBytes]).toEqual([6, 4]);
  });

  it.each([
    [0, 4, 'abcd'],
    [1, 2, 'bc'],
    [4, 0, ''],
    [5, 0, ''],
    [6, 1, ''],
    [9, 1, ''],
  ])('gives the bytes at %i, %i of them: %j', async (position, length, text) => {
    expect(await read(window, position, length)).toBe(text);
  });

  it.each([
    [0, 5],
    [3, 2],
    [4, 1],
    [5, 9],
  ])('refuses those at %i, %i of them, rather than to give fewer', async (position, length) => {
    await expect(window.read(position, length)).rejects.toThrow(BeyondLimits);
    await expect(window.read(position, length)).rejects.toThrow('needs more than the first 4 decompressed bytes to be judged');
  });

  it('that is all of it, is read to its end', async () => {
    const whole = windowSource(Buffer.from('abcd'), 4);
    expect(await read(whole, 2, 9)).toBe('cd');
    expect(await read(whole, 9, 9)).toBe('');
  });
});

describe('a part of a source', () => {
  const part = slice(LETTERS, 2, 3);

  it.each([
    [0, 3, 'cde'],
    [1, 1, 'd'],
    [0, 9, 'cde'],
    [2, 2, 'e'],
    [3, 1, ''],
    [5, 1, ''],
  ])('gives its own bytes at %i, %i of them: %j', async (position, length, text) => {
    expect(part.sizeBytes).toBe(3);
    expect(await read(part, position, length)).toBe(text);
  });
});

describe('bytes that have to be there', () => {
  const asked = (position: number, length: number): Promise<Buffer> => readExactly(LETTERS, position, length, 'the thing');

  it.each([
    [0, 8, 'abcdefgh'],
    [2, 3, 'cde'],
    [8, 0, ''],
  ])('are given: at %i, %i of them', async (position, length, text) => {
    expect((await asked(position, length)).toString()).toBe(text);
  });

  it.each([
    [0, 9],
    [7, 2],
    [9, 0],
    [-1, 1],
  ])('are refused beyond the end: at %i, %i of them', async (position, length) => {
    await expect(asked(position, length)).rejects.toThrow(/^the thing reaches beyond the end of the file$/);
    await expect(asked(position, length)).rejects.toThrow(Defect);
  });

  it('are 64 MiB at most', async () => {
    await expect(asked(0, 67_108_865)).rejects.toThrow('the thing has 67108865 bytes, more than the 67108864 that are read at once');
    await expect(asked(0, 67_108_864)).rejects.toThrow('the thing reaches beyond the end of the file');
  });

  it('are refused when the source gives fewer than it said', async () => {
    const liar: ByteSource = { sizeBytes: 8, read: async () => Buffer.from('ab') };
    await expect(readExactly(liar, 0, 3, 'the thing')).rejects.toThrow('the thing cannot be read whole');
    await expect(readExactly(liar, 0, 3, 'the thing')).rejects.toThrow(Defect);
    expect((await readExactly(liar, 0, 2, 'the thing')).toString()).toBe('ab');
  });

  it('are those of a part of an array', async () => {
    const middle = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 4);
    expect([...(await readExactly(bufferSource(middle), 0, 2, 'x'))]).toEqual([2, 3]);
    expect([...(await readHead(bufferSource(middle), 9))]).toEqual([2, 3, 4]);
  });

  it('at the beginning are as many as there are', async () => {
    expect((await readHead(LETTERS, 3)).toString()).toBe('abc');
    expect((await readHead(LETTERS, 9)).toString()).toBe('abcdefgh');
    // More than the source has is never asked for: what was not decompressed would refuse.
    expect((await readHead(windowSource(Buffer.from('abcd'), 4), 9)).toString()).toBe('abcd');
    await expect(readHead(windowSource(Buffer.from('abcd'), 6), 5)).rejects.toThrow(BeyondLimits);
  });
});

describe('a search through all bytes', () => {
  const MIB = 1024 * 1024;
  const found = (source: ByteSource, ...patterns: readonly RegExp[]): Promise<boolean> => searchBytes(source, patterns);
  const at = (position: number, text: string): ByteSource => bufferSource(Buffer.concat([Buffer.alloc(position), Buffer.from(text, 'latin1')]));

  it('finds any of the patterns', async () => {
    expect(await found(LETTERS, /xyz/, /def/)).toBe(true);
    expect(await found(LETTERS, /xyz/, /fed/)).toBe(false);
    expect(await found(LETTERS)).toBe(false);
    expect(await found(bufferSource(Buffer.alloc(0)), /^/)).toBe(false);
  });

  it('reads bytes as Latin-1', async () => {
    expect(await found(at(3, '\xff\xfe'), /\xff\xfe/)).toBe(true);
  });

  it.each([0, MIB - 8, MIB - 256, MIB - 4, MIB, 2 * MIB - 260, 2 * MIB - 4])('finds what begins at byte %i', async (position) => {
    expect(await found(at(position, 'needle'), /needle/)).toBe(true);
  });

  it('finds what is as long as the overlap, wherever it stands', async () => {
    const long = 'x'.repeat(256);
    for (const position of [MIB - 256, MIB - 255, MIB - 1]) expect(await found(at(position, long), /x{256}/)).toBe(true);
  });

  it('does not look at what was not decompressed, and asks for none of it', async () => {
    const bytes = Buffer.alloc(MIB + 10);
    bytes.write('needle', MIB);
    expect(await found(windowSource(bytes, 9 * MIB), /needle/)).toBe(true);
    expect(await found(windowSource(bytes.subarray(0, MIB + 5), 9 * MIB), /needle/)).toBe(false);
  });
});

describe('a graph of TensorFlow', () => {
  const judged = (text: string) => judgeGraph(bufferSource(Buffer.from(text, 'latin1')));
  const GRAPH = { kind: 'format', format: 'tensorflow' };
  const ACTIVE = { kind: 'format', format: 'remote-code', detail: 'has operations on files, or of Python' };

  it.each([
    '\x12\x08ReadFile',
    '\x12\x09WriteFile',
    '\x12\x0dMatchingFiles',
    '\x12\x06PyFunc',
    '\x12\x0fPyFuncStateless',
    '\x12\x0bEagerPyFunc',
    '\x12\x0eImmutableConst',
    '\x12\x05ReadFile',
    '\x12\x20ReadFile',
  ])('is remote code with %j', async (text) => {
    expect(await judged(`\x08\x01${text}`)).toEqual([GRAPH, ACTIVE]);
  });

  const NONE = ['\x12\x04Relu', 'ReadFile', '\x0a\x08ReadFile', '\x12\x04ReadFile', '\x12\x21ReadFile', '\x12\x08readfile'];
  it.each(NONE)('is none with %j', async (text) => {
    expect(await judged(`\x08\x01${text}`)).toEqual([GRAPH]);
  });
});
