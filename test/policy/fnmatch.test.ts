// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { fnmatch } from '../../src/policy/fnmatch.ts';

// Expectations are the answers of Python's fnmatch.fnmatchcase.
describe('a pattern of fnmatch', () => {
  test.each([
    ['*.json', 'config.json', true],
    ['*.json', 'deep/er/config.json', true],
    ['*.json', 'config.jsonl', false],
    ['tokenizer*', 'tokenizer.model', true],
    ['tokenizer*', 'a/tokenizer.model', false],
    ['*', '.hidden', true],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['?', '/', true],
    ['a?c', 'abc', true],
    ['?', '模', true],
    ['?', '😀', true],
    ['*a*b', 'xaybzb', true],
    ['*a*b', 'xaybz', false],
    ['part-[0-9].bin', 'part-7.bin', true],
    ['part-[0-9].bin', 'part-x.bin', false],
    ['part-[!0-9].bin', 'part-x.bin', true],
    ['[!]]', ']', false],
    ['[]]', ']', true],
    ['[a-]', '-', true],
    ['[-a]', '-', true],
    ['[--0]', '.', true],
    ['[z-a]', 'm', false],
    ['[', '[', true],
    ['[abc', '[abc', true],
    ['[!', '[!', true],
    ['a\\*', 'a\\b', true],
    ['new*line', 'new\nline', true],
    ['**/x', 'a/b/x', true],
    ['(a|b)', 'a', false],
  ])('%j on %j: %s', (pattern, name, expected) => {
    expect(fnmatch(pattern)(name)).toBe(expected);
  });

  test('with many stars answers at once', () => {
    const start = performance.now();
    expect(fnmatch(`${'*a'.repeat(200)}b`)('a'.repeat(4000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
