// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { MAX_YAML_BYTES } from '../../src/base/limits.ts';
import { parseStrictYaml } from '../../src/base/yaml.ts';

const read = (text: string): unknown => parseStrictYaml(Buffer.from(text)).toJS({ maxAliasCount: 0 });

/** As many of them as may be read. */
function many(unit: (i: number) => string): string {
  let text = '';
  for (let i = 0; text.length < MAX_YAML_BYTES - 64; i++) text += unit(i);
  return text;
}

describe('YAML', () => {
  it('and JSON are read', () => {
    expect(read('a: [1, x]\nb: { c: true }\n')).toEqual({ a: [1, 'x'], b: { c: true } });
    expect(read('{"a": "b"}')).toEqual({ a: 'b' });
  });

  it.each([
    ['a key twice', 'a: 1\nb:\n  c: 1\n  c: 2\n', 'keys must be unique at line 4, column 3'],
    ['an alias', 'a: &x 1\nb: *x\n', 'aliases are not accepted at line 2, column 4'],
    ['a tag', 'a: !x 1\n', /tag.* at line 1/],
    ['a second document', 'a: 1\n---\nb: 1\n', /documents.* at line 2/],
    ['what is no YAML', 'a: "b\n', /at line \d, column \d/],
  ])('with %s is refused, with the place', (_, text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  // Each took half a minute or more with the settings that the library proposes, or would have with four times as many bytes.
  it.each([
    ['keys', many((i) => `k${i}: 1\n`)],
    ['errors', `{"a":["]\nb: b"]}${many(() => '{"c":1}}')}`.slice(0, MAX_YAML_BYTES)],
    ['lists in lists', many(() => '[')],
    ['keys without a name', many(() => '? ')],
    ['anchors', many((i) => `- &a${i} x\n`)],
  ])('of very many %s is done with in a moment', (_, text) => {
    const started = performance.now();
    try {
      read(text);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    }
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
