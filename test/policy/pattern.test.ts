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

  it('takes no longer for the patterns and texts that regular expressions never end on', () => {
    const start = performance.now();
    expect(matches('(a+)+b', 'a'.repeat(4000))).toBe(false);
    expect(matches('(a|a)*b', 'a'.repeat(4000))).toBe(false);
    expect(matches('(a*)*(a*)*(a*)*b', 'a'.repeat(4000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it.each([
    '',
    '(',
    ')',
    'a)|(b',
    '[a',
    '[]',
    '[z-a]',
    'a**',
    'a+?',
    '*a',
    'a{2,1}',
    'a{x}',
    '(?=a)',
    '(?<n>a)',
    '(?i)a',
    String.raw`(a)\1`,
    String.raw`\bword`,
    String.raw`\p{L}`,
    'a$b',
    'a^b',
    'a\\',
    '((((((((((((((((((((((a))))))))))))))))))))))',
    '(((a{99}){99}){99}){99}',
    'x'.repeat(501),
  ])('that it does not understand is refused, never guessed at: %s', (source) => {
    expect(() => compilePattern(source)).toThrow(PatternError);
  });
});
