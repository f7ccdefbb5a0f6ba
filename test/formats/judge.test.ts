// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Defect, type Finding, type PickleImport } from '../../src/formats/finding.ts';
import { type FormatPolicy, type FormatProblem, judgeFormats } from '../../src/formats/judge.ts';
import { fileBeside } from '../../src/formats/location.ts';

const ANYTHING: FormatPolicy = { allow: undefined, rules: {} };
const judge = (finding: Finding, policy: FormatPolicy = ANYTHING, path = 'x', files: readonly string[] = []): readonly FormatProblem[] =>
  judgeFormats(policy, path, [finding], new Set(files));

describe('a format', () => {
  const PICKLE: Finding = { kind: 'format', format: 'pickle' };
  const DENIED: FormatProblem = { severity: 'refused', code: 'FORMAT_DENIED', detail: 'is pickle' };

  it.each<[string, FormatPolicy, readonly FormatProblem[]]>([
    ['without a list', ANYTHING, []],
    ['on the list', { allow: ['json', 'pickle'], rules: {} }, []],
    ['not on the list', { allow: ['json', 'joblib'], rules: {} }, [DENIED]],
    ['with an empty list', { allow: [], rules: {} }, [DENIED]],
    ['denied though it is on the list', { allow: ['pickle'], rules: { pickle: 'deny' } }, [DENIED]],
    ['denied without a list', { allow: undefined, rules: { pickle: 'deny' } }, [DENIED]],
    ['allowed though it is not on the list', { allow: [], rules: { pickle: 'allow' } }, []],
    ['warned of though it is not on the list', { allow: [], rules: { pickle: 'warn' } }, [{ ...DENIED, severity: 'warning' }]],
    ['when the rule is another’s', { allow: ['pickle'], rules: { joblib: 'deny' } }, []],
  ])('%s', (_what, policy, problems) => {
    expect(judge(PICKLE, policy)).toEqual(problems);
  });

  it('is told with its detail', () => {
    expect(judge({ ...PICKLE, detail: 'old' }, { allow: [], rules: {} })).toEqual([{ ...DENIED, detail: 'is pickle (old)' }]);
  });
});

describe('a problem', () => {
  function malformed(detail: string, member?: string): Finding {
    return { kind: 'malformed', format: 'zip', detail, ...(member !== undefined && { member }) };
  }

  it('of a member names it', () => {
    expect(judge(malformed('is broken'))).toEqual([{ severity: 'refused', code: 'FORMAT_MALFORMED', detail: 'zip: is broken' }]);
    expect(judge(malformed('is broken', 'a!b'))).toEqual([{ severity: 'refused', code: 'FORMAT_MALFORMED', detail: 'a!b: zip: is broken' }]);
  });

  it('is one printable line of bounded length', () => {
    expect(judge(malformed('x\ny', 'a\x1bb')).map(({ detail }) => detail)).toEqual(['a\\u001bb: zip: x\\u000ay']);
    const [problem] = judge(malformed('d'.repeat(1000), 'm'.repeat(1000)));
    expect(problem?.detail).toBe(`${'m'.repeat(200)}…: zip: ${'d'.repeat(395)}…`);
  });

  it('is told for each finding, in order', () => {
    const findings: readonly Finding[] = [malformed('one'), { kind: 'format', format: 'zip' }, malformed('two')];
    expect(judgeFormats(ANYTHING, 'x', findings, new Set()).map(({ detail }) => detail)).toEqual(['zip: one', 'zip: two']);
    expect(judgeFormats(ANYTHING, 'x', [], new Set())).toEqual([]);
  });
});

describe('an import', () => {
  const problems = (verdict: PickleImport['verdict'], name: string, pickleImports?: readonly string[]): readonly FormatProblem[] =>
    judge({ kind: 'import', import: { module: 'a.b', name, verdict } }, { ...ANYTHING, ...(pickleImports !== undefined && { pickleImports }) });

  it.each<[PickleImport['verdict'], string, readonly string[] | undefined, boolean]>([
    ['allowed', 'c', undefined, true],
    ['allowed', 'c', [], true],
    ['dangerous', 'c', undefined, false],
    ['dangerous', 'c', ['a.b.c'], true],
    ['dangerous', 'c', ['a.b.*'], true],
    ['dangerous', 'c', ['a.*'], false],
    ['dangerous', 'c', ['*'], false],
    ['dangerous', 'c', ['a.b.d', 'c', 'a.b'], false],
    ['dangerous', 'c.d', ['a.b.*'], false],
    ['dangerous', 'c.d', ['a.b.c.*'], false],
    ['dangerous', 'c.d', ['a.b.c.d'], true],
    ['computed', 'c', ['a.b.c', 'a.b.*'], false],
  ])('that is %s, of ‘%s’ with %j: passes is %s', (verdict, name, patterns, passes) => {
    const refused: FormatProblem = { severity: 'refused', code: 'PICKLE_IMPORT', detail: `loading it imports a.b.${name}` };
    expect(problems(verdict, name, patterns)).toEqual(passes ? [] : [refused]);
  });
});

describe('a reference', () => {
  const reference: Finding = { kind: 'reference', format: 'onnx', location: 'w' };
  const REFUSED: FormatProblem = { severity: 'refused', code: 'FORMAT_MALFORMED', detail: 'onnx: takes data from w, which is no file of the model' };

  it.each<[string, string, string, readonly FormatProblem[]]>([
    ['beside it', 'm.onnx', 'w', []],
    ['beside it in a folder', 'a/b/m.onnx', 'a/b/w', []],
    ['in the folder above', 'a/b/m.onnx', 'a/w', [REFUSED]],
    ['at the top', 'a/m.onnx', 'w', [REFUSED]],
    ['in a folder below', 'm.onnx', 'a/w', [REFUSED]],
  ])('to a file %s', (_what, path, file, problems) => {
    expect(judge(reference, ANYTHING, path, [file])).toEqual(problems);
  });

  it('from inside an archive leads to no file of the model', () => {
    expect(judge({ ...reference, member: 'm.onnx' }, ANYTHING, 'x.zip', ['w'])).toEqual([{ ...REFUSED, detail: `m.onnx: ${REFUSED.detail}` }]);
  });
});

describe('the name of a file that another takes data from', () => {
  it.each([
    ['w', 'w'],
    ['a/b.bin', 'a/b.bin'],
    ['./w', 'w'],
    ['././a/w', 'a/w'],
    ['..w', '..w'],
    ['w..', 'w..'],
    ['.w', '.w'],
    ['aa:b', 'aa:b'],
    ['1:b', '1:b'],
    ['a/c:b', 'a/c:b'],
    ['w w', 'w w'],
    ['é', 'é'],
  ])('%j stands for %j', (location, file) => {
    expect(fileBeside(location)).toBe(file);
  });

  const OUTSIDE = ['/', '/w', 'a/../w', '../w', './../w', 'a/..', '.././w', '..', 'a:b', 'Z:b', 'a\\w'];
  const NO_NAME = ['', '.', './', 'w/', 'a//w', 'a/./w', 'w\0', 'w\x1f', 'w\n'];

  it.each([...OUTSIDE, ...NO_NAME])('%j is refused', (location) => {
    expect(() => fileBeside(location)).toThrow(Defect);
    expect(() => fileBeside(location)).toThrow(/^takes data from outside the model$/);
  });
});
