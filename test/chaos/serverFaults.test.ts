// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { parseArguments } from './arguments.ts';
import { diceOf } from './dice.ts';
import { SERVER_FAULTS } from './serverFaults.ts';

describe('npm run chaos', () => {
  test('runs every part, with a seed of its own, unless told otherwise', () => {
    expect(parseArguments([], 7)).toMatchObject({ size: 'full', seed: 7, trials: undefined });
    expect(parseArguments(['--only', 'kill,soak', '--trials', '5', '--seed', '3', '--quick'])).toMatchObject({
      only: ['kill', 'soak'],
      trials: 5,
      seed: 3,
      size: 'quick',
    });
    for (const argv of [['--only', 'all'], ['--trials', '0'], ['--seed', 'x'], ['--fast']]) expect(() => parseArguments(argv)).toThrow(TypeError);
  });

  test('makes the same choices from the same seed, and others from another or for another fault', () => {
    const choices = (seed: number, name: string) =>
      Array.from(
        { length: 8 },
        (
          (dice) => () =>
            dice.between(0, 1e6)
        )(diceOf(seed, name)),
      );
    expect(choices(1, 'a')).toEqual(choices(1, 'a'));
    expect(choices(1, 'a')).not.toEqual(choices(2, 'a'));
    expect(choices(1, 'a')).not.toEqual(choices(1, 'b'));
    const dice = diceOf(4, 'range');
    const seen = Array.from({ length: 200 }, () => dice.between(2, 4));
    expect([Math.min(...seen), Math.max(...seen)]).toEqual([2, 4]);
  });

  test('names each fault once, and never expects a defect of ours', () => {
    const names = SERVER_FAULTS.map(({ fault }) => fault);
    expect(new Set(names).size).toBe(names.length);
    for (const { expected } of SERVER_FAULTS) expect(expected).not.toContain('INTERNAL');
  });
});
