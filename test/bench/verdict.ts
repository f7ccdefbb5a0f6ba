// SPDX-License-Identifier: Apache-2.0

/** One run of one contestant. */
export type Measurement = {
  readonly wallSeconds: number;
  /** User and system time of the process and everything it started. */
  readonly cpuSeconds: number;
  /** The same of the servers, meanwhile. */
  readonly serverCpuSeconds: number;
  /** VmHWM summed over the processes alive at the same time. */
  readonly peakRssBytes: number;
};

export type Metric = keyof Measurement;

export type Goal =
  /** Ours, divided by the best of the named peers in the same round. */
  | { readonly kind: 'ratio'; readonly metric: Metric; readonly against: readonly string[]; readonly atMost: number }
  | { readonly kind: 'absolute'; readonly metric: Metric; readonly atMost: number }
  /** Bytes per second, divided by what the link gives: `ceiling`, or what the named run reaches if that is less. */
  | { readonly kind: 'throughput'; readonly sizeBytes: number; readonly ceiling: number; readonly carriedBy: string; readonly atLeast: number };

/** Rounds of each contestant by name. Those that are not there could not be run. */
export type Rounds = ReadonlyMap<string, readonly Measurement[]>;

export type Verdict = { readonly kind: 'met' | 'not met'; readonly measured: number } | { readonly kind: 'not measured'; readonly missing: readonly string[] };

/** @throws RangeError for no values */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  if (low === undefined || high === undefined) throw new RangeError('the median of nothing');
  return (low + high) / 2;
}

/**
 * Medians are taken last, of the ratios of each round: contestants of one round ran under the same load.
 * A goal whose peers are missing is not measured: the fastest of the others could be the wrong one.
 */
export function judge(goal: Goal, ours: string, rounds: Rounds): Verdict {
  const named = namedBy(goal);
  const missing = [ours, ...named].filter((name) => (rounds.get(name)?.length ?? 0) === 0);
  if (missing.length > 0) return { kind: 'not measured', missing };
  const measured = measuredBy(goal, rounds.get(ours) ?? [], (round) => named.flatMap((name) => rounds.get(name)?.[round] ?? []));
  const met = goal.kind === 'throughput' ? measured >= goal.atLeast : measured <= goal.atMost;
  return { kind: met ? 'met' : 'not met', measured };
}

/** Of ours to a peer, round by round. */
export function ratio(metric: Metric, ours: readonly Measurement[], peer: readonly Measurement[]): number {
  return median(ours.slice(0, peer.length).map((own, round) => own[metric] / (peer[round]?.[metric] ?? Number.NaN)));
}

function namedBy(goal: Goal): readonly string[] {
  switch (goal.kind) {
    case 'ratio':
      return goal.against;
    case 'absolute':
      return [];
    case 'throughput':
      return [goal.carriedBy];
  }
}

function measuredBy(goal: Goal, ours: readonly Measurement[], peersIn: (round: number) => readonly Measurement[]): number {
  switch (goal.kind) {
    case 'ratio':
      return median(ours.map((own, round) => own[goal.metric] / Math.min(...peersIn(round).map((peer) => peer[goal.metric]))));
    case 'absolute':
      return median(ours.map((own) => own[goal.metric]));
    case 'throughput':
      return median(
        ours.map((own, round) => {
          const carried = Math.max(...peersIn(round).map((peer) => goal.sizeBytes / peer.wallSeconds));
          return goal.sizeBytes / own.wallSeconds / Math.min(goal.ceiling, carried);
        }),
      );
  }
}
