// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { type NpyHeader, readNpyHeader } from '../../src/formats/numpy.ts';
import { refusalsOf, u16, u32 } from './look.ts';

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** A file with a header of version 1, and nothing behind it. */
function v1(header: string): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([1, 0]), u16(header.length), Buffer.from(header, 'latin1')]);
}

/** A file with a header of version 2 or 3, whose length has four bytes. */
function v4(version: number, header: string, length = Buffer.byteLength(header)): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([version, 0]), u32(length), Buffer.from(header)]);
}

const read = (file: Buffer): Promise<NpyHeader> => readNpyHeader(bufferSource(file));
const header = (descr: string, shape = '(3,)', order = 'False'): string => `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`;
const contentOf = async (descr: string, shape?: string): Promise<NpyHeader['content']> => (await read(v1(header(descr, shape)))).content;
const numbers = (sizeBytes: number): NpyHeader['content'] => ({ kind: 'numbers', sizeBytes });

describe('the header of an array', () => {
  const text = header("'<f4'");

  it.each<[string, Buffer, number]>([
    ['two bytes of length in version 1', v1(text), 10],
    ['four in version 2', v4(2, text), 12],
    ['four in version 3', v4(3, text), 12],
  ])('has %s', async (_what, file, start) => {
    expect(text).toHaveLength(57);
    expect(await read(file)).toEqual({ dataStart: start + 57, content: numbers(12) });
    expect(await read(Buffer.concat([file, Buffer.alloc(100)]))).toEqual({ dataStart: start + 57, content: numbers(12) });
  });

  it('is text of UTF-8 in version 3', async () => {
    const named = header("[('ä', '<f8')]", '(2,)');
    expect((await read(v4(3, named))).content).toEqual(numbers(16));
    expect((await read(v4(2, named))).content).toEqual(numbers(16));
  });

  it.each<[string, Buffer, string]>([
    ['version 0', Buffer.concat([MAGIC, Buffer.from([0, 0]), u16(0)]), 'has version 0.0'],
    ['version 4', v4(4, text), 'has version 4.0'],
    ['version 1.1', Buffer.concat([MAGIC, Buffer.from([1, 1]), u16(0)]), 'has version 1.1'],
    ['nothing behind its magic', MAGIC, 'the header reaches beyond the end of the file'],
    ['half a length', Buffer.concat([MAGIC, Buffer.from([2, 0, 1, 0, 0])]), 'the header’s length reaches beyond the end of the file'],
    ['less than its length', v1(text).subarray(0, -1), 'the header reaches beyond the end of the file'],
    ['more than 64 KiB', v4(2, text, 65_537), 'the header has 65537 bytes, more than 65536'],
    ['64 KiB, which are not there', v4(2, text, 65_536), 'the header reaches beyond the end of the file'],
  ])('is refused with %s', async (_what, file, message) => {
    await expect(read(file)).rejects.toThrow(Defect);
    await expect(read(file)).rejects.toThrow(new Defect(message));
  });

  it('may have 64 KiB', async () => {
    expect(await read(v4(2, header("'<f4'").padEnd(65_536)))).toEqual({ dataStart: 65_548, content: numbers(12) });
  });
});

describe('the dictionary of a header', () => {
  it.each([
    ['as numpy writes it', "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }          \n"],
    ['in another order, of Fortran', "{'shape': (3,), 'fortran_order': True, 'descr': '<f4'}"],
    ['with other quotes', '{"descr": "<f4", "fortran_order": False, "shape": (3,)}'],
    ['without blanks', "{'descr':'<f4','fortran_order':False,'shape':(3,)}"],
    ['with more blanks', "  { 'descr'  :  '<f4'  ,\n'fortran_order' : False , 'shape' : ( 3 , ) }  "],
    ['with numbers of Python 2', "{'descr': '<f4', 'fortran_order': False, 'shape': (3L,)}"],
  ])('is read %s', async (_what, text) => {
    expect((await read(v1(text))).content).toEqual(numbers(12));
  });

  it.each([
    ['not a dictionary', 'the header cannot be read'],
    [`x${header("'<f4'")}`, 'the header cannot be read'],
    [`${header("'<f4'")}x`, 'the header cannot be read'],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", 'the header has other fields than descr, fortran_order and shape'],
    ["{'descr': '<f4', 'descr': '|O', 'fortran_order': False, 'shape': (3,)}", 'the header has other fields than descr, fortran_order and shape'],
    ["{'descr\": '<f4', 'fortran_order': False, 'shape': (3,)}", 'the header cannot be read'],
    ["{x'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 'the header cannot be read'],
    ["{'descr': '<f4',, 'fortran_order': False, 'shape': (3,)}", 'the header cannot be read'],
    ["{'descr': '<f4', 'fortran_order': False}", 'the header’s shape or order cannot be read'],
    ["{'descr': '<f4', 'shape': (3,)}", 'the header’s shape or order cannot be read'],
    ["{'fortran_order': False, 'shape': (3,)}", 'the header’s type cannot be read'],
    ['{}', 'the header’s shape or order cannot be read'],
    [header("'<f4'", '(3,)', 'None'), 'the header cannot be read'],
    [header("'<f4'", '(3,)', 'True or 1'), 'the header cannot be read'],
    [header("'<f4'", '(3,)', 'not False'), 'the header cannot be read'],
    [header("'<f4'", '[3]'), 'the header’s shape or order cannot be read'],
    [header("'<f4'", '3'), 'the header’s shape or order cannot be read'],
    [header("'<f4'", '(3)'), 'the header’s shape or order cannot be read'],
    [header("'<f4'", '(-3,)'), 'the header cannot be read'],
    [header("'<f4'", '(3.0,)'), 'the header cannot be read'],
    [header("'<f4'", '(1 2,)'), 'the header cannot be read'],
    [header("'<f4'", '(,)'), 'the header cannot be read'],
    [header("'<f4'", '(3,)*2'), 'the header cannot be read'],
    [header("'<f4'", '2*(3,)'), 'the header cannot be read'],
    [header("'<f4'", '(12345678901234567,)'), 'the header cannot be read'],
    [header("'<f4'", '(12345678901234567)'), 'the header cannot be read'],
  ])('is refused: %s', async (text, message) => {
    await expect(read(v1(text))).rejects.toThrow(Defect);
    await expect(read(v1(text))).rejects.toThrow(new Defect(message));
  });

  it('is not taken apart within texts and brackets', async () => {
    expect(await contentOf(`[('a,b', '<f4'), ("c]}'", '<i2', (2, 3)), ('"(', '|u1')]`)).toEqual(numbers(51));
  });

  it('is nested at most 16 levels deep', async () => {
    const nested = (levels: number, type: string): string => `${"[('a', ".repeat(levels)}${type}${')]'.repeat(levels)}`;
    expect(await contentOf(nested(8, "'<f4'"))).toEqual(numbers(12));
    await expect(contentOf(nested(8, "('<f4')"))).rejects.toThrow(new Defect('the header is nested too deeply'));
    await expect(contentOf(nested(8, "['<f4']"))).rejects.toThrow(new Defect('the header is nested too deeply'));
    await expect(contentOf(nested(8, "{'<f4'}"))).rejects.toThrow(new Defect('the header is nested too deeply'));
    // One beside the other is not nested.
    expect(await contentOf(`[${"('a', [('b', '<f4')]), ".repeat(40)}]`, '()')).toEqual(numbers(160));
  });
});

describe('the size of an array', () => {
  it.each([
    ['()', 4],
    ['(5,)', 20],
    ['(2, 3)', 24],
    ['(2,3,4,)', 96],
    ['(2 , 3L)', 24],
    ['(0,)', 0],
    ['(12, 0)', 0],
    ['(1234567890123456,)', 4_938_271_560_493_824],
  ])('of the shape %s is that of its items', async (shape, sizeBytes) => {
    expect(await contentOf("'<f4'", shape)).toEqual(numbers(sizeBytes));
  });

  it('does not wrap round', async () => {
    expect(await contentOf("'<f4'", '(4294967296, 4294967296)')).toEqual(numbers(2 ** 66));
  });

  it.each([
    ["'<f4'", 4],
    ["'>f8'", 8],
    ["'=i2'", 2],
    ["'|b1'", 1],
    ['"<u8"', 8],
    ["'u4'", 4],
    ["'<c16'", 16],
    ["'|S10'", 10],
    ["'|a3'", 3],
    ["'<U10'", 40],
    ["'|V24'", 24],
    ["'?'", 1],
    ["'<M8[ns]'", 8],
    ["'<m8[25us]'", 8],
    ["'<M8'", 8],
    ["[('a', '<f4')]", 4],
    ["[('a', '<f4'), ('b', '<i2')]", 6],
    ["[('a', '<f4'), ('b', '<i2'), ]", 6],
    ["[('a', '<f4', (2,))]", 8],
    ["[('a', '<f4', (2, 3)), ('b', '|u1')]", 25],
    ["[('a','<f4',(2,))]", 8],
    ["[('a', '<f4',  (2,))]", 8],
    ["[('a', '<f4', (12, 10))]", 480],
    ["[('a', ('<f4', (2,)), (3,))]", 24],
    ["[('a', '<f4', ())]", 4],
    ["[('a', '<f4', )]", 4],
    ["[(('title', 'a'), '<f4')]", 4],
    ["[ ( 'a' , '<f4' , ( 2 , ) ) , ('b', '|u1') ]", 9],
    ["[('a', [('b', '<f4'), ('c', '<f8')], (2,)), ('d', '|u1')]", 25],
    ['[]', 0],
  ])('of the type %s is %i bytes an item', async (descr, sizeBytes) => {
    expect(await contentOf(descr, '()')).toEqual(numbers(sizeBytes));
    expect(await contentOf(descr, '(2,)')).toEqual(numbers(2 * sizeBytes));
  });

  it.each(["'O'", "'|O'", "'|O8'", "'<O4'", "[('a', '<f4'), ('b', '|O')]", "[('a', '|O'), ('b', '<f4')]", "[('a', [('b', 'O')], (2,))]"])(
    'of the type %s is that of a pickle',
    async (descr) => {
      expect(await contentOf(descr)).toEqual({ kind: 'objects' });
    },
  );

  it.each([
    ["'<g16'", 'the header’s type is unknown'],
    ["'<x4'", 'the header’s type is unknown'],
    ["'<f'", 'the header’s type is unknown'],
    ["'<M[ns]'", 'the header’s type is unknown'],
    ["'?1'", 'the header’s type is unknown'],
    ["'<f4[ns]'", 'the header’s type is unknown'],
    ["'<o4'", 'the header’s type is unknown'],
    ["'f4,O'", 'the header’s type cannot be read'],
    ["'(2,)f4'", 'the header’s type cannot be read'],
    ["'<<f4'", 'the header’s type cannot be read'],
    ["'float32'", 'the header’s type cannot be read'],
    ["'<f4' 'x'", 'the header cannot be read'],
    ["b'<f4'", 'the header cannot be read'],
    ["u'<f4'", 'the header cannot be read'],
    ["''", 'the header’s type cannot be read'],
    ['__import__("os")', 'the header cannot be read'],
    ["x[('a', '<f4')]", 'the header cannot be read'],
    ["[('a', '<f4')]x", 'the header cannot be read'],
    ["{'a': 1}", 'the header’s type cannot be read'],
    ["['<f4']", 'the header’s structure cannot be read'],
    ["[x('a', '<f4')]", 'the header cannot be read'],
    ["[('a', '<f4')x]", 'the header cannot be read'],
    ['[()]', 'the header’s structure cannot be read'],
    ["[('a')]", 'the header’s structure cannot be read'],
    ["[('a', '<f4', (2,), 3)]", 'the header’s structure cannot be read'],
    ["[('a', '<f4', 2)]", 'the header’s structure cannot be read'],
    ["[('a', '<f4', (2,)*3)]", 'the header cannot be read'],
    ["[('a', '<f4', 3*(2,))]", 'the header cannot be read'],
    ["[('a', '<f4', (x,))]", 'the header cannot be read'],
    ["[('a', '<f4', [2])]", 'the header’s structure cannot be read'],
    ["[('a', '<x4')]", 'the header’s type is unknown'],
  ])('of the type %s is not known', async (descr, message) => {
    await expect(contentOf(descr)).rejects.toThrow(Defect);
    await expect(contentOf(descr)).rejects.toThrow(new Defect(message));
  });
});

describe('a header that numbers cannot be computed from', () => {
  const [nines, blanks] = ['9'.repeat(400), ' '.repeat(60_000)];

  it.each([
    ['an item of too many digits', header(`'<f${nines}'`)],
    ['an item of eleven digits', header("'<f99999999999'")],
    ['too many digits in its shape', header("'<f4'", `(${nines},)`)],
    ['an array of too many digits within', header(`[('a', '<f4', (${nines},))]`)],
    ['as many, and none of them', header(`[('a', '<f4', (0, ${nines}))]`)],
    ['65 dimensions', header("'<f4'", `(${'1,'.repeat(65)})`)],
    ['65 dimensions within', header(`[('a', '<f4', (${'1,'.repeat(65)}))]`)],
    ['a size beyond all numbers', header("'<f4'", `(${'9999999999999999,'.repeat(64)})`)],
    ['a number that Python does not read', header("'<f4'", '(012,)')],
    ['another', header("'<f4'", '(3LL,)')],
    ['a text that does not end', `{'descr': '<f4`],
    ['brackets that do not end', header('[(')],
    ['brackets without end', header('('.repeat(60_000))],
    ['other brackets', header("[('a', '<f4']")],
  ])('is refused: %s', async (_what, text) => {
    expect(await refusalsOf(v4(2, text), 'x.npy')).toEqual([expect.stringMatching(/^FORMAT_MALFORMED npy: /)]);
  });

  it('may have 64 dimensions', async () => {
    expect(await contentOf("'<f4'", `(${'1,'.repeat(64)})`)).toEqual(numbers(4));
    await expect(contentOf("'<f4'", `(${'1,'.repeat(65)})`)).rejects.toThrow(new Defect('the header has a shape of more than 64 dimensions'));
  });

  it.each([
    ['a shape', header("'<f4'", `(2,${blanks})`)],
    ['a shape that breaks off', header("'<f4'", `(2,${blanks}x)`)],
    ['an empty shape', header("'<f4'", `(${blanks}`)],
    ['a type', header(`a${blanks}b`)],
    ['a type, as a text', header(`'<f4${blanks}`)],
    ['a structure', header(`[('a', '<f4', (2,${blanks}x))]`)],
    ['front of all', blanks],
    ['front of something else', `${blanks}x`],
    ['the end', `${header("'<f4'")}${blanks}x`],
    ['front of a comma', header(`'<f4'${blanks}`)],
    ['no place, but backslashes in a name', header(`[('${'\\'.repeat(60_000)}`)],
    ['no place, but quotes', header(`'"`.repeat(30_000))],
    ['no place, but brackets', header('[],'.repeat(20_000))],
  ])('is read in no time, with blanks in %s', async (_what, text) => {
    const start = performance.now();
    await read(v4(2, text)).catch((error: unknown) => expect(error).toBeInstanceOf(Defect));
    // Quadratic time would be seconds.
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe('a name with an escape', () => {
  // Read without escapes these names end elsewhere, and objects look like numbers.
  it.each([
    ['ends where Python ends it', String.raw`[("\",'<f4'),(\"(\\", 'O'),("\\)",'<f4')]`],
    ['hides no object behind a quote', String.raw`[('a\'', '|O'), ('b', '<f4')]`],
    ['hides no object behind a backslash', String.raw`[('\\', '|O'), ('b', '<f4')]`],
  ])('%s', async (_what, descr) => {
    expect(await contentOf(descr)).toEqual({ kind: 'objects' });
  });

  it('is read as numpy writes it', async () => {
    expect(await contentOf(String.raw`[(("ti'tle", 'a"b\'c\n\x00'), '<f4'), ('', '|V7'), ('b', '<f8')]`)).toEqual(numbers(57));
  });

  it('is none of a type, or of the header’s', async () => {
    await expect(contentOf(String.raw`'\x4f'`)).rejects.toThrow(new Defect('the header’s type cannot be read'));
    await expect(read(v1(header("'<f4'").replace('descr', String.raw`d\x65scr`)))).rejects.toThrow(/^the header has other fields than/);
  });
});
