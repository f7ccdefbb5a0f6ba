// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import type { Finding } from '../../src/formats/finding.ts';
import { judgePickle, searchPickles } from '../../src/formats/pickleFile.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const budget = () => ({ opcodes: 1_000_000 });
const judge = (content: string | Buffer, name = 'x'): Promise<readonly Finding[]> =>
  judgePickle(bufferSource(typeof content === 'string' ? bytes(content) : content), name, budget());
const search = (content: string, name = 'x.bin'): Promise<readonly Finding[]> => searchPickles(bufferSource(bytes(content)), name, budget());

const EMPTY = '\x80\x02}.';
const EVIL = "cos\nsystem\n(S'id'\ntR.";
/** An import without a call. */
const IMPORT = 'cos\nsystem\n.';
const imported = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap((finding) => (finding.kind === 'import' ? [`${finding.import.module}.${finding.import.name}`] : []));
const defects = (findings: readonly Finding[]): readonly string[] => findings.flatMap((finding) => (finding.kind === 'malformed' ? [finding.detail] : []));
const isPickle = async (content: string, name?: string): Promise<boolean> => (await judge(content, name)).length > 0;

describe('a file is a pickle', () => {
  it('by a header and an end, under any name', async () => {
    for (const protocol of ['\x00', '\x02', '\x05']) expect(await judge(`\x80${protocol}N.`)).toEqual([{ kind: 'format', format: 'pickle' }]);
  });

  it('not by a header of a protocol that there is not, nor by half a header', async () => {
    for (const name of ['x', 'x.pkl']) {
      expect(await judge('\x80\x06N.', name)).toEqual([]);
      expect(await judge('\x80', name)).toEqual([]);
    }
    expect(await judge('\x81\x02N.')).toEqual([]);
    expect(await judge('K\x02.')).toEqual([]);
  });

  it('by a header without an end where it imports, or bears a name of pickles', async () => {
    expect(await isPickle('\x80\x02}')).toBe(false);
    expect(await isPickle('\x80\x02}', 'x.pkl')).toBe(true);
    expect(await isPickle('\x80\x02cos\nsystem\n')).toBe(true);
  });

  it('without a header by calls of what it imports, by containers, or by its name', async () => {
    expect(await isPickle(EVIL)).toBe(true);
    expect(await isPickle("cos\nsystem\n(S'id'\ntR")).toBe(true);
    expect(await isPickle('}.')).toBe(true);
    expect(await isPickle('I1\n.')).toBe(false);
    expect(await isPickle('I1\n.', 'weights.bin')).toBe(true);
    expect(await isPickle('cos\nsystem\n')).toBe(false);
    expect(await isPickle('cos\nsystem\n', 'weights.bin')).toBe(true);
  });

  it('not when it stops for want of a value, as text does', async () => {
    expect(await isPickle('Results of the run.')).toBe(false);
    expect(await isPickle('0.', 'x.pkl')).toBe(false);
  });

  it.each([
    ['an import with an end', IMPORT, true, true],
    ['an import behind a fault', `0${IMPORT}`, false, false],
    ['an end', 'N.', false, true],
    ['a container without an end', '}', false, false],
    ['calls of what nobody imported', 'NNR.', false, true],
    ['calls of what nobody imported, without an end', 'NNR', false, false],
    ['a header and a fault', '\x80\x020.', true, true],
    ['a header, a fault and an import', `\x80\x020${IMPORT}\xff`, true, true],
    ['a header and a fault, without an end', '\x80\x020', false, true],
    ['nothing', '', false, false],
  ])('by %s: %j, %s, and under a name of pickles %s', async (_what, content, plain, named) => {
    expect(await isPickle(content)).toBe(plain);
    expect(await isPickle(content, 'x.pkl')).toBe(named);
  });

  it('when more follows than is walked, unless a loader would have stopped', async () => {
    const limited = (content: string): Promise<readonly Finding[]> => judgePickle(bufferSource(bytes(content)), 'x', { opcodes: 1 });
    expect(await limited('NN')).toEqual([
      { kind: 'format', format: 'pickle' },
      { kind: 'malformed', format: 'pickle', detail: 'has more opcodes than are walked' },
    ]);
    expect(await limited('0N')).toEqual([]);
  });

  it.each([
    ...['pkl', 'pickle', 'pckl', 'pck', 'pcl', 'p', 'joblib', 'jl', 'dill', 'cloudpickle', 'pt', 'pth', 'pt2'],
    ...['bin', 'ckpt', 'dat', 'data', 'sav', 'mdl', 'model', 'npy', 'npz', 'PKL', 'bin.0', 'pkl.17'],
  ])('by less evidence where it is called x.%s', async (extension) => {
    expect(await isPickle('N.', `x.${extension}`)).toBe(true);
  });

  const OTHERS = ['pkl', 'x.pkl2', 'x.pkl.bak', 'x.pkl.1a', 'x.pkl.', 'xpkl', 'x.apkl', 'x.json', 'x.1'];
  it.each(OTHERS)('by no less where it is called %s', async (name) => {
    expect(await isPickle('N.', name)).toBe(false);
  });

  it('not when it begins like an archive, which is opened as one', async () => {
    expect(await judge(`PK\x03\x04\n${EVIL}`, 'x.pkl')).toEqual([]);
  });
});

describe('what a pickle is made of', () => {
  it('are all pickles of the file, and what each of them imports, once', async () => {
    const findings = await judge(`${EMPTY}${EVIL}${EVIL}cposix\nsystem\n(S'id'\ntR.`);
    expect(imported(findings)).toEqual(['os.system', 'posix.system']);
    expect(defects(findings)).toEqual([]);
  });

  it('are all names of a module, each a finding of its own', async () => {
    expect(await judge('ca\nb\n0ca\nc\n0ccollections\nOrderedDict\n.')).toEqual([
      { kind: 'format', format: 'pickle' },
      { kind: 'import', import: { module: 'a', name: 'b', verdict: 'dangerous' } },
      { kind: 'import', import: { module: 'a', name: 'c', verdict: 'dangerous' } },
      { kind: 'import', import: { module: 'collections', name: 'OrderedDict', verdict: 'allowed' } },
    ]);
  });

  it('is told with its own defect', async () => {
    expect(await judge(`${EVIL.slice(0, -1)}\xff${EMPTY}`)).toEqual([
      { kind: 'format', format: 'pickle' },
      { kind: 'malformed', format: 'pickle', detail: 'has no opcode 0xff at byte 20' },
      { kind: 'import', import: { module: 'os', name: 'system', verdict: 'dangerous' } },
    ]);
  });

  it('may be arrays of joblib, in any of its pickles', async () => {
    const objects = 'cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}U\x05dtypecnumpy\ndtype\nU\x02O8\x85RsbN..';
    for (const content of [objects, `${objects}${EMPTY}`, `${EMPTY}${objects}`, `${EMPTY}${objects}${EMPTY}`])
      expect((await judge(content))[0]).toEqual({ kind: 'format', format: 'joblib' });
    expect((await judge(`${objects}x`)).slice(0, 2)).toEqual([
      { kind: 'format', format: 'joblib' },
      { kind: 'malformed', format: 'joblib', detail: 'has 1 bytes behind its end that are no pickle' },
    ]);
  });

  it('are not bytes behind its end', async () => {
    expect(defects(await judge(`${EMPTY}\xff\xff\xff`))).toEqual(['has 3 bytes behind its end that are no pickle']);
    expect(imported(await judge(`${EMPTY}cos\nsystem\n`))).toEqual(['os.system']);
  });

  it('are at most a thousand pickles', async () => {
    expect(defects(await judge(EMPTY.repeat(1000)))).toEqual([]);
    expect(defects(await judge(EMPTY.repeat(1001)))).toEqual(['has more than 1000 pickles']);
  });
});

describe('an old file of PyTorch', () => {
  const magic = Buffer.concat([bytes('\x80\x02\x8a\x0a'), Buffer.from('6cfc9c46f9206aa85019', 'hex'), bytes('.')]);
  const torch = (...rest: readonly string[]): Buffer => Buffer.concat([magic, ...rest.map(bytes)]);

  it('is five pickles, and then bytes that are none', async () => {
    expect(await judge(torch(EMPTY, EMPTY, EMPTY, EMPTY, 'not a pickle'))).toEqual([{ kind: 'format', format: 'pytorch' }]);
  });

  it('is looked into as far as its fifth pickle', async () => {
    expect(imported(await judge(torch(EMPTY, EMPTY, EMPTY, EVIL, 'x')))).toEqual(['os.system']);
    expect(imported(await judge(torch(EMPTY, EMPTY, EMPTY, EMPTY, EVIL)))).toEqual([]);
  });

  it('is broken when one of the five is', async () => {
    expect(await judge(torch(EMPTY, EMPTY, 'x', EMPTY))).toEqual([
      { kind: 'format', format: 'pytorch' },
      { kind: 'malformed', format: 'pytorch', detail: 'has no opcode 0x78 at byte 23' },
    ]);
  });

  it('may end before its fifth pickle', async () => {
    expect(await judge(torch(EMPTY, EMPTY))).toEqual([{ kind: 'format', format: 'pytorch' }]);
  });
});

describe('pickles behind something else', () => {
  const behind = (start: string): string => `not a pickle${start}`;

  it('are found under a name of pickles where they import what weights do not need', async () => {
    const findings = await search(behind(`\x80\x02${IMPORT}`));
    expect(defects(findings)).toEqual(['begins at byte 12, behind something else']);
    expect(findings[0]).toMatchObject({ kind: 'malformed', format: 'pickle' });
    expect(imported(findings)).toEqual(['os.system']);
  });

  it('are of no interest under another name, with allowed imports, or with imports that are no names', async () => {
    expect(await search(behind(`\x80\x02${IMPORT}`), 'x.gguf')).toEqual([]);
    expect(await search(behind('\x80\x02ccollections\nOrderedDict\n.'))).toEqual([]);
    expect(await search(behind('\x80\x02co s\nsystem\n.'))).toEqual([]);
    expect(await search(behind('\x80\x02cos!\nsystem\n.'))).toEqual([]);
  });

  it('are looked for at every header, the 5 of the newest protocol included, and not at others', async () => {
    expect(defects(await search(behind(`\x80\x80\x09\x80\x05${IMPORT}`)))).toEqual(['begins at byte 15, behind something else']);
    expect(await search(behind(`\x80\x06${IMPORT}`))).toEqual([]);
    expect(await search(behind('\x80'))).toEqual([]);
  });

  it('are told by what they import and weights do not need', async () => {
    const content = behind(`\x80\x02ccollections\nOrderedDict\n0ca\nb\n0cc.d_\n${'e'.repeat(5000)}\n0co-s\nx\n.`);
    expect(await search(content)).toEqual([
      { kind: 'malformed', format: 'pickle', detail: 'begins at byte 12, behind something else' },
      { kind: 'import', import: { module: 'a', name: 'b', verdict: 'dangerous' } },
      { kind: 'import', import: { module: 'c.d_', name: '<computed>', verdict: 'computed' } },
    ]);
  });

  it('are told by no names that are computed', async () => {
    expect(await search(behind('\x80\x02\x82\x01.'))).toEqual([]);
    expect(await search(behind('\x80\x02c!os\nsystem\n.'))).toEqual([]);
  });

  it('are looked for from the second byte on, and behind others', async () => {
    expect(await search(`\x80\x02${IMPORT}`)).toEqual([]);
    expect(defects(await search(`x\x80\x02${IMPORT}`))).toEqual(['begins at byte 1, behind something else']);
    expect(defects(await search(`xx\x80\x02N.\x80\x80\x00${IMPORT}`))).toEqual(['begins at byte 7, behind something else']);
  });

  it('are looked for in the first mebibyte', async () => {
    expect(defects(await search(`${'x'.repeat(1_048_574)}\x80\x02${IMPORT}`))).toEqual(['begins at byte 1048574, behind something else']);
    expect(await search(`${'x'.repeat(1_048_575)}\x80\x02${IMPORT}`)).toEqual([]);
  });

  it('are found behind any number of bytes that begin no header', async () => {
    expect(defects(await search(behind(`${'\x80\x06'.repeat(100)}\x80\x02${IMPORT}`)))).toHaveLength(1);
  });

  it('are looked for at 64 headers at most', async () => {
    expect(defects(await search(behind(`${'\x80\x02!'.repeat(63)}\x80\x02${IMPORT}`)))).toHaveLength(1);
    expect(await search(behind(`${'\x80\x02!'.repeat(64)}\x80\x02${IMPORT}`))).toEqual([]);
  });
});
