// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isThere, namedTests } from './namedTests.ts';

const DOCUMENT = resolve(import.meta.dirname, '../../docs/oms-conformance.md');
const text = readFileSync(DOCUMENT, 'utf8');

describe('the table of what OMS demands', () => {
  it('has a test for each demand that is met', () => {
    const met = text.slice(0, text.indexOf('## Not met'));
    const rows = met.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:§|-)/.test(line));
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.filter((row) => namedTests(row).length === 0)).toEqual([]);
  });

  it.each(namedTests(text))('names a test that is there: $title ($file)', (named) => {
    expect(isThere(DOCUMENT, named)).toBe(true);
  });
});
