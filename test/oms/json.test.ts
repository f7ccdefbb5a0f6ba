// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { isObject, parseStrictJson } from '../../src/oms/json.ts';
import { refused } from './payload.ts';

const parse = (text: string | Buffer): unknown => parseStrictJson(Buffer.from(text), 'the text');
const malformed = refused('BUNDLE_MALFORMED');

describe('strict JSON', () => {
  it('is UTF-8, nothing else, and without a byte order mark', () => {
    expect(() => parse(Buffer.from([0x22, 0xe4, 0x22]))).toThrow(refused('BUNDLE_MALFORMED', /not valid UTF-8/));
    expect(() => parse(Buffer.from([0x22, 0xc0, 0xaf, 0x22]))).toThrow(refused('BUNDLE_MALFORMED', /not valid UTF-8/));
    expect(() => parse(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrow(refused('BUNDLE_MALFORMED', /not valid UTF-8/));
    expect(() => parse('\ufeff{}')).toThrow(malformed);
    expect(() => parse(Buffer.from('{}', 'utf16le'))).toThrow(malformed);
    expect(parse('"ä😀"')).toBe('ä😀');
  });

  it.each([
    '',
    ' ',
    '{',
    '{}{}',
    '{} x',
    '{"a":1,}',
    '[1,]',
    "{'a':1}",
    '{a:1}',
    '// c\n{}',
    'NaN',
    '01',
    '"\u0001"',
    '{"a" "b":1}',
    '{"a":1',
    '"unclosed',
    '"\\',
  ])('refuses what is no JSON: %j', (text) => {
    expect(() => parse(text)).toThrow(malformed);
  });

  it.each([
    '{"a":1,"a":1}',
    '{"a":1,"b":{},"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"\\u0061":1,"\\u0061":2}',
    '{"\\"":1,"\\u0022":2}',
    '{"/":1,"\\/":2}',
    '{"":1,"":2}',
    '{"x":[[{"b":1 , "b" :1}]]}',
    '{"__proto__":1,"__proto__":2}',
    '{"\\ud83d\\ude00":1,"😀":2}',
    '{"a\\\\":1,"a\\\\":2}',
    '{"\\"ab":1,"\\"ab":2}',
  ])('refuses a member that is named twice, however it is written: %s', (text) => {
    expect(JSON.parse(text)).toBeDefined();
    expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /appears twice/));
  });

  it('takes equal names in different objects, and names that stand as values', () => {
    expect(parse('{"a":{"a":[{"a":1},{"a":2}]},"b":"a","c":"{\\"a\\":1,\\"a\\":2}"}')).toEqual({
      a: { a: [{ a: 1 }, { a: 2 }] },
      b: 'a',
      c: '{"a":1,"a":2}',
    });
    expect(parse('{"A":1,"a":2,"a ":3}')).toEqual({ A: 1, a: 2, 'a ': 3 });
  });

  it('stops at 64 levels before anything recursive sees the value', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(parse(nested(64))).toBeDefined();
    expect(() => parse(nested(65))).toThrow(refused('BUNDLE_MALFORMED', /nested deeper/));
    expect(() => parse('{"a":'.repeat(100_000))).toThrow(refused('BUNDLE_MALFORMED', /nested deeper/));
    expect(() => parse('['.repeat(1_000_000))).toThrow(refused('BUNDLE_MALFORMED', /nested deeper/));
    expect(parse(`"${'['.repeat(100)}"`)).toBeDefined();
  });

  it('holds a bounded number of values before anything is made of them, whatever they are', () => {
    const list = (unit: string, n: number): string => `[${Array(n).fill(unit).join(',')}]`;
    expect(parse(list('1', 9_999))).toHaveLength(9_999);
    for (const unit of ['1', '[]', '{}', '""']) expect(() => parse(list(unit, 20_000))).toThrow(refused('BUNDLE_MALFORMED', /holds more than 10000 values/));
    // In longer texts a value may take 16 bytes.
    expect(parse(list(`"${'x'.repeat(14)}"`, 20_000))).toHaveLength(20_000);
    expect(() => parseStrictJson(Buffer.from('[1,2,3]'), 'the text', 3)).toThrow(refused('BUNDLE_MALFORMED', /more than 3 values/));
    expect(parseStrictJson(Buffer.from('[1,2]'), 'the text', 3)).toEqual([1, 2]);
    // Commas in texts are no values.
    expect(parseStrictJson(Buffer.from('",,,,"'), 'the text', 1)).toBe(',,,,');
  });

  it('names a hostile member without its control characters', () => {
    expect(() => parse('{"\u202e\u009b1m":1,"\u202e\u009b1m":2}')).toThrow(refused('BUNDLE_MALFORMED', /'\\u202e\\u009b1m' appears twice/));
    expect(() => parse(`{"${'a'.repeat(5000)}":1,"${'a'.repeat(5000)}":2}`)).toThrow(refused('BUNDLE_MALFORMED', /^.{0,200}$/));
  });

  it('knows an object from everything else', () => {
    expect([{}, JSON.parse('{"__proto__":null}')].every(isObject)).toBe(true);
    expect([null, undefined, [], 'a', 1, true].some(isObject)).toBe(false);
  });
});

describe('strict JSON, as a property', () => {
  it('reads every document without doubled members as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('refuses a document exactly when some object of it names a member twice', () => {
    fc.assert(
      fc.property(document(), ({ text, doubled }) => {
        expect(() => JSON.parse(text)).not.toThrow();
        if (doubled) expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /appears twice/));
        else expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  it('never accepts what JSON.parse refuses, and fails with its own error only', () => {
    const damaged = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '\\', '\u0000', ' ', '1'))
      .map(([text, at, char]) => text.slice(0, at % (text.length + 1)) + char + text.slice((at % (text.length + 1)) + 1));
    fc.assert(
      fc.property(damaged, (text) => {
        let value: unknown;
        try {
          value = parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          return;
        }
        expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 1000 },
    );
  });
});

type Document = { readonly text: string; readonly doubled: boolean };

/** JSON text of nested objects whose few names often collide, some of them written with escapes, and whether one is doubled. */
function document(): fc.Arbitrary<Document> {
  const name = fc.tuple(fc.constantFrom('a', 'b', 'c', '"', '\\', '😀', '__proto__'), fc.boolean()).map(([plain, escaped]) => ({
    plain,
    text: escaped
      ? `"${[...Array(plain.length).keys()].map((i) => `\\u${plain.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
      : JSON.stringify(plain),
  }));
  const blank = fc.constantFrom('', ' ', '\n\t');
  return fc.letrec<{ value: Document }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom('1', '"a"', 'null', '"{\\"a\\":1,\\"a\\":1}"', '":"', '"\\\\"').map((text) => ({ text, doubled: false })),
      fc.array(tie('value'), { maxLength: 3 }).map((items) => ({ text: `[${items.map((i) => i.text).join(',')}]`, doubled: items.some((i) => i.doubled) })),
      fc.array(fc.tuple(name, blank, tie('value')), { maxLength: 3 }).map((members) => ({
        text: `{${members.map(([n, space, v]) => `${space}${n.text}${space}:${space}${v.text}`).join(',')}}`,
        doubled: new Set(members.map(([n]) => n.plain)).size < members.length || members.some(([, , v]) => v.doubled),
      })),
    ),
  })).value;
}
