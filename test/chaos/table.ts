// SPDX-License-Identifier: Apache-2.0
import type { Trial } from './trial.ts';

/** One fault with what its trials came to. */
export type Row = {
  readonly part: string;
  readonly fault: string;
  readonly trials: number;
  /** How often each outcome was seen: `exit 3 SOURCE_TIMEOUT`. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Trials after which nothing unverified stood under a final name. */
  readonly clean: number;
  /** Trials after which the next start, without the fault, made the whole model. */
  readonly recovered: number;
  readonly note?: string;
  /** What was not as it has to be. */
  readonly failures: readonly string[];
};

export type Tally = { add(trial: Trial): void; fail(problem: string): void; row(note?: string): Row };

/** Collects trials of one fault. */
export function tally(part: string, fault: string): Tally {
  const outcomes: Record<string, number> = {};
  const failures: string[] = [];
  let [trials, clean, recovered] = [0, 0, 0];
  return {
    add(trial) {
      trials++;
      outcomes[trial.outcome] = (outcomes[trial.outcome] ?? 0) + 1;
      if (trial.clean) clean++;
      if (trial.recovered) recovered++;
      failures.push(...trial.problems);
    },
    fail: (problem) => void failures.push(problem),
    row: (note) => ({ part, fault, trials, outcomes, clean, recovered, failures, ...(note !== undefined && { note }) }),
  };
}

export function heading(): string {
  return '| part | fault | trials | outcome | clean | next start made it whole | |\n|---|---|---|---|---|---|---|';
}

export function line({ part, fault, trials, outcomes, clean, recovered, note, failures }: Row): string {
  const seen = Object.entries(outcomes)
    .sort(([, a], [, b]) => b - a)
    .map(([outcome, count]) => `${outcome} × ${count}`)
    .join(', ');
  const verdict = failures.length === 0 ? (note ?? '') : `**FAILED**: ${[...new Set(failures)].slice(0, 3).join('; ')}`;
  return `| ${part} | ${fault} | ${trials} | ${seen} | ${clean} | ${recovered} | ${verdict} |`;
}
