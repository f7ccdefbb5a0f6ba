// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { parseStrictJson, plainJson } from '../../src/formats/json.ts';

describe('JSON that readers have to agree on', () => {
  test('has no names that are written with escapes', () => {
    for (const name of ['\\u0061', 'a\\u0062', '\\n'])
      expect(() => parseStrictJson(Buffer.from(`{"${name}":1}`))).toThrow('has a name that is written with an escape');
    expect(parseStrictJson(Buffer.from('{"ab":"\\u0061"}'))).toEqual({ ab: 'a' });
  });

  test('names nothing twice in one object', () => {
    expect(() => parseStrictJson(Buffer.from('{"a":{"b":1,"c":2,"b":3}}'))).toThrow('names ‘"b"’ twice');
    expect(parseStrictJson(Buffer.from('[{"a":{"a":"a"}},{"a":1}]'))).toEqual([{ a: { a: 'a' } }, { a: 1 }]);
  });

  test('is nested no deeper than 64 levels', () => {
    expect(parseStrictJson(Buffer.from('['.repeat(64) + ']'.repeat(64)))).toBeDefined();
    expect(() => parseStrictJson(Buffer.from('['.repeat(65) + ']'.repeat(65)))).toThrow('is nested deeper than 64 levels');
  });

  test('is UTF-8 and JSON, with blanks behind it', () => {
    expect(parseStrictJson(Buffer.from('{"a":"é"}  \n '))).toEqual({ a: 'é' });
    expect(() => parseStrictJson(Buffer.from('{"a":"\xe9"}', 'latin1'))).toThrow('is not valid UTF-8');
    for (const text of ['', ' ', '{', '{"a"}', '{"a":NaN}', '{"a":1}x', '"']) expect(() => parseStrictJson(Buffer.from(text))).toThrow('is not valid JSON');
  });
});

describe('plain JSON', () => {
  test('has no escapes that need not be, and is otherwise the same: quotes, backslashes, control characters and pairs of surrogates stay', () => {
    const value = { plain: ['"\\u0061', '\\', '"', '\u0000x', '😀', '\u2028', 'é', '\\"\\u0062'], '😀': '"\\' };
    expect(JSON.parse(plainJson(`{"plain":${JSON.stringify(value.plain)},"\\ud83d\\ude00":"\\"\\\\"}`))).toEqual(value);
    expect(plainJson(String.raw`{"\u0061\u00e9":"\u005f\u005c\u0022\u001f\n\\u0061"}`)).toBe(String.raw`{"aé":"_\u005c\u0022\u001f\n\\u0061"}`);
  });

  test('has null for what only Python reads', () => {
    expect(plainJson('[NaN, Infinity,-Infinity,"NaN",1]')).toBe('[null, null,null,"NaN",1]');
  });
});
