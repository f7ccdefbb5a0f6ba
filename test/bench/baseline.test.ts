// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { regression } from './baseline.ts';

const of = (cpu: number, wall = 1) => ({ against: 'peer', wall, cpu });

describe('the guard against regressions', () => {
  it('lets a quarter pass and no more', () => {
    expect(regression('row', of(2.5), { row: of(2) })).toBeUndefined();
    expect(regression('row', of(2.51), { row: of(2) })).toContain('row: 2.51 × the CPU seconds of peer, 2 before');
  });

  it('fails on a row that could not be measured, or that nobody measured before', () => {
    expect(regression('row', undefined, { row: of(2) })).toBe('row: could not be measured');
    expect(regression('row', of(2), {})).toBe('row: baseline.json does not know it');
  });
});
