// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import type { Outcome } from './run.ts';
import { ratio } from './verdict.ts';

/** Row → ours divided by the peer that guards it. */
export type Baseline = Readonly<Record<string, GuardedRatios>>;
export type GuardedRatios = { readonly against: string; readonly wall: number; readonly cpu: number };

const FILE = new URL('baseline.json', import.meta.url);

/** What `bench:quick` fails on. */
export const MAX_REGRESSION = 1.25;

export function readBaseline(): Baseline {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Baseline;
}

export function writeBaseline(baseline: Baseline): void {
  writeFileSync(FILE, `${JSON.stringify(baseline, undefined, 2)}\n`);
}

/** Of the rows that could be measured. */
export function guardedRatios(outcomes: readonly Outcome[]): Baseline {
  return Object.fromEntries(
    outcomes.flatMap(({ row, rounds }) => {
      const [own, peer] = [rounds.get(row.ours.name), rounds.get(row.guardedBy ?? '')];
      if (own === undefined || peer === undefined || row.guardedBy === undefined) return [];
      return [[row.id, { against: row.guardedBy, wall: rounded(ratio('wallSeconds', own, peer)), cpu: rounded(ratio('cpuSeconds', own, peer)) }]];
    }),
  );
}

/** A line for a row that got worse or that nothing can be said about. */
export function regression(id: string, now: GuardedRatios | undefined, baseline: Baseline): string | undefined {
  const before = baseline[id];
  if (now === undefined) return `${id}: could not be measured`;
  if (before === undefined) return `${id}: baseline.json does not know it`;
  const worse = now.cpu / before.cpu;
  return worse > MAX_REGRESSION ? `${id}: ${now.cpu} × the CPU seconds of ${now.against}, ${before.cpu} before (${worse.toFixed(2)} ×)` : undefined;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
