// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { regressions } from './baseline.ts';

const of = (cpu: number, wall = 1) => ({ against: 'peer', wall, cpu });

describe('the guard against regressions', () => {
  it('lets a quarter pass and no more', () => {
    expect(regressions({ row: of(2.5) }, { row: of(2) }, ['row'])).toEqual([]);
    expect(regressions({ row: of(2.51) }, { row: of(2) }, ['row'])).toEqual([expect.stringContaining('row: 2.51 × the CPU seconds of peer, 2 before')]);
  });

  it('fails on a row that could not be measured, or that nobody measured before', () => {
    expect(regressions({}, { row: of(2) }, ['row'])).toEqual(['row: could not be measured']);
    expect(regressions({ row: of(2) }, {}, ['row'])).toEqual(['row: baseline.json does not know it']);
  });

  it('looks only at the rows that were asked for', () => {
    expect(regressions({ other: of(9) }, { row: of(1), other: of(1) }, [])).toEqual([]);
  });
});
