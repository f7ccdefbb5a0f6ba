// SPDX-License-Identifier: Apache-2.0
import { type Absence, contestantsOf, type Outcome } from './run.ts';
import { type Goal, type Measurement, type Metric, median, ratio, type Verdict } from './verdict.ts';

/** Every contestant of a row: medians, and ours divided by it. */
export function figures({ row, place, rounds, absent, finding }: Outcome): string {
  const ours = rounds.get(row.ours.name) ?? [];
  const lines = contestantsOf(row).map(({ name }) => {
    const runs = rounds.get(name);
    return runs === undefined
      ? `  ${name.padEnd(24)} ${absenceText(absent.get(name))}`
      : `  ${name.padEnd(24)} ${medians(runs)}${runs === ours ? '' : ratios(ours, runs)}`;
  });
  return [
    `${row.id} (${row.title}${place === 'none' ? '' : `, to ${place}`})`,
    ...lines,
    ...(finding === undefined ? [] : [`  NOT AS IT SHOULD BE: ${finding}`]),
  ].join('\n');
}

/** The table with a verdict per goal, in Markdown. */
export function verdictTable(outcomes: readonly Outcome[]): string {
  const lines = outcomes.flatMap((outcome) => {
    const { row, place, verdicts, finding } = outcome;
    const name = `${row.title}${place === 'none' ? '' : `, ${place}`}`;
    const found = finding === undefined ? [] : [`| \`${row.id}\` | ${name} | no object fetched | ${finding} | **not met** |`];
    return [...row.goals.map((goal, index) => verdictLine(outcome, name, goal, verdicts[index])), ...found];
  });
  return ['| row | workload | goal | measured | verdict |', '|---|---|---|---|---|', ...lines].join('\n');
}

function verdictLine({ row, absent }: Outcome, name: string, goal: Goal, verdict: Verdict | undefined): string {
  const cells = (measured: string, word: string): string => `| \`${row.id}\` | ${name} | ${goalText(goal)} | ${measured} | ${word} |`;
  switch (verdict?.kind) {
    case 'met':
    case 'not met':
      return cells(measuredText(goal, verdict.measured), verdict.kind === 'met' ? 'met' : '**not met**');
    case 'not measured':
    case undefined:
      if (absent.get(row.ours.name)?.kind === 'failed') return cells(absenceText(absent.get(row.ours.name)), '**not met**');
      return cells(`– (${(verdict?.missing ?? []).map((peer) => `${peer} ${absenceText(absent.get(peer))}`).join('; ')})`, 'not measured');
  }
}

function absenceText(absence: Absence | undefined): string {
  return absence === undefined
    ? 'did not run'
    : `${absence.kind === 'missing' ? 'MISSING' : 'FAILED'}: ${absence.reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`;
}

function goalText(goal: Goal): string {
  switch (goal.kind) {
    case 'ratio':
      return `≤ ${goal.atMost.toFixed(2)} × ${NOUN[goal.metric]} of ${goal.against.join(' or ')}`;
    case 'absolute':
      return `${NOUN[goal.metric]} ≤ ${absolute(goal.metric, goal.atMost)}`;
    case 'throughput':
      return `≥ ${goal.atLeast} × ${Math.round(goal.ceiling / 1e6)} MB/s, or of what comes ${goal.carriedBy}`;
  }
}

function measuredText(goal: Goal, measured: number): string {
  return goal.kind === 'absolute' ? absolute(goal.metric, measured) : measured.toFixed(2);
}

const NOUN: Readonly<Record<Metric, string>> = { wallSeconds: 'wall', cpuSeconds: 'CPU', serverCpuSeconds: 'server CPU', peakRssBytes: 'peak RSS' };

function absolute(metric: Metric, value: number): string {
  return metric === 'peakRssBytes' ? `${Math.round(value / 1024 / 1024)} MiB` : `${value.toFixed(2)} s`;
}

function medians(runs: readonly Measurement[]): string {
  const of = (metric: Metric): number => median(runs.map((run) => run[metric]));
  const seconds = (metric: Metric): string => of(metric).toFixed(2).padStart(7);
  const mib = Math.round(of('peakRssBytes') / 1024 / 1024);
  return `${seconds('wallSeconds')} s  CPU ${seconds('cpuSeconds')} s  servers ${seconds('serverCpuSeconds')} s  RSS ${String(mib).padStart(5)} MiB`;
}

function ratios(ours: readonly Measurement[], peer: readonly Measurement[]): string {
  if (ours.length === 0) return '';
  return `  ours: ${ratio('wallSeconds', ours, peer).toFixed(2)} × wall, ${ratio('cpuSeconds', ours, peer).toFixed(2)} × CPU`;
}
