// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';

export type Arguments = {
  readonly size: 'full' | 'quick';
  /** Empty: every row of that size. */
  readonly only: readonly string[];
  readonly rounds: number;
  /** Where `disk` destinations go. */
  readonly scratch: string | undefined;
  /** File for every figure of every round. */
  readonly json: string | undefined;
  /** quick: what happens with baseline.json. */
  readonly baseline: 'check' | 'write';
};

/** @throws TypeError for flags that are unknown or wrong */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      rounds: { type: 'string' },
      scratch: { type: 'string' },
      json: { type: 'string' },
      'write-baseline': { type: 'boolean', default: false },
    },
  });
  return {
    size: values.quick ? 'quick' : 'full',
    only: values.only.split(',').filter((id) => id !== ''),
    rounds: roundsOf(values.rounds ?? (values.quick ? '3' : '5')),
    scratch: values.scratch,
    json: values.json,
    baseline: values['write-baseline'] ? 'write' : 'check',
  };
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new TypeError(`--rounds is a number from 1 to 100, not '${text}'`);
  return rounds;
}
