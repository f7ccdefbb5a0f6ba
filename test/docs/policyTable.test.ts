// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../src/base/errors.ts';
import { CHECK_NAMES } from '../../src/policy/readChecks.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const text = readFileSync(resolve(ROOT, 'docs/policy.md'), 'utf8');
const section = text.slice(text.indexOf('## Every rule and its test'), text.indexOf('## Under watch'));
const rows = section.split('\n').filter((line) => /^\| (?!rule|-)/.test(line) && !line.startsWith('|---'));
const cells = (row: string): readonly string[] => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, ''));
const DEFAULT_FILE = 'test/pipeline/policy.test.ts';

/** Titles in quotes with the file that was named last before them in the row. */
const titles = rows.flatMap((row) => {
  let file = DEFAULT_FILE;
  return [...(cells(row)[2] ?? '').matchAll(/`(test\/[^`]+)`|“([^”]+)”/g)].flatMap(([, named, title]) => {
    if (named !== undefined) file = named;
    return title === undefined ? [] : [{ title, file }];
  });
});

/** Straight and typographic apostrophes alike, as a page may write either. */
const plain = (title: string): string => title.replaceAll('’', "'");

describe('the table of policy rules', () => {
  it('has every member that a rule, a policy and its checks can have', () => {
    const named = rows.map((row) => cells(row)[0]).join('\n');
    const members = [...CHECK_NAMES, 'rules', 'signers', 'timestampAuthorities', 'endpoints', 'relaxations', 'always', 'mode'];
    const inRules = ['source', 'modelName', 'require', 'bundles', 'anyOf', 'allOf', 'threshold', 'identityRegexp', 'claims', 'pickleImports', 'warn'];
    expect([...members, ...inRules].filter((member) => !named.includes(`\`${member}\``))).toEqual([]);
  });

  it('has a test in each row, and only reason codes that exist', () => {
    expect(rows.length).toBeGreaterThan(25);
    expect(rows.filter((row) => !/`test\/|“/.test(cells(row)[2] ?? ''))).toEqual([]);
    const codes = rows.flatMap((row) => [...(cells(row)[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, code = '']) => code));
    expect(codes.filter((code) => !Object.hasOwn(CATALOGUE, code))).toEqual([]);
  });

  it.each(titles)('names a test that is there: $title ($file)', ({ title, file }) => {
    const source = readFileSync(resolve(ROOT, file), 'utf8');
    const called = [...source.matchAll(/(?:\b(?:describe|test|it)(?:\.skipIf\([^\n]*\))?\(|\)\()\s*(['"`])((?:\\.|(?!\1).)*)\1/g)].map(
      ([, , name = '']) => name,
    );
    expect(called.some((name) => plain(name).startsWith(plain(title)))).toBe(true);
  });

  it.each([...new Set(rows.flatMap((row) => [...row.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file)))])('names a file that is there: %s', (file) => {
    expect(readFileSync(resolve(ROOT, file), 'utf8')).not.toBe('');
  });
});
