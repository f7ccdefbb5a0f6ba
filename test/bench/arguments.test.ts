// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseArguments } from './arguments.ts';

describe('the arguments of the benchmark', () => {
  it('default to every row, five rounds, both places; quick to three rounds', () => {
    expect(parseArguments([])).toEqual({
      size: 'full',
      only: [],
      rounds: 5,
      places: ['tmpfs', 'disk'],
      scratch: undefined,
      json: undefined,
      baseline: 'check',
    });
    expect(parseArguments(['--quick'])).toMatchObject({ size: 'quick', rounds: 3 });
  });

  it('choose rows, rounds and a place', () => {
    expect(parseArguments(['--only', 's3-one,http-one', '--rounds', '1', '--place', 'disk'])).toMatchObject({
      only: ['s3-one', 'http-one'],
      rounds: 1,
      places: ['disk'],
    });
  });

  it.each([[['--rounds', '0']], [['--rounds', 'many']], [['--place', 'moon']], [['--unknown']], [['word']]])('refuse %j', (argv) => {
    expect(() => parseArguments(argv)).toThrow(TypeError);
  });
});
