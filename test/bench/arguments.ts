// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';

export type Arguments = {
  readonly size: 'full' | 'quick';
  /** Empty: every row of that size. */
  readonly only: readonly string[];
  readonly rounds: number;
  /** Rows that write nothing belong to both. */
  readonly places: readonly ('tmpfs' | 'disk')[];
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
      place: { type: 'string' },
      scratch: { type: 'string' },
      json: { type: 'string' },
      'write-baseline': { type: 'boolean', default: false },
    },
  });
  return {
    size: values.quick ? 'quick' : 'full',
    only: values.only.split(',').filter((id) => id !== ''),
    rounds: roundsOf(values.rounds ?? (values.quick ? '3' : '5')),
    places: placesOf(values.place),
    scratch: values.scratch,
    json: values.json,
    baseline: values['write-baseline'] ? 'write' : 'check',
  };
}

function placesOf(text: string | undefined): Arguments['places'] {
  switch (text) {
    case undefined:
      return ['tmpfs', 'disk'];
    case 'tmpfs':
    case 'disk':
      return [text];
    default:
      throw new TypeError(`--place is tmpfs or disk, not '${text}'`);
  }
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new TypeError(`--rounds is a number from 1 to 100, not '${text}'`);
  return rounds;
}
