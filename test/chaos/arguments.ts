// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';

export const PARTS = ['server', 'kill', 'power', 'resources', 'change', 'torture', 'torture-claim', 'soak'] as const;
export type PartName = (typeof PARTS)[number];

export type Arguments = {
  readonly only: readonly PartName[];
  readonly size: 'full' | 'quick';
  /** In place of what each row does by itself. */
  readonly trials: number | undefined;
  /** Every random choice follows from it: the same seed makes the same choices. */
  readonly seed: number;
  /** File for the table as JSON. */
  readonly json: string | undefined;
};

/** @throws TypeError for flags that are unknown or wrong */
export function parseArguments(argv: readonly string[], freshSeed = Math.floor(Math.random() * 2 ** 31)): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string', default: PARTS.join(',') },
      quick: { type: 'boolean', default: false },
      trials: { type: 'string' },
      seed: { type: 'string', default: `${freshSeed}` },
      json: { type: 'string' },
    },
  });
  return {
    only: values.only.split(',').map(partOf),
    size: values.quick ? 'quick' : 'full',
    trials: values.trials === undefined ? undefined : wholeNumber('--trials', values.trials, 1, 10_000),
    seed: wholeNumber('--seed', values.seed, 0, 2 ** 31 - 1),
    json: values.json,
  };
}

function partOf(name: string): PartName {
  const part = PARTS.find((known) => known === name);
  if (part === undefined) throw new TypeError(`--only knows ${PARTS.join(', ')}, not '${name}'`);
  return part;
}

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) throw new TypeError(`${flag} is a number from ${least} to ${most}, not '${text}'`);
  return value;
}
