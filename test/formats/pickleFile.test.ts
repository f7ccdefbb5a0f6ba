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
    expect(await judge('\x80\x06N.')).toEqual([]);
    expect(await judge('\x80')).toEqual([]);
    expect(await judge('\x81\x02N.')).toEqual([]);
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
    const [defect] = defects(await judge(torch(EMPTY, EMPTY, 'x', EMPTY)));
    expect(defect).toBeDefined();
    expect(defect).not.toContain('behind its end');
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

  it('are looked for at 64 headers at most', async () => {
    expect(defects(await search(behind(`${'\x80\x02!'.repeat(63)}\x80\x02${IMPORT}`)))).toHaveLength(1);
    expect(await search(behind(`${'\x80\x02!'.repeat(64)}\x80\x02${IMPORT}`))).toEqual([]);
  });
});
