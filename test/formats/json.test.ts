// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/formats/json.ts';
import { formatsOf } from './look.ts';

const escaped = (text: string): string => [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

describe('names that are written with escapes', () => {
  // V8 13 takes what stands in the text for such a name, where objects that were parsed before have led it to expect that.
  test('are what they say, whatever was parsed before', () => {
    parseJson(Buffer.from(String.raw`{"x":0,"\\u0061ut":1}`), 'python');
    expect(parseJson(Buffer.from(String.raw`{"x":0,"\u0061uto_map":2}`), 'python')).toEqual({ x: 0, auto_map: 2 });
    parseJson(Buffer.from(String.raw`{"x":1,"au\\u0074":1}`), 'python');
    expect(parseJson(Buffer.from(String.raw`{"x":1,"au\u0074o_map":2}`), 'python')).toEqual({ x: 1, auto_map: 2 });
  });

  test('hide no request for remote code', async () => {
    expect(await formatsOf(Buffer.from(String.raw`{"y":0,"\\u0061ut":1}`), 'first.json')).toEqual(['json']);
    for (const text of [String.raw`{"y":0,"\u0061uto_map":2}`, `{"${escaped('auto_map')}":{}}`, `{"x":"\\"","${escaped('auto_map')}" : {"y":NaN}}`]) {
      expect(await formatsOf(Buffer.from(text), 'config.json')).toEqual(['json', 'remote-code']);
    }
  });

  test('change nothing else: quotes, backslashes and pairs of surrogates stay what they are', () => {
    const value = { plain: ['"\\u0061', '\\', '"', '\u0000x', '😀', '\u2028', 'é', '\\"\\u0062'], '😀': '"\\' };
    const text = `{"plain":${JSON.stringify(value.plain)},"\\ud83d\\ude00":"\\"\\\\"}`;
    expect(parseJson(Buffer.from(text), 'python')).toEqual(value);
  });

  test('are refused where readers have to agree', () => {
    for (const name of ['\\u0061', 'a\\u0062', '\\n'])
      expect(() => parseJson(Buffer.from(`{"${name}":1}`), 'strict')).toThrow('has a name that is written with an escape');
    expect(parseJson(Buffer.from('{"ab":"\\u0061"}'), 'strict')).toEqual({ ab: 'a' });
  });

  test('make no JSON of what is none: escapes stand in strings only', () => {
    for (const text of ['n\\u0075ll', '{"a":n\\u0075ll}', '{\\u0061:1}', '"\\u00"', '"\\U0061"', '"\\u00zz"'])
      expect(() => parseJson(Buffer.from(text), 'python')).toThrow('is not valid JSON');
  });
});
