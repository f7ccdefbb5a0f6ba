// SPDX-License-Identifier: Apache-2.0
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource, windowSource } from '../../src/formats/byteSource.ts';
import { judgeHdf5 } from '../../src/formats/hdf5.ts';
import { searchBytes } from '../../src/formats/searchBytes.ts';
import { judgeGraph } from '../../src/formats/tensorflow.ts';
import { refusalsOf } from './look.ts';

const MIB = 1024 * 1024;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const blanks = (count: number): string => ' '.repeat(count);

/** `text` at a place in a file of zeros. */
function at(position: number, text: string, sizeBytes = position + text.length + 1000): ByteSource {
  const content = Buffer.alloc(sizeBytes);
  content.write(text, position, 'latin1');
  return bufferSource(content);
}

const hasCode = async (source: ByteSource): Promise<boolean> => (await judgeHdf5(source)).some((one) => one.kind === 'format' && one.format === 'remote-code');

describe('what is looked for in all bytes', () => {
  const LAMBDA = '"class_name": "Lambda"';

  it.each([0, 1, 11, 12, 13, 14, 15, 21, 22, 23, 200, 255, 256, 257])('is found when %i bytes of it lie in front of a limit', async (front) => {
    for (const limit of [MIB, 3 * MIB]) {
      expect(await hasCode(at(limit - front, LAMBDA))).toBe(true);
      expect(await hasCode(at(limit - front, '__lambda__'))).toBe(true);
    }
  });

  it('is found at the very end', async () => {
    for (const end of [MIB - 1, MIB, MIB + 1, 2 * MIB + 3]) expect(await hasCode(at(end - LAMBDA.length, LAMBDA, end))).toBe(true);
  });

  it.each<[string, string]>([
    ['600 blanks behind the colon', `"class_name":${blanks(600)}"Lambda"`],
    ['600 in front of it', `"class_name"${blanks(600)}:"Lambda"`],
    ['blanks on both sides', `"class_name"${blanks(300)}:${blanks(300)}"Lambda"`],
    ['63 on both sides', `"class_name"${blanks(63)}:${blanks(63)}"Lambda"`],
    ['64 on both sides', `"class_name"${blanks(64)}:${blanks(64)}"Lambda"`],
    ['lines and tabs', `"class_name"${'\r\n\t '.repeat(200)}:${'\n'.repeat(300)}"Lambda"`],
    ['an escape in its name', `"class_name"${blanks(600)}:${blanks(600)}"${'L'.repeat(40)}\\u0061"`],
    ['blanks in its name', `"class_name"${blanks(600)}:${blanks(600)}"${blanks(40)}\\u0061"`],
  ])('is found across a limit with %s', async (_what, text) => {
    for (let front = 0; front <= text.length; front += 59) expect(await hasCode(at(MIB - front, text, MIB + 1500)), String(front)).toBe(true);
  });

  it('is found with blanks over several limits', async () => {
    expect(await hasCode(at(MIB - 100, `"class_name":${blanks(3 * MIB)}"Lambda"`))).toBe(true);
    expect(await hasCode(at(MIB - 100, `"class_name"${blanks(MIB)}:${blanks(MIB)}"Lambda"`))).toBe(true);
  });

  it('is not found where it does not stand', async () => {
    // Not closer together than they were: fewer blanks are not taken for more, nor more for fewer.
    const near = [/a {3}b/, /a\s{63}b/, /ab/];
    for (const text of [`a${blanks(600)}b`, `a${blanks(64)}b`, `a${blanks(2)}b`])
      for (let front = 0; front <= text.length; front += Math.ceil(text.length / 20))
        expect(await searchBytes(at(MIB - front, text, MIB + 700), near)).toBe(false);
    expect(await hasCode(at(MIB - 50, `"class_name"${blanks(600)}"Lambda"`))).toBe(false);
    expect(await hasCode(at(MIB - 50, `"class_name":${blanks(600)}"Dense"`))).toBe(false);
    expect(await searchBytes(bufferSource(Buffer.alloc(0)), [/^/])).toBe(false);
  });

  it('is looked for in a time that grows with the file', async () => {
    const files = [blanks(4 * MIB), '"class_name"'.repeat(MIB / 4), `"class_name"${blanks(4 * MIB)}`, `"class_name" :${blanks(200)}`.repeat(MIB / 64)];
    for (const text of files) {
      const start = performance.now();
      expect(await hasCode(bufferSource(bytes(text)))).toBe(false);
      // Quadratic time would be hours.
      expect(performance.now() - start).toBeLessThan(5_000);
    }
  });

  it('is fetched once', async () => {
    const fetched: (readonly [number, number])[] = [];
    const source: ByteSource = {
      sizeBytes: 2 * MIB + 5,
      read: async (position, length) => {
        fetched.push([position, length]);
        return Buffer.alloc(length);
      },
    };
    expect(await judgeGraph(source)).toEqual([{ kind: 'format', format: 'tensorflow' }]);
    expect(fetched).toEqual([
      [0, MIB],
      [MIB, MIB],
      [2 * MIB, 5],
    ]);
  });
});

describe('what is written otherwise than usual', () => {
  it.each([
    String.raw`"\u0063\u006c\u0061\u0073\u0073\u005f\u006e\u0061\u006d\u0065": "Lambda"`,
    String.raw`"cl\u0061ss\u005Fname": "Lambda"`,
    String.raw`"class_n\u0061m\u0065":"\u004C\u0061\u006D\u0062\u0064\u0061"`,
    String.raw`"\u0063\u006c\u0061\u0073\u0073\u005f\u006e\u0061\u006d\u0065": "__l\u0061mbda__"`,
  ])('is a layer of code in Keras: %s', async (text) => {
    expect(Object.values(JSON.parse(`{${text}}`))).toContainEqual(expect.stringMatching(/^(Lambda|__lambda__)$/));
    expect(await hasCode(bufferSource(bytes(text)))).toBe(true);
    for (const front of [1, 60, 65, 70]) expect(await hasCode(at(MIB - front, text))).toBe(true);
  });

  it.each([
    String.raw`"class\u005fnames": "Lambda"`,
    String.raw`"cl\u0061ss_name": "Dense"`,
    String.raw`"cl\u0062ss_name": "Lambda"`,
    String.raw`"name": "\u0041"`,
  ])('is none of Keras: %s', async (text) => {
    expect(await hasCode(bufferSource(bytes(text)))).toBe(false);
  });

  it.each([
    ['as usual', '\x12\x08'],
    ['with a length of two bytes', '\x12\x88\0'],
    ['with a length of many bytes', '\x12\x88\x80\x80\x80\x80\0'],
    ['with a field of two bytes', '\x92\0\x08'],
    ['with more bytes for both', '\x92\x80\x80\x80\0\x88\x80\0'],
  ])('is an operation of TensorFlow: %s', async (_what, key) => {
    expect(await judgeGraph(bufferSource(bytes(`${key}ReadFile`)))).toContainEqual(expect.objectContaining({ format: 'remote-code' }));
  });

  it.each(['\x0a\x08ReadFile', '\x12\x08ReadFlie', '\x92\x08ReadFile', '\x12\x88ReadFile', '\x12\x80\0ReadFile', 'ReadFile'])(
    'is none of TensorFlow: %j',
    async (text) => {
      expect(await judgeGraph(bufferSource(bytes(text)))).toEqual([{ kind: 'format', format: 'tensorflow' }]);
    },
  );
});

describe('what was decompressed in part', () => {
  it('may have code in the rest, and is refused', async () => {
    const detail = 'needs more than the first 5 decompressed bytes to be judged';
    for (const [judge, format] of [[judgeHdf5, 'hdf5'] as const, [judgeGraph, 'tensorflow'] as const])
      expect(await judge(windowSource(bytes('hello'), 1000))).toEqual([
        { kind: 'format', format },
        { kind: 'malformed', format, detail },
      ]);
  });

  it('has code where it is seen', async () => {
    expect(await judgeHdf5(windowSource(bytes('__lambda__'), 1000))).toEqual([
      { kind: 'format', format: 'hdf5' },
      { kind: 'format', format: 'remote-code', detail: 'has a Keras layer of code' },
    ]);
  });

  it('hides no layer behind 64 MiB', async () => {
    const file = Buffer.concat([bytes('\x89HDF\r\n\x1a\n'), Buffer.alloc(65 * MIB), bytes('"class_name": "Lambda"')]);
    expect(await refusalsOf(gzipSync(file, { level: 1 }), 'model.h5.gz')).toEqual([
      'FORMAT_MALFORMED hdf5: needs more than the first 67108864 decompressed bytes to be judged',
    ]);
  });
});
