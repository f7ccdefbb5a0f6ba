// SPDX-License-Identifier: Apache-2.0
import { AppError, CATALOGUE, type ErrorCode, exitCodeOf } from '../../src/base/errors.ts';
import { type Files, treeFrom, treeOf } from '../support/model.ts';
import type { Ended } from '../support/run.ts';

/** How a run may end: by its reason, of which the exit code follows. */
export type Reason = 'OK' | ErrorCode;

export type Trial = { readonly outcome: string; readonly clean: boolean; readonly recovered: boolean; readonly problems: readonly string[] };

/** What a destination shows to a server that would load from it: names of ours begin with .model-gate-, and no loader looks there. */
export type Standing = 'nothing' | 'part' | 'whole' | 'wrong';

export function standingOf(to: string, files: Files): Standing {
  const whole = treeFrom(files);
  const found = Object.entries(treeOf(to)).filter(([name]) => !name.startsWith('.model-gate-') && name !== 'lost+found');
  if (found.some(([name, what]) => whole[name] !== what)) return 'wrong';
  if (found.every(([, what]) => what === 'directory')) return 'nothing';
  return found.length === Object.keys(whole).length ? 'whole' : 'part';
}

/** The reason as people read it in the log; Kubernetes reads the same in the termination message. */
export function reasonOf({ code, stderr, termination }: Ended): string {
  if (code === 0) return 'OK';
  const logged = / ([A-Z][A-Z_]+) \(exit \d+\)/.exec(stderr)?.[1] ?? 'NO REASON';
  const told = termination['reason'];
  return told === undefined || told === logged || logged === 'NO REASON'
    ? logged === 'NO REASON' && typeof told === 'string'
      ? told
      : logged
    : `${logged}/${told}`;
}

export type Ending = { readonly ended: Ended; readonly to: string; readonly files: Files; readonly expected: readonly Reason[] };

/**
 * Judges the end of one run, then lets `again` start on the same destination without the fault. Whatever the fault: exit 0 only with
 * the whole tree, never a wrong byte, a reason of those expected and the exit code that belongs to it.
 */
export async function judge({ ended, to, files, expected }: Ending, again: () => Promise<Ended>): Promise<Trial> {
  const reason = reasonOf(ended);
  const outcome = ended.code === 0 ? 'exit 0' : `exit ${ended.code} ${reason}`;
  const problems: string[] = [];
  const standing = standingOf(to, files);
  if (!expected.some((allowed) => allowed === reason)) problems.push(`${outcome} instead of ${expected.join(', ')}: ${lastLines(ended.stderr)}`);
  if (reason in CATALOGUE && ended.code !== exitCodeOf(reason as ErrorCode)) problems.push(`${reason} with exit ${ended.code}`);
  if (standing === 'wrong') problems.push(`${outcome}: an unverified file stands in the destination`);
  if (ended.code === 0 && standing !== 'whole') problems.push(`exit 0 with ${standing} in the destination`);
  const next = await again();
  const recovered = next.code === 0 && standingOf(to, files) === 'whole';
  if (!recovered) problems.push(`after ${outcome} the next start ended ${next.code} ${reasonOf(next)}: ${lastLines(next.stderr)}`);
  return { outcome, clean: standing !== 'wrong', recovered, problems };
}

function lastLines(stderr: string): string {
  return stderr.trim().split('\n').slice(-2).join(' ').replaceAll('|', '/').slice(0, 300);
}

/** Runs work on all items, a few at a time; results in the order of the items. */
export async function atOnce<T, R>(limit: number, items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item === undefined) throw new AppError('INTERNAL', 'an item is missing');
      results[index] = await work(item, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}
