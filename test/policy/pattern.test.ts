// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern, PatternError } from '../../src/policy/pattern.ts';

const matches = (source: string, text: string): boolean => compilePattern(source)(text);

describe('a pattern', () => {
  it('has to match the whole text, whether it says so or not', () => {
    for (const source of ['a+b', '^a+b$', '^a+b', 'a+b$']) {
      expect(matches(source, 'aab'), source).toBe(true);
      for (const text of ['xaab', 'aabx', 'aab\n', '', 'AAB']) expect(matches(source, text), `${source} ${text}`).toBe(false);
    }
  });

  it('understands a signed release of a workflow', () => {
    const source = String.raw`https://github\.com/org/[a-z0-9-]+/\.github/workflows/(release|nightly)\.yml@refs/tags/v\d{1,3}(\.\d+)*`;
    expect(matches(source, 'https://github.com/org/llama/.github/workflows/release.yml@refs/tags/v1.20')).toBe(true);
    expect(matches(source, 'https://github.com/org/llama/.github/workflows/release.yml@refs/tags/v1.20x')).toBe(false);
    expect(matches(source, 'https://github-com/org/llama/.github/workflows/release.yml@refs/tags/v1')).toBe(false);
  });

  it('agrees with the regular expressions of the language', () => {
    const piece = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(?:ab|b)', '(a|b)', String.raw`\d`, String.raw`\.`, '[a-c-]');
    const part = fc.tuple(piece, fc.constantFrom('', '*', '+', '?', '{2}', '{1,3}', '{0,}')).map(([one, times]) => one + times);
    const source = fc.array(fc.oneof(part, fc.constant('|')), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
    const text = fc.array(fc.constantFrom('a', 'b', 'c', '.', '1', '-'), { maxLength: 8 }).map((letters) => letters.join(''));
    fc.assert(
      fc.property(source, text, (pattern, name) => {
        expect(matches(pattern, name)).toBe(new RegExp(`^(?:${pattern})$`, 'u').test(name));
      }),
      { numRuns: 3000 },
    );
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['a.c', ['abc', 'a.c', 'a😀c'], ['ac', 'a\nc', 'a\rc', 'a\u2028c', 'a\u2029c']],
    [String.raw`\d`, ['0', '9'], ['', 'a', '/', ':', '٣']],
    [String.raw`\w+`, ['aZ09_'], ['é', '-', 'a b', '@', '[', '`', '{']],
    [String.raw`a\$`, ['a$'], ['a', 'a\\']],
    [String.raw`a\\$`, ['a\\'], ['a$', 'a']],
    [String.raw`[\]\d-]`, [']', '5', '-'], ['\\', 'd', 'a']],
    ['[a-]', ['a', '-'], ['b']],
    ['[b-d]', ['b', 'c', 'd'], ['a', 'e', '-']],
    ['[a-a]', ['a'], ['b']],
    ['[^a-c/]', ['d', '\n', '😀'], ['a', 'b', 'c', '/', '']],
    ['[^^]', ['a'], ['^']],
    ['a{2}', ['aa'], ['a', 'aaa']],
    ['a{2,}', ['aa', 'aaaa'], ['a']],
    ['a{10,12}', ['a'.repeat(10), 'a'.repeat(12)], ['a'.repeat(9), 'a'.repeat(13)]],
    ['(?:a|b|)c', ['ac', 'bc', 'c'], ['abc']],
    ['(a(b(c)?)?)?', ['', 'a', 'ab', 'abc'], ['b', 'ac']],
  ])('%s', (source, yes, no) => {
    for (const text of yes) expect(matches(source, text), text).toBe(true);
    for (const text of no) expect(matches(source, text), text).toBe(false);
  });

  it('matches no text of more than 4096 characters, and may have 500 itself', () => {
    expect(matches('a*', 'a'.repeat(4096))).toBe(true);
    expect(matches('a*', 'a'.repeat(4097))).toBe(false);
    expect(matches('x'.repeat(500), 'x'.repeat(500))).toBe(true);
    expect(matches(`${'('.repeat(20)}a${')'.repeat(20)}`, 'a')).toBe(true);
  });

  it('takes no longer for the patterns and texts that regular expressions never end on', () => {
    const start = performance.now();
    expect(matches('(a+)+b', 'a'.repeat(4000))).toBe(false);
    expect(matches('(a|a)*b', 'a'.repeat(4000))).toBe(false);
    expect(matches('(a*)*(a*)*(a*)*b', 'a'.repeat(4000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it.each([
    ['', 'is empty'],
    ['(', 'has a group that does not end'],
    [')', "has a ')' too many"],
    ['a)|(b', "has a ')' too many"],
    ['[a', 'has a set that does not end or is empty'],
    ['[]', 'has a set that does not end or is empty'],
    ['[^]', 'has a set that does not end or is empty'],
    ['[z-a]', 'has the range z-a'],
    [String.raw`[a-\d]`, String.raw`has the range a-\ `.trim()],
    ['[a-[]', 'has the range a-['],
    ['[[a]', "has '[' in a set; write \\["],
    ['a**', 'has two quantifiers in a row'],
    ['a+?', 'has two quantifiers in a row'],
    ['a{1}{2}', 'has two quantifiers in a row'],
    ['a*+', 'has two quantifiers in a row'],
    ['*a', "has '*' where it cannot stand; write \\*"],
    ['+a', "has '+' where it cannot stand; write \\+"],
    ['?a', "has '?' where it cannot stand; write \\?"],
    ['{2}', "has '{' where it cannot stand; write \\{"],
    ['a}', "has '}' where it cannot stand; write \\}"],
    ['a]', "has ']' where it cannot stand; write \\]"],
    ['a{2,1}', 'has a quantifier whose end is below its beginning'],
    ['a{x}', 'has a quantifier that is not {m}, {m,} or {m,n}'],
    ['a{1x}', 'has a quantifier that is not {m}, {m,} or {m,n}'],
    ['a{x1}', 'has a quantifier that is not {m}, {m,} or {m,n}'],
    ['a{1', 'has a quantifier that is not {m}, {m,} or {m,n}'],
    ['a{}', 'has a quantifier that is not {m}, {m,} or {m,n}'],
    ['(?=a)', 'has a group that begins with (? and is not (?:'],
    ['(?<n>a)', 'has a group that begins with (? and is not (?:'],
    ['(?i)a', 'has a group that begins with (? and is not (?:'],
    [String.raw`(a)\1`, String.raw`has the unknown escape \1`],
    [String.raw`\bword`, String.raw`has the unknown escape \b`],
    [String.raw`\p{L}`, String.raw`has the unknown escape \p`],
    [String.raw`\_`, String.raw`has the unknown escape \_`],
    ['a$b', "has '$' where it cannot stand; write \\$"],
    ['a^b', "has '^' where it cannot stand; write \\^"],
    ['a\\', 'has the unknown escape \\'],
    [`${'('.repeat(21)}a${')'.repeat(21)}`, 'is nested too deeply'],
    ['(((a{99}){99}){99}){99}', 'is too complex'],
    ['x'.repeat(501), 'is longer than 500 characters'],
  ])('that it does not understand is refused, never guessed at: %s', (source, message) => {
    expect(() => compilePattern(source)).toThrow(message);
    expect(() => compilePattern(source)).toThrow(PatternError);
  });
});
