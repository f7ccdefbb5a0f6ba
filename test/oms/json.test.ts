// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { isObject, parseBesideList, parseBesideText, parseStrictJson } from '../../src/oms/json.ts';
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
    expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /appears twice|written with an escape/));
  });

  it.each(['{"\\u0061":1}', '[{"b":{"\\n":1}}]', '{"\\"a":1}', '{"a\\u0062":1}'])(
    'refuses a name that is written with an escape, which V8 may misread: %s',
    (text) => {
      expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /written with an escape/));
    },
  );

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
        if (hasEscapedName(value)) expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /written with an escape/));
        else expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('refuses a document exactly when some object of it names a member twice, or with an escape', () => {
    fc.assert(
      fc.property(document(), ({ text, doubled, escaped }) => {
        expect(() => JSON.parse(text)).not.toThrow();
        if (doubled || escaped) expect(() => parse(text)).toThrow(refused('BUNDLE_MALFORMED', /appears twice|written with an escape/));
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

const PATH = ['a', 'b'];

describe('a value that is read where it stands', () => {
  const besideText = (text: string) => parseBesideText(Buffer.from(text), 'the text', PATH);
  const besideList = (text: string) => parseBesideList(Buffer.from(text), 'the text', PATH);

  it('is the string at its path, as bytes, unless it is written with escapes', () => {
    expect(besideText('{"b":"x","a":{"c":["b"],"b" : "wä","d":"b"}}')).toStrictEqual({
      json: { b: 'x', a: { c: ['b'], b: '', d: 'b' } },
      text: Buffer.from('wä'),
    });
    expect(besideText('{"a":{"b":""}}')).toStrictEqual({ json: { a: { b: '' } }, text: Buffer.alloc(0) });
    expect(besideText('{"a":{"b":"\\/"}}')).toStrictEqual({ json: { a: { b: '/' } } });
    for (const text of [
      '{"a":{"b":["x"]}}',
      '{"a":{"b":{"b":"x"}}}',
      '{"a":[{"b":"x"}]}',
      '[{"b":"x"}]',
      '{"a":{"b":1,"c":"x"}}',
      '{"a":"b"}',
      '{"b":{"a":"x"}}',
    ])
      expect(besideText(text)).toStrictEqual({ json: JSON.parse(text) });
  });

  it('is the array at its path, element by element, as often as one likes', () => {
    const { json, list } = besideList('{"a":{"b":[ 1,{"b":[2,3]} ,"],[", "\\"," ,[[]]] ,"c":[4]},"b":[]}');
    expect(json).toStrictEqual({ a: { b: [], c: [4] }, b: [] });
    for (const _ of [1, 2]) expect([...(list ?? [])]).toStrictEqual([1, { b: [2, 3] }, '],[', '",', [[]]]);
    expect(list).toHaveLength(5);
    expect(besideList('{"a":{"b":[\t\r\n ]}}').list).toHaveLength(0);
    for (const text of ['{"a":{"b":"[1]"}}', '{"a":{"b":{"b":[1]}}}', '{"a":[{"b":[1]}]}', '{"a":[[1]]}', '[[1]]', '{"a":{"c":[1]}}'])
      expect(besideList(text)).toStrictEqual({ json: JSON.parse(text) });
  });

  it.each([
    ...[
      '[1,]',
      '[,1]',
      '[1,,2]',
      '[,]',
      '[1 2]',
      '[1;2]',
      '[1,2',
      '[1,2}',
      '[1,2]]',
      '[{]}',
      '[[}]',
      '[[1,2}]',
      '["a,]',
      '["\\",1]',
      '[1]2',
      '2[1]',
      '[1],[2]',
      ':[1]',
    ],
    ...[
      '"x',
      '"x""y"',
      '"x" "y"',
      'x"y"',
      '"x"y',
      '"\u0000"',
      '"\\x"',
      '"\\"',
      '[\u000b]',
      '[\u00a0]',
      '[\ufeff]',
      '[\ufeff1]',
      '[1\u0000]',
      '["\u0001"]',
      '[01]',
      '[nul]',
      '',
      ']',
      '[]}',
      '}[]',
    ],
  ])('is refused where JSON.parse refuses it: %j', (value) => {
    for (const text of [`{"a":{"b":${value}}}`, `{"a":{"b":${value},"c":[1]}}`, `{"a":{"c":"x","b":${value}`, `{"a":{"b":1,${value}}}`]) {
      expect(() => JSON.parse(text)).toThrow();
      for (const read of [besideText, besideList]) expect(() => read(text)).toThrow(malformed);
    }
  });

  it('cannot be forged by a document that holds what stands in its place', () => {
    expect(besideText('{"a":{"b":"","c":""},"b":""}')).toStrictEqual({ json: { a: { b: '', c: '' }, b: '' }, text: Buffer.alloc(0) });
    expect(besideText('{"a":{"c":""}}')).toStrictEqual({ json: { a: { c: '' } } });
    for (const text of ['{"a":{"b":["x"],"b":["y"]}}', '{"a":{"b":"x","\\u0062":"y"}}', '{"a":{"b":[1]},"a":{"b":[2]}}'])
      for (const read of [besideText, besideList]) expect(() => read(text)).toThrow(refused('BUNDLE_MALFORMED', /appears twice|written with an escape/));
  });

  it('is under the same limits as everything else', () => {
    const twice = '{"a":{"b":[{"x":1},{"x":1,"x":2}]}}';
    expect(() => besideList(twice)).toThrow(refused('BUNDLE_MALFORMED', /'x' appears twice/));
    expect(() => besideList(`{"a":{"b":[${'['.repeat(62)}${']'.repeat(62)}]}}`)).toThrow(refused('BUNDLE_MALFORMED', /nested deeper/));
    expect(() => parseBesideList(Buffer.from('{"a":{"b":[1,2,3]}}'), 'the text', PATH, 5)).toThrow(refused('BUNDLE_MALFORMED', /more than 5 values/));
    for (const at of [0, 1, 2]) {
      const broken = Buffer.from('{"a":{"b":["xyz"]}}');
      broken[12 + at] = 0xff;
      expect(() => parseBesideList(broken, 'the text', PATH)).toThrow(refused('BUNDLE_MALFORMED', /not valid UTF-8/));
    }
  });

  it('leaves every document what it is, and every refusal what it is, whatever is wrong', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '\u0000', ' ', '1', ',,', '\\"')), {
      maxLength: 2,
    });
    const around = fc.constantFrom(
      '#',
      '{"a":{"b":#}}',
      '{"a":{"b":#,"c":#}}',
      '{"a":{"c":#,"b":#},"b":#}',
      '{"b":[#],"a":{"b":[#,#]}}',
      '{"a":[{"b":#}]}',
      '{"a":{"b":["a",#]}}',
    );
    fc.assert(
      // No names that need escapes, and none written with them: what JSON.parse of V8 13.6 makes of those depends on what it has parsed before.
      fc.property(around, document(['a', 'b', 'c', '😀', '__proto__'], fc.constant(false)), damage, (frame, { text: value }, changes) => {
        const text = changes.reduce(
          (whole, [at, char]) => {
            const place = at % (whole.length + 1);
            return whole.slice(0, place) + char + whole.slice(place + 1);
          },
          frame.replaceAll('#', () => value),
        );
        const plain = outcome(() => parse(text));
        expect(outcome(() => together(besideText(text)))).toStrictEqual(plain);
        expect(outcome(() => together(besideList(text)))).toStrictEqual(plain);
      }),
      { numRuns: 3000 },
    );
  });
});

/** What came of it: a value, or the code and the message of a refusal. */
function outcome(work: () => unknown): unknown {
  try {
    return { value: work() };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** The document with what was read apart from it put back; it must have left its mark there. */
function together({ json, text, list }: { readonly json: unknown; readonly text?: Buffer; readonly list?: Iterable<unknown> }): unknown {
  if (text === undefined && list === undefined) return json;
  const { a } = json as { a: Record<string, unknown> };
  expect(a['b']).toStrictEqual(text === undefined ? [] : '');
  a['b'] = text?.toString() ?? [...(list ?? [])];
  return json;
}

/** Whether some member has a name that cannot be written without an escape. */
function hasEscapedName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, member]) => (!Array.isArray(value) && JSON.stringify(name).includes('\\')) || hasEscapedName(member));
}

/** `escaped`: some name is written with an escape. */
type Document = { readonly text: string; readonly doubled: boolean; readonly escaped: boolean };

/** JSON text of nested objects whose few names often collide, some of them written with escapes, and whether one is doubled. */
function document(names = ['a', 'b', 'c', '"', '\\', '😀', '__proto__'], escapes = fc.boolean()): fc.Arbitrary<Document> {
  const name = fc.tuple(fc.constantFrom(...names), escapes).map(([plain, escaped]) => ({
    plain,
    text: escaped
      ? `"${[...Array(plain.length).keys()].map((i) => `\\u${plain.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
      : JSON.stringify(plain),
  }));
  const blank = fc.constantFrom('', ' ', '\n\t');
  return fc.letrec<{ value: Document }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom('1', '"a"', 'null', '"{\\"a\\":1,\\"a\\":1}"', '":"', '"\\\\"').map((text) => ({ text, doubled: false, escaped: false })),
      fc.array(tie('value'), { maxLength: 3 }).map((items) => ({
        text: `[${items.map((i) => i.text).join(',')}]`,
        doubled: items.some((i) => i.doubled),
        escaped: items.some((i) => i.escaped),
      })),
      fc.array(fc.tuple(name, blank, tie('value')), { maxLength: 3 }).map((members) => ({
        text: `{${members.map(([n, space, v]) => `${space}${n.text}${space}:${space}${v.text}`).join(',')}}`,
        doubled: new Set(members.map(([n]) => n.plain)).size < members.length || members.some(([, , v]) => v.doubled),
        escaped: members.some(([n, , v]) => n.text.includes('\\') || v.escaped),
      })),
    ),
  })).value;
}

describe('the message for what is no JSON', () => {
  it.each([
    ['', 'it is empty'],
    [' \n', 'it is empty'],
    ['\n <!DOCTYPE html><html>', "it looks like a web page or XML, '<!DOCTYPE html><html>'"],
    [`<${'a'.repeat(60)}`, `it looks like a web page or XML, '<${'a'.repeat(39)}'`],
    [' {"a": ', 'it ends in the middle, after 7 characters'],
    ['[1, ', 'it ends in the middle, after 4 characters'],
    ['{"a": x}\n', `it begins '{"a": x}`],
    ['[x]', `it begins '[x]'`],
    ['not {', `it begins 'not {'`],
    [`x${'y'.repeat(60)}`, `it begins 'x${'y'.repeat(39)}'`],
  ])('of %j says what there is instead', (text, instead) => {
    expect(() => parseStrictJson(Buffer.from(text), 'the thing')).toThrow(`the thing is not valid JSON: ${instead}`);
  });
});
