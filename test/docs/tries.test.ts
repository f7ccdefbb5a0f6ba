// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { CAUSES } from '../../docs/causes.ts';
import { runTries, type Tried } from '../../docs/tries/run.ts';
import { NOT_TRIED } from '../../docs/tries/tries.ts';
import { troubleshootingPage } from '../../docs/troubleshooting.ts';
import { CATALOGUE } from '../../src/base/errors.ts';

describe('what people get wrong', () => {
  let tried: readonly Tried[];
  beforeAll(async () => {
    tried = await runTries();
  }, 120_000);

  it('ends with the reason it should, each of more than 40 times', () => {
    expect(tried.length).toBeGreaterThan(40);
    expect(tried.filter(({ code, expected }) => code !== expected)).toEqual([]);
  });

  it('is of every kind that a user can cause', () => {
    const codes = new Set<string>(tried.map(({ expected }) => expected));
    expect(Object.keys(CATALOGUE).filter((code) => !codes.has(code))).toEqual([...NOT_TRIED]);
  });

  it('is answered by what to do now', () => {
    for (const { output, shown } of tried) expect(output, shown).toMatch(/\n {2}what now: \S.{9}/);
  });

  it('is what docs/troubleshooting.md says (npm run docs)', () => {
    expect(readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8')).toBe(troubleshootingPage(tried));
  });
});

it('docs/troubleshooting.md has causes for every reason code', () => {
  expect(Object.keys(CAUSES).sort()).toEqual(Object.keys(CATALOGUE).sort());
  for (const [code, causes] of Object.entries(CAUSES)) expect(causes.length, code).toBeGreaterThan(0);
});
