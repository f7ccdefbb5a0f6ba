// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const DOCUMENT = resolve(import.meta.dirname, '../../docs/threat-model.md');
const text = readFileSync(DOCUMENT, 'utf8');

type Link = { readonly title: string; readonly file: string };

const links: readonly Link[] = [...text.matchAll(/\[([^\]]+)\]\((\.\.\/test\/[^)]+)\)/g)].map(([, title = '', file = '']) => ({ title, file }));

/** Titles of tests and groups of a file, as they are written there: what comes first in the call of describe, test and it, or of what `each` gives. */
function titlesOf(source: string): string {
  return [...source.matchAll(/(?:\b(?:describe|test|it)\(|\)\()\s*(['"`])((?:\\.|(?!\1).)*)\1/g)]
    .map(([, , title = '']) => title.replace(/\\(.)/g, '$1'))
    .join('\n');
}

describe('the threat model', () => {
  it('has a test for each promise', () => {
    const promises = text.slice(text.indexOf('## Promises'), text.indexOf('## Not promised'));
    const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:promise|-)/.test(line));
    expect(rows.length).toBeGreaterThan(30);
    expect(rows.filter((row) => !/\]\(\.\.\/test\//.test(row))).toEqual([]);
  });

  it.each(links)('names a test that is there: $title ($file)', ({ title, file }) => {
    const path = resolve(DOCUMENT, '..', file);
    expect(existsSync(path)).toBe(true);
    expect(titlesOf(readFileSync(path, 'utf8'))).toContain(title);
  });

  it('does not take any text of a file for a title', () => {
    const source = "describe('group', () => { test.each(['a', 'b'])('one %s', () => expect('text').toBe('other')); });";
    expect(titlesOf(source).split('\n')).toEqual(['group', 'one %s']);
  });

  it('has no figure that was not measured', () => {
    expect(text).not.toMatch(/FIGURE|TODO|TBD/);
  });
});
