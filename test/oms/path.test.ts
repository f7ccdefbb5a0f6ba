// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isIgnored } from '../../src/oms/manifest.ts';
import { compareByComponents, compareByName, isWithin, parseModelPath } from '../../src/oms/path.ts';

const component = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((c) => !/[/\0]/.test(c) && c !== '.' && c !== '..');
const canonical = fc.array(component, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

describe('names of resources', () => {
  it.each([
    'a',
    'a/b',
    '...',
    '..a',
    'a..',
    '.a',
    'a/.b/...',
    'C:\\x',
    'a\\..\\b',
    'a:b',
    'a b\n',
    '-rf',
    '~',
    '%2e%2e/x',
    '\u202e',
    'ä',
    'a\u0308',
    '😀',
    '__proto__',
  ])('are ordinary on Linux: %j', (name) => {
    expect(parseModelPath(name)).toEqual({ path: name });
  });

  it.each([
    ['', 'is empty'],
    ['/', 'is absolute'],
    ['/etc/passwd', 'is absolute'],
    ['//a', 'is absolute'],
    ['..', 'leaves the model'],
    ['../a', 'leaves the model'],
    ['a/../b', 'leaves the model'],
    ['a/..', 'leaves the model'],
    ['.', 'is not in canonical form'],
    ['./a', 'is not in canonical form'],
    ['a/./b', 'is not in canonical form'],
    ['a/.', 'is not in canonical form'],
    ['a//b', 'is not in canonical form'],
    ['a/', 'is not in canonical form'],
    ['a\0', 'holds a NUL byte'],
    ['a\0/../b', 'holds a NUL byte'],
    ['\ud800', 'is not valid Unicode'],
    ['a/\udc00b', 'is not valid Unicode'],
    ['a'.repeat(256), 'has a component longer than 255 bytes'],
    ['ä'.repeat(128), 'has a component longer than 255 bytes'],
    [`${'a/'.repeat(2048)}a`, 'is longer than 4096 bytes'],
    [`${'a/'.repeat(256)}a`, 'is nested deeper than 256 levels'],
  ])('are refused when they are not canonical: %j %s', (name, problem) => {
    expect(parseModelPath(name)).toEqual({ problem });
  });

  it('are taken up to the limits of Linux', () => {
    expect(parseModelPath('a'.repeat(255))).toHaveProperty('path');
    expect(parseModelPath(`${`${'a'.repeat(255)}/`.repeat(15)}${'b'.repeat(255)}`)).toHaveProperty('path');
    expect(parseModelPath(`${'a/'.repeat(255)}a`)).toHaveProperty('path');
  });

  it('come out as they went in, whatever canonical name it is', () => {
    fc.assert(
      fc.property(canonical, (name) => {
        const small = Buffer.byteLength(name) <= 4096 && name.split('/').every((c) => Buffer.byteLength(c) <= 255);
        expect(parseModelPath(name)).toEqual(small ? { path: name } : { problem: expect.any(String) });
      }),
    );
  });

  it('never hold an empty component, a dot or two dots, wherever they stand', () => {
    fc.assert(
      fc.property(fc.array(component, { maxLength: 4 }), fc.constantFrom('', '.', '..'), fc.nat(), (parts, bad, at) => {
        const name = parts.toSpliced(at % (parts.length + 1), 0, bad).join('/');
        expect(parseModelPath(name)).toHaveProperty('problem');
      }),
    );
  });
});

describe('the order of names', () => {
  it('is by code point, not by UTF-16 unit', () => {
    // U+FF5E is one unit above the surrogates that make U+1F600, yet the smaller code point.
    expect(compareByName('\uff5e', '\u{1f600}')).toBeLessThan(0);
    expect('\uff5e' < '\u{1f600}').toBe(false);
    expect(compareByName('a', 'a')).toBe(0);
    expect(compareByName('a', 'ab')).toBeLessThan(0);
    expect(compareByName('B', 'a')).toBeLessThan(0);
  });

  it('by components puts a folder’s files before names that merely begin alike', () => {
    const names = ['a.txt', 'a-b', 'a/x', 'a'];
    expect([...names].sort(compareByName)).toEqual(['a', 'a-b', 'a.txt', 'a/x']);
    expect([...names].sort(compareByComponents)).toEqual(['a', 'a/x', 'a-b', 'a.txt']);
  });

  it('by name is the order of the UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareByName(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 1000 },
    );
    // The same around the edges of the surrogates, which random text hardly meets.
    const edge = fc.array(fc.constantFrom('\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', 'a', '/'), { maxLength: 4 }).map((c) => c.join(''));
    fc.assert(fc.property(edge, edge, (a, b) => Math.sign(compareByName(a, b)) === Buffer.compare(Buffer.from(a), Buffer.from(b))));
  });

  it.each([
    ['by name', compareByName],
    ['by components', compareByComponents],
  ])('%s is total: antisymmetric, transitive, and equal only for equal names', (_, compare) => {
    // Few letters, so that prefixes and shared folders are common; any 16-bit units, so that broken text has an order, too.
    const name = fc
      .array(
        fc.oneof(
          fc.constantFrom('a', 'b', '/', '-', '.'),
          fc.integer({ min: 0, max: 0xffff }).map((u) => String.fromCharCode(u)),
        ),
        { maxLength: 6 },
      )
      .map((u) => u.join(''));
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        expect(Math.sign(compare(a, b))).toBe(Math.sign(-compare(b, a)) + 0);
        expect(compare(a, b) === 0).toBe(a === b);
        if (compare(a, b) <= 0 && compare(b, c) <= 0) expect(compare(a, c)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('ignore paths', () => {
  it('cover a path or what lies below it, and nothing that merely begins alike', () => {
    expect(isWithin('cache', 'cache')).toBe(true);
    expect(isWithin('cache/a/b', 'cache')).toBe(true);
    for (const path of ['cache2', 'cache.txt', 'sub/cache', 'Cache', 'cach', '', '/cache']) expect(isWithin(path, 'cache')).toBe(false);
    expect(isIgnored('a/b', new Set(['x', 'a']))).toBe(true);
    expect(isIgnored('a/b', new Set())).toBe(false);
    expect(isIgnored('a/b', new Set(['a/*', '**', 'a/?']))).toBe(false);
  });

  it('cover a name exactly when its leading components are theirs', () => {
    const few = fc.array(fc.constantFrom('a', 'b', 'ab', 'a b', '*'), { minLength: 1, maxLength: 4 });
    fc.assert(fc.property(few, few, (path, prefix) => isWithin(path.join('/'), prefix.join('/')) === prefix.every((c, i) => path[i] === c)));
    fc.assert(
      fc.property(few, fc.array(few), (path, ignored) => {
        const prefixes = ignored.map((components) => components.join('/'));
        return isIgnored(path.join('/'), new Set(prefixes)) === prefixes.some((prefix) => isWithin(path.join('/'), prefix));
      }),
    );
  });
});
