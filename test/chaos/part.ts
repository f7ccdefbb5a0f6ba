// SPDX-License-Identifier: Apache-2.0
import type { Dice } from './dice.ts';
import type { Row } from './table.ts';

export type PartDeps = {
  readonly size: 'full' | 'quick';
  /** As many as were asked for, else those of the size. */
  trials(full: number, quick: number): number;
  dice(name: string): Dice;
  /** A directory of the run's own. */
  readonly scratch: string;
};

/** A family of faults: its rows, as they become known. */
export type Part = (deps: PartDeps) => AsyncIterable<Row>;
