// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource, windowSource } from '../../src/formats/byteSource.ts';
import { type PickleWalk, walkPickle } from '../../src/formats/pickle.ts';
import { judgeImport } from '../../src/formats/pickleImports.ts';
import { NONE, type Value } from '../../src/formats/pickleMachine.ts';
import { u32, u64 } from './look.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
/** Little-endian numbers of four and eight bytes, as part of a text. */
const four = (value: number): string => u32(value).toString('latin1');
const eight = (value: bigint | number): string => u64(value).toString('latin1');
const chunk = 262_144;

const walk = (content: string, opcodes = 1_000_000): Promise<PickleWalk> => walkPickle(bufferSource(bytes(content)), 0, { opcodes });
const resultOf = async (content: string): Promise<Value> => {
  const { defect, result, end } = await walk(content);
  expect([defect, end]).toEqual([undefined, content.length]);
  return result;
};
const importsOf = async (content: string): Promise<readonly string[]> =>
  (await walk(content)).imports.map(({ module, name, verdict }) => `${module} ${name} ${verdict}`);
const defectOf = async (content: string): Promise<readonly unknown[]> => {
  const { defect, beyond } = await walk(content);
  return [defect, beyond];
};

const tuple = (...items: readonly Value[]): Value => ({ kind: 'tuple', items });
const global = (module: string, name: string): Value => ({ kind: 'global', module, name });
const call = (of: Value, args: Value): Value => ({ kind: 'instance', of, args, state: undefined });
const dict = (vague: boolean, ...entries: readonly [string, Value][]): Value => ({ kind: 'dict', entries: new Map(entries), vague });
const AB = global('a', 'b');
const IMPORT = 'ca\nb\n';

describe('an opcode leaves on the stack', () => {
  it.each<[string, string, Value]>([
    ['POP', 'K\x01K\x020.', 1],
    ['POP, a mark', 'K\x01(0.', 1],
    ['POP_MARK', 'K\x01(K\x02K\x031.', 1],
    ['DUP', 'K\x012\x86.', tuple(1, 1)],
    ['NONE', 'N.', NONE],
    ['NEWTRUE', '\x88.', true],
    ['NEWFALSE', '\x89.', false],
    ['BINPERSID', 'K\x01K\x02Q\x86.', tuple(1, undefined)],
    ['PERSID', 'K\x01Pid\n\x86.', tuple(1, undefined)],
    ['EMPTY_TUPLE', ').', tuple()],
    ['TUPLE', 'N(K\x01K\x02t\x85.', tuple(tuple(1, 2))],
    ['TUPLE1', 'K\x01\x85.', tuple(1)],
    ['TUPLE2', 'K\x01K\x02\x86.', tuple(1, 2)],
    ['TUPLE3', 'K\x01K\x02K\x03\x87.', tuple(1, 2, 3)],
    ['EMPTY_DICT', '}.', dict(false)],
    ['DICT', '(U\x01aK\x01U\x01bK\x02d.', dict(false, ['a', 1], ['b', 2])],
    ['SETITEM', '}U\x01aK\x01s.', dict(false, ['a', 1])],
    ['SETITEM, a key that is no text', '}K\x01K\x02s.', dict(true)],
    ['SETITEMS', '}(U\x01aK\x01U\x01bK\x02u.', dict(false, ['a', 1], ['b', 2])],
    ['EMPTY_LIST', 'K\x01]\x86.', tuple(1, undefined)],
    ['EMPTY_SET', 'K\x01\x8f\x86.', tuple(1, undefined)],
    ['LIST', 'K\x01(NNl\x86.', tuple(1, undefined)],
    ['FROZENSET', 'K\x01(NN\x91\x86.', tuple(1, undefined)],
    ['APPEND', 'K\x01K\x02a.', 1],
    ['APPENDS', 'K\x01(K\x02K\x03e.', 1],
    ['ADDITEMS', 'K\x01(K\x02K\x03\x90.', 1],
    ['GLOBAL', `${IMPORT}.`, AB],
    ['STACK_GLOBAL', 'U\x01aU\x01b\x93.', AB],
    ['REDUCE', `${IMPORT}K\x01\x85R.`, call(AB, tuple(1))],
    ['NEWOBJ', `${IMPORT}K\x01\x85\x81.`, call(AB, tuple(1))],
    ['NEWOBJ_EX', `${IMPORT}K\x01\x85}\x92.`, call(AB, tuple(1))],
    ['OBJ', `N(${IMPORT}K\x01K\x02o\x85.`, tuple(call(AB, tuple(1, 2)))],
    ['INST', 'N(K\x01K\x02ia\nb\n\x85.', tuple(call(AB, tuple(1, 2)))],
    ['OBJ, of its arguments eight', `(${IMPORT}K\x01K\x02K\x03K\x04K\x05K\x06K\x07K\x08K\x09o.`, call(AB, tuple(1, 2, 3, 4, 5, 6, 7, 8))],
    ['INST, of its arguments eight', '(K\x01K\x02K\x03K\x04K\x05K\x06K\x07K\x08K\x09ia\nb\n.', call(AB, tuple(1, 2, 3, 4, 5, 6, 7, 8))],
    ['BUILD', `${IMPORT})R}b.`, { kind: 'instance', of: AB, args: tuple(), state: dict(false) }],
    ['EXT1', '\x82\xf0.', global('<computed>', 'extension 240')],
    ['EXT2', '\x83\x01\x02.', global('<computed>', 'extension 513')],
    ['EXT4', '\x84\x01\x02\0\0.', global('<computed>', 'extension 513')],
    ['PROTO', '\x80\x05N.', NONE],
    ['FRAME', `N\x95${eight(1)}.`, NONE],
    ['BININT1', 'K\xff.', 255],
    ['BININT2', 'M\x01\xff.', 65_281],
    ['BININT', 'J\xfe\xff\xff\xff.', -2],
    ['LONG1', '\x8a\x02\x00\x01.', 256n],
    ['LONG1, a negative one', '\x8a\x01\xff.', -1n],
    ['LONG1, nothing', '\x8a\0.', 0],
    ['LONG1, 16 bytes', `\x8a\x10${'\0'.repeat(15)}\x01.`, 2n ** 120n],
    ['LONG1, 17 bytes', `K\x01\x8a\x11${'\0'.repeat(16)}\x01\x86.`, tuple(1, undefined)],
    ['LONG4', `K\x01\x8b${four(2)}\x01\x02\x86.`, tuple(1, undefined)],
    ['BINFLOAT', 'K\x01G12345678\x86.', tuple(1, undefined)],
    ['SHORT_BINSTRING', 'U\x02os.', 'os'],
    ['SHORT_BINUNICODE', '\x8c\x02\xc3\xa4.', 'ä'],
    ['BINSTRING', `T${four(2)}os.`, 'os'],
    ['BINUNICODE', `X${four(2)}os.`, 'os'],
    ['BINUNICODE8', `\x8d${eight(2)}os.`, 'os'],
    ['a text of no bytes', 'U\0.', ''],
    ['bytes, none', 'K\x01C\0\x86.', tuple(1, undefined)],
    ['a text of 4096 bytes', `X${four(4096)}${'x'.repeat(4096)}.`, 'x'.repeat(4096)],
    ['a text of 4097 bytes', `K\x01X${four(4097)}${'x'.repeat(4097)}\x86.`, tuple(1, undefined)],
    ['SHORT_BINBYTES', 'K\x01C\x02os\x86.', tuple(1, undefined)],
    ['BINBYTES', `K\x01B${four(2)}os\x86.`, tuple(1, undefined)],
    ['BINBYTES8', `K\x01\x8e${eight(2)}os\x86.`, tuple(1, undefined)],
    ['BYTEARRAY8', `K\x01\x96${eight(2)}os\x86.`, tuple(1, undefined)],
    ['NEXT_BUFFER', 'K\x01\x97\x86.', tuple(1, undefined)],
    ['READONLY_BUFFER', 'K\x01\x98.', 1],
    ['MEMOIZE and BINGET', 'K\x01\x94K\x02\x94h\0\x87.', tuple(1, 2, 1)],
    ['BINPUT and BINGET', 'K\x01q\xffK\x02h\xff\x87.', tuple(1, 2, 1)],
    ['LONG_BINPUT and LONG_BINGET', `K\x01r${four(70_000)}K\x02j${four(70_000)}\x87.`, tuple(1, 2, 1)],
    ['PUT and GET', 'K\x01p7\nK\x02g07\n\x87.', tuple(1, 2, 1)],
    ['INT', 'I-17\n.', -17],
    ['INT, an octal one', 'K\x01I010\n\x86.', tuple(1, undefined)],
    ['LONG', 'L17L\n.', 17],
    ['INT, of more than 4096 bytes', `K\x01I${' '.repeat(4096)}1\n\x86.`, tuple(1, undefined)],
    ['FLOAT', 'K\x01F1.5\n\x86.', tuple(1, undefined)],
    ['FLOAT, of more than 4096 bytes', `K\x01F${' '.repeat(4096)}1\n\x86.`, tuple(1, undefined)],
    ['STRING', "S'os'\n.", 'os'],
    ['STRING, other quotes', 'S"o\'s"\n.', "o's"],
    ['STRING, spaces around it', "S 'os'\r\n.", 'os'],
    ['STRING, escapes', "S'o\\x73'\n.", 'os'],
    ['STRING, a carriage return', "S'o\rs'\n.", 'o\rs'],
    ['STRING, nothing', "S''\n.", ''],
    ['STRING, of more than 4096 bytes', `K\x01S'${'x'.repeat(4095)}'\n\x86.`, tuple(1, undefined)],
    ['UNICODE', 'Vos\n.', 'os'],
    ['UNICODE, Latin-1 and escapes', 'V\xe4\\u0073\n.', 'äs'],
    ['UNICODE, of more than 4096 bytes', `K\x01V${'x'.repeat(4097)}\n\x86.`, tuple(1, undefined)],
  ])('%s', async (_what, content, expected) => {
    expect(await resultOf(content)).toEqual(expected);
    expect((await walk(content)).ran.fault).toBe(false);
  });
});

describe('the opcodes', () => {
  // All that Python 3 has, up to protocol 5.
  const LETTERS = '().012BCFGIJKLMNPQRSTUVX]abcdeghijlopqrstu}';
  const OTHERS = '\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98';

  it('are those of Python, and no others', async () => {
    let known = '';
    for (let code = 0; code < 256; code++) {
      const { defect } = await walk(String.fromCharCode(code));
      if (defect?.startsWith('has no opcode') !== true) known += String.fromCharCode(code);
    }
    expect(known).toBe(LETTERS + OTHERS);
  });

  it('that there are not are named with their place', async () => {
    expect(await defectOf('N\xff')).toEqual(['has no opcode 0xff at byte 1', false]);
    expect(await defectOf('NN\x03')).toEqual(['has no opcode 0x03 at byte 2', false]);
  });

  it('are walked as many as there may be, and no more', async () => {
    const budget = { opcodes: 5 };
    const source = bufferSource(bytes('NNN.'));
    expect((await walkPickle(source, 0, budget)).defect).toBeUndefined();
    expect(budget.opcodes).toBe(1);
    expect(await walkPickle(source, 0, budget)).toMatchObject({ defect: 'has more opcodes than are walked', beyond: true, end: 1 });
    expect((await walk('NNN.', 4)).defect).toBeUndefined();
    expect((await walk('NNN.', 3)).defect).toBe('has more opcodes than are walked');
  });
});

describe('a loader would have stopped', () => {
  // What lies on the stack, and what is missing.
  it.each([
    ['POP', '', '0', 'N'],
    ['DUP', '', '2', 'N'],
    ['BINPERSID', '', 'Q', 'N'],
    ['REDUCE', 'N', 'R', 'N'],
    ['NEWOBJ', 'N', '\x81', 'N'],
    ['NEWOBJ_EX', 'NN', '\x92', 'N'],
    ['APPEND', 'N', 'a', 'N'],
    ['SETITEM', 'NN', 's', 'N'],
    ['BUILD', 'N', 'b', 'N'],
    ['TUPLE1', '', '\x85', 'N'],
    ['TUPLE2', 'N', '\x86', 'N'],
    ['TUPLE3', 'NN', '\x87', 'N'],
    ['STACK_GLOBAL', 'U\x01a', '\x93', 'U\x01b'],
    ['MEMOIZE', '', '\x94', 'N'],
    ['READONLY_BUFFER', '', '\x98', 'N'],
    ['BINPUT', '', 'q\0', 'N'],
    ['LONG_BINPUT', '', `r${four(0)}`, 'N'],
    ['PUT', '', 'p0\n', 'N'],
    ['BINGET', 'N', 'h\0', 'q\0'],
    ['LONG_BINGET', 'N', `j${four(0)}`, 'q\0'],
    ['GET', 'N', 'g0\n', 'q\0'],
    ['POP_MARK', 'N', '1', '('],
    ['LIST', 'N', 'l', '('],
    ['FROZENSET', 'N', '\x91', '('],
    ['TUPLE', 'N', 't', '('],
    ['DICT', 'N', 'd', '('],
    ['APPENDS', 'N', 'e', '('],
    ['ADDITEMS', 'N', '\x90', '('],
    ['SETITEMS', 'N', 'u', '('],
    ['OBJ', '(', 'o', 'N'],
    ['INST', 'N', 'ia\nb\n', '('],
    ['STOP', '', '.', 'N'],
  ])('at %s for want of a value', async (_what, before, opcode, missing) => {
    expect((await walk(before + opcode)).ran.fault).toBe(true);
    expect((await walk(before + missing + opcode)).ran.fault).toBe(false);
  });

  it.each([
    ['APPENDS without a list', '(e'],
    ['ADDITEMS without a set', '(\x90'],
    ['SETITEMS without a dictionary', '(u'],
    ['an INT that is no number', 'Ihello\n'],
    ['a LONG that is no number', 'Lhello\n'],
    ['a FLOAT that is no number', 'Fhello\n'],
    ['a STRING without quotes', 'Sos\n'],
    ['a STRING of one quote', "S'\n"],
    ['a STRING that begins before its quotes', "Sx'os'\n"],
    ['a STRING that goes on behind its quotes', "S'os'x\n"],
    ['a STRING of different quotes', 'S\'os"\n'],
    ['a module with a space', 'co s\nsystem\n'],
    ['a module behind a space', 'c os\nsystem\n'],
    ['a module without a name', 'c\nsystem\n'],
    ['a module called as none can be', 'ios!\nsystem\n'],
    ['a module that is not UTF-8', 'c\xff\nsystem\n'],
  ])('at %s', async (_what, content) => {
    expect((await walk(`(${content}`)).ran.fault).toBe(true);
  });

  const FINE = ['cos.path\njoin\n', 'c_io-2\nx\n', 'c\xc3\xa4\nx\n', 'N\x8c\x01x\x93', '\x82\x01', 'F-1_0.5\n', 'I0x10\n'];
  it.each(FINE)('not at %j', async (content) => {
    expect((await walk(content)).ran.fault).toBe(false);
  });
});

describe('what a loader would have done', () => {
  const ranOf = async (content: string): Promise<readonly (number | boolean)[]> => {
    const { ran } = await walk(content);
    return [ran.imports, ran.calls, ran.containers, ran.fault];
  };

  it.each([
    ['nothing', 'NK\x01', [0, 0, 0, false]],
    ['imports', `${IMPORT}${IMPORT}\x82\x01U\x01aU\x01b\x93`, [4, 0, 0, false]],
    ['calls', 'NNRNN\x81NNN\x92(NoNNb', [0, 5, 0, false]],
    ['both, by INST', '(ia\nb\n', [1, 1, 0, false]],
    ['empty containers', ')]}\x8f', [0, 0, 4, false]],
    ['tuples', 'N\x85NN\x86NNN\x87(t', [0, 0, 4, false]],
    ['containers of what lies above a mark', '(l(d(\x91(t', [0, 0, 4, false]],
    ['additions', 'NNaN(e(\x90(uNNs', [0, 0, 5, false]],
  ])('counts: %s', async (_what, content, expected) => {
    expect(await ranOf(content)).toEqual(expected);
  });

  it.each([
    ['import', IMPORT],
    ['import, by an extension', '\x82\x01'],
    ['call', 'NNR'],
    ['call, by INST', '(ia\nb\n'],
    ['state', 'NNb'],
    ['container', ']'],
  ])('does not count an %s behind a fault', async (_what, content) => {
    expect(await ranOf(`0${content}`)).toEqual([0, 0, 0, true]);
  });

  it.each([
    ['import', 'U\x01a\x93'],
    ['import of what is no module', 'co s\nx\n'],
    ['call', 'R'],
    ['call, by INST', 'ia\nb\n'],
    ['call of nothing', '(o'],
    ['state', 'b'],
    ['tuple', '\x85'],
    ['list', 'l'],
  ])('does not count an %s that is the fault itself', async (_what, content) => {
    expect(await ranOf(content)).toEqual([0, 0, 0, true]);
  });

  it('is a fault for good', async () => {
    expect(await ranOf(`0N${IMPORT}.`)).toEqual([0, 0, 0, true]);
  });
});

describe('a walk', () => {
  it('begins where it is told to, and ends behind STOP', async () => {
    const found = await walkPickle(bufferSource(bytes('xxK\x07.rest')), 2, { opcodes: 10 });
    expect(found).toEqual({
      start: 2,
      end: 5,
      defect: undefined,
      beyond: false,
      imports: [],
      result: 7,
      arrays: false,
      ran: { imports: 0, calls: 0, containers: 0, fault: false },
    });
  });

  it.each([
    ['nothing at all', ''],
    ['no STOP', 'N'],
    ['half a number', 'J\x01\x02\x03'],
    ['half a FRAME', '\x95\0\0\0'],
    ['half a float', 'G1234567'],
    ['no protocol', '\x80'],
    ['half a text', 'U\x03os'],
    ['a line of a number without an end', 'I12'],
    ['a line of a float without an end', 'Fhello'],
    ['a line of a text without an end', "S'os'"],
    ['a line of an index without an end', 'Np12'],
    ['a line of an identifier without an end', 'Pid'],
    ['no module', 'c'],
    ['no name', 'cos\n'],
    ['no name of an instance', '(ios\n'],
  ])('ends in the middle of %s', async (_what, content) => {
    expect(await walk(content)).toMatchObject({ defect: 'ends in the middle', beyond: false, imports: [], ran: { fault: false } });
  });

  it.each([
    ['a protocol', '\x80\x06', 'uses a protocol that does not exist'],
    ['BINSTRING', `T${four(0xffffffff)}`, 'claims a negative length'],
    ['LONG4', `\x8b${four(0xffffffff)}`, 'claims a negative length'],
    ['BINUNICODE', `X${four(0xffffffff)}`, 'claims more bytes than there are'],
    ['BINBYTES', `B${four(0xffffffff)}`, 'claims more bytes than there are'],
    ['BINUNICODE8', `\x8d${eight(2n ** 63n)}`, 'claims more bytes than there are'],
    ['BINBYTES8', `\x8e${eight(2n ** 64n - 1n)}`, 'claims more bytes than there are'],
    ['SHORT_BINBYTES', 'C\x03os', 'claims more bytes than there are'],
    ['PUT', 'Npx\n', 'has a memo index that is no number'],
    ['PUT, without end', `p${' '.repeat(4097)}\n`, 'has a memo index that is no number'],
    ['GET', 'g-1\n', 'has a memo index that is no number'],
  ])('ends at %s', async (_what, content, defect) => {
    expect(await defectOf(content)).toEqual([defect, false]);
  });

  it.each([
    ['there is a value', `Np${' '.repeat(4096)}1\n.`],
    ['there was a value', `Nq\x000g${' '.repeat(4096)}1\n.`],
  ])('cannot read an index of more than 4096 bytes, where %s', async (_what, content) => {
    expect(await defectOf(content)).toEqual(['has a number of more than 4096 digits', true]);
    expect((await walk(content.replace('  ', ' '))).defect).toBeUndefined();
  });

  it('counts what stood before its end', async () => {
    expect(await importsOf(`${IMPORT}\xff`)).toEqual(['a b dangerous']);
  });

  it('reads on where a step lies across the border of what was read', async () => {
    const long = 'x'.repeat(4096);
    // The most that is read at once, and one byte more on each side of it and of the parts of the step.
    for (const before of [0, 1, 2, 8, 9, 10, 4095, 4096, 4104, 4105, 4106, 4111, 4112, 4113]) {
      const skipped = chunk - before - 6;
      expect(await resultOf(`B${four(skipped)}${'y'.repeat(skipped)}0\x8d${eight(4096)}${long}.`)).toBe(long);
    }
  });

  it.each([
    ['once, where all of it is small', 'K\x01NNNNNN(t.', [0, 11]],
    ['nothing of the long texts that it skips', `B${four(chunk * 3)}${'x'.repeat(chunk * 3)}.`, [0, chunk, chunk * 3 + 5, 1]],
  ])('reads %s', async (_what, content, expected) => {
    const reads: number[] = [];
    const source: ByteSource = {
      sizeBytes: content.length,
      read: async (start, length) => {
        reads.push(start, length);
        return bytes(content).subarray(start, start + length);
      },
    };
    expect((await walkPickle(source, 0, { opcodes: 20 })).defect).toBeUndefined();
    expect(reads).toEqual(expected);
  });

  it('ends beyond its limits where the source does', async () => {
    const content = bytes(`${IMPORT}N.`);
    expect(await walkPickle(windowSource(content.subarray(0, 4), content.length), 0, { opcodes: 10 })).toMatchObject({ beyond: true, imports: [] });
  });

  it('fails when the source fails', async () => {
    const source: ByteSource = { sizeBytes: 9, read: async () => Promise.reject(new RangeError('no disk')) };
    await expect(walkPickle(source, 0, { opcodes: 10 })).rejects.toThrow(new RangeError('no disk'));
  });
});

describe('an import', () => {
  const EXTENSIONS = ['<computed> extension 1 computed', '<computed> extension 513 computed', '<computed> extension -1 computed'];

  it.each<[string, string, readonly string[]]>([
    ['is named by lines', 'cos\nsystem\n.', ['os system dangerous']],
    ['may have dots', 'cos.path\nsep.join\n.', ['os.path sep.join dangerous']],
    ['at the end of the file lacks its last byte', 'cos\nsystemX', ['os system dangerous']],
    ['at the end of the file may be nothing', 'cos\nX', ['os  dangerous']],
    ['has names of up to 4096 bytes', `c${'m'.repeat(4096)}\n${'n'.repeat(4096)}\n.`, [`${'m'.repeat(4096)} ${'n'.repeat(4096)} dangerous`]],
    ['from a longer module is computed', `c${'m'.repeat(4097)}\nn\n.`, ['<computed> n computed']],
    ['of a longer name is computed', `cm\n${'n'.repeat(4097)}\n.`, ['m <computed> computed']],
    ['is computed where the name is', 'U\x02osN\x93.', ['<computed> <computed> computed']],
    ['is computed where the module is', 'NU\x06system\x93.', ['<computed> <computed> computed']],
    ['by a number is computed', '\x82\x01\x83\x01\x02\x84\xff\xff\xff\xff.', EXTENSIONS],
    ['counts once', `${IMPORT}${IMPORT}ca\nc\n.`, ['a b dangerous', 'a c dangerous']],
  ])('%s', async (_what, content, expected) => {
    expect(await importsOf(content)).toEqual(expected);
  });

  it('is one of 4096 at most', async () => {
    const many = Array.from({ length: 4096 }, (_, i) => `ca\nn${i}\n0`).join('');
    expect((await walk(`${many}ca\nn0\n.`)).defect).toBeUndefined();
    const found = await walk(`${many}ca\nother\n.`);
    expect([found.defect, found.beyond, found.imports.length]).toEqual(['imports more than 4096 names', true, 4096]);
  });

  it.each([
    ['collections', 'OrderedDict', 'allowed'],
    ['builtins', 'set', 'allowed'],
    ['__builtin__', 'set', 'allowed'],
    ['torch', 'FloatStorage', 'allowed'],
    ['torch._utils', '_rebuild_tensor_v2', 'allowed'],
    ['numpy', 'dtype', 'allowed'],
    ['numpy._core.multiarray', 'scalar', 'allowed'],
    ['_codecs', 'encode', 'allowed'],
    ['builtins', 'eval', 'dangerous'],
    ['__builtin__', 'eval', 'dangerous'],
    ['builtins', 'getattr', 'dangerous'],
    ['builtins', '', 'dangerous'],
    ['torch', 'load', 'dangerous'],
    ['torch', 'Tensor.__class__', 'dangerous'],
    ['_codecs', 'decode', 'dangerous'],
    ['Builtins', 'set', 'dangerous'],
    ['constructor', 'set', 'dangerous'],
    ['__proto__', 'set', 'dangerous'],
    ['', '', 'dangerous'],
    ['<computed>', 'set', 'computed'],
    ['builtins', '<computed>', 'computed'],
  ])('of %s.%s is %s', (module, name, verdict) => {
    expect(judgeImport(module, name)).toEqual({ module, name, verdict });
  });
});

describe('an array of joblib', () => {
  const WRAPPER = 'cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(';
  const BYTES = `U\x05shapeK\x04\x85U\x05dtypecnumpy\ndtype\nU\x02u1\x85R(K\x03U\x01|NNNJ${four(-1)}J${four(-1)}K\0tb`;
  const RAW = `${WRAPPER}${BYTES}ub`;
  const ALIGNED = `${WRAPPER}${BYTES}U\x1bnumpy_array_alignment_bytesK\x10ub`;
  const OBJECTS = `${WRAPPER}U\x05dtypecnumpy\ndtype\nU\x02O8\x85Rub`;
  const KNOWN = ['joblib.numpy_pickle', 'numpy'];
  const others = ({ imports }: PickleWalk): readonly string[] =>
    imports.filter(({ module }) => !KNOWN.includes(module)).map(({ module, name }) => `${module}.${name}`);

  it('stands between opcodes, and leaves something unknown', async () => {
    const content = `K\x01${RAW}....\x86.`;
    const found = await walk(content);
    expect(found).toMatchObject({ defect: undefined, end: content.length, arrays: true, result: tuple(1, undefined) });
    expect(found.imports.map(({ module, name }) => `${module}.${name}`)).toEqual(['joblib.numpy_pickle.NumpyArrayWrapper', 'numpy.dtype']);
    expect(found.ran).toMatchObject({ calls: 4, fault: false });
  });

  it('is preceded by as many bytes as align it', async () => {
    const content = `K\x01${ALIGNED}\x03.......\x86.`;
    expect(await walk(content)).toMatchObject({ defect: undefined, end: content.length, arrays: true, result: tuple(1, undefined) });
    expect((await walk(ALIGNED)).defect).toBe('ends in the middle');
  });

  it('that claims more bytes than there are, or an unknown number of them, ends the walk', async () => {
    expect(await walk(`${RAW}...`)).toMatchObject({ defect: 'claims more bytes than there are', beyond: false, arrays: true });
    expect(await walk(`${WRAPPER}ub....`)).toMatchObject({ defect: 'has an array whose length cannot be told', beyond: false, arrays: true });
  });

  it('hides no imports, whether they are read as opcodes or passed over', async () => {
    expect(others(await walk(`${RAW}ca\nb\nN.`))).toEqual(['a.b']);
    expect(others(await walk(`${IMPORT}0${RAW}....${IMPORT}.`))).toEqual(['a.b']);
    expect(others(await walk(`${RAW}....${IMPORT}.`))).toEqual(['a.b']);
  });

  it('of objects holds a pickle, with a stack and a memo of its own', async () => {
    const content = `U\x02osq\x00${OBJECTS}K\x01.h\x00\x87.`;
    expect(await walk(content)).toMatchObject({
      defect: undefined,
      end: content.length,
      arrays: true,
      result: tuple('os', undefined, 'os'),
      ran: { fault: false },
    });
    expect((await walk(`Nq\x00${OBJECTS}h\x00.\x86.`)).ran.fault).toBe(true);
    expect((await walk(`N${OBJECTS}0N.\x86.`)).ran.fault).toBe(true);
    expect(others(await walk(`${OBJECTS}${IMPORT}..`))).toEqual(['a.b']);
  });

  it('of objects holds no arrays: the loader that reads it knows none', async () => {
    expect((await walk(`${OBJECTS}${RAW}cos\nsystem\n..`)).imports.map(({ module }) => module)).toContain('os');
    expect((await walk(`${OBJECTS}N.${OBJECTS}N.\x86.`)).defect).toBeUndefined();
  });

  it('is none when nothing is built', async () => {
    expect((await walk(`${RAW.slice(0, -1)}.`)).arrays).toBe(false);
    expect((await walk(`${IMPORT})\x81}b.`)).arrays).toBe(false);
  });

  it('may be one that is not known, once something unknown was built', async () => {
    expect(await walk(']}b.')).toMatchObject({ defect: 'has an array whose length cannot be told', arrays: true });
  });
});
