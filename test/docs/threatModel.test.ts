// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isThere, namedTests, titlesOf } from './namedTests.ts';

const DOCUMENT = resolve(import.meta.dirname, '../../docs/threat-model.md');
const text = readFileSync(DOCUMENT, 'utf8');

describe('the threat model', () => {
  it('has a test for each promise', () => {
    const promises = text.slice(text.indexOf('## Promises'), text.indexOf('## Not promised'));
    const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:promise|-)/.test(line));
    expect(rows.length).toBeGreaterThan(30);
    expect(rows.filter((row) => !/\]\(\.\.\/test\//.test(row))).toEqual([]);
  });

  it.each(namedTests(text))('names a test that is there: $title ($file)', (named) => {
    expect(isThere(DOCUMENT, named)).toBe(true);
  });

  it('does not take any text of a file for a title', () => {
    const source = "describe('group', () => { test.each(['a', 'b'])('one %s', () => expect('text').toBe('other')); });";
    expect(titlesOf(source).split('\n')).toEqual(['group', 'one %s']);
  });

  it('has no figure that was not measured', () => {
    expect(text).not.toMatch(/FIGURE|TODO|TBD/);
  });
});
