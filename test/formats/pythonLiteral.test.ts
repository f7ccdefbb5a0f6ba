// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Defect } from '../../src/formats/finding.ts';
import { type Literal, readLiteral } from '../../src/formats/pythonLiteral.ts';

const text = (value: string): Literal => ({ kind: 'text', text: value });
const number = (value: bigint): Literal => ({ kind: 'number', value });
const tuple = (...items: readonly Literal[]): Literal => ({ kind: 'tuple', items });
const list = (...items: readonly Literal[]): Literal => ({ kind: 'list', items });
const TRUTH: Literal = { kind: 'truth' };

describe('a literal of Python', () => {
  it.each<[string, Literal]>([
    ["'a'", text('a')],
    ['"a\'b"', text("a'b")],
    [`'a"b'`, text('a"b')],
    ["''", text('')],
    [String.raw`'a\'b'`, text(String.raw`a\'b`)],
    [String.raw`"\\"`, text(String.raw`\\`)],
    ['0', number(0n)],
    ['12L', number(12n)],
    ['9999999999999999', number(9_999_999_999_999_999n)],
    ['True', TRUTH],
    ['False', TRUTH],
    ['()', tuple()],
    ['(1)', number(1n)],
    ['((1))', number(1n)],
    ['(1,)', tuple(number(1n))],
    ['(1,2)', tuple(number(1n), number(2n))],
    ['[]', list()],
    ['[1]', list(number(1n))],
    ['[1,]', list(number(1n))],
    ['[(1,),()]', list(tuple(number(1n)), tuple())],
    ['{}', { kind: 'dictionary', entries: [] }],
    ["{'a':1}", { kind: 'dictionary', entries: [[text('a'), number(1n)]] }],
    [
      "{'a':1,2:True,}",
      {
        kind: 'dictionary',
        entries: [
          [text('a'), number(1n)],
          [number(2n), TRUTH],
        ],
      },
    ],
    [' \t\f\r\n[ \t\f\r\n1 \t\f\r\n, \t\f\r\n] \t\f\r\n', list(number(1n))],
  ])('is read: %j', (written, expected) => {
    expect(readLiteral(written)).toEqual(expected);
  });

  it.each(
    [
      ['missing value', ['', ' ', ',', ':', ')', ']', '}']],
      ['brackets of two kinds', ['(1]', '[1)', '{1:2]', '(', '[1', '[1,', '{', '{1', '{1:', '{1:2', '{1:2,']],
      ['commas too many or too few', ['[,]', '(,)', '[1,,]', '[,1]', '[1 2]', '(1 2,)', "('a' 'b')", '1,', '1 2', '{1:2 3:4}', '{,}']],
      ['pairs that are none', ['{1}', '{1,}', '{1:}', '{:1}', '{1:2:3}', '[1:2]', '(1:2)', '1:2']],
      ['numbers of another kind', ['-1', '+1', '1.0', '1e5', '0x1', '0b1', '1_0', '01', '00', '12345678901234567', '1j', '1LL', '1La', '1l', 'L']],
      ['names', ['None', 'true', 'Truex', 'True1', 'x', '__import__', 'inf']],
      ['texts of another kind', ["b'a'", "u'a'", "r'a'", "f'a'", "'''a'''", "'a''b'", `"a'`, "'a", "'a\\'", "'a\nb'", "'a\rb'", '"a\nb"', "'a\\\nb'"]],
      ['something else', ['1#', '# a\n1', '1\\\n', '\\\n1', '1;', '`1`', '...', '1\0', '\u00a01', '1+1', '2*(1,)', '(1,)[0]', '1 if 1']],
    ].flatMap(([what, all]) => [...(all as readonly string[])].map((written) => [what as string, written] as const)),
  )('has no %s: %j', (_what, written) => {
    expect(() => readLiteral(written)).toThrow(Defect);
    expect(() => readLiteral(written)).toThrow(new Defect('the header cannot be read'));
  });

  it('is nested at most 16 levels deep, in what it is itself', () => {
    expect(readLiteral(`${'['.repeat(17)}${']'.repeat(17)}`)).toMatchObject({ kind: 'list' });
    for (const open of ['[', '(', '{', '{1:']) expect(() => readLiteral(open.repeat(18))).toThrow(/nested too deeply|cannot be read/);
    expect(() => readLiteral('['.repeat(18))).toThrow(new Defect('the header is nested too deeply'));
  });
});
