// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, mkdirSync, rmSync, statfsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Contestant, Setting } from './contestants.ts';
import type { Data } from './data.ts';
import { measure } from './measure.ts';
import type { Place, Row } from './rows.ts';
import { startServers } from './servers.ts';
import { judge, type Measurement, type Rounds, type Verdict } from './verdict.ts';

export type Outcome = {
  readonly row: Row;
  readonly place: Place;
  readonly rounds: Rounds;
  /** Contestants that are not in `rounds`. */
  readonly absent: ReadonlyMap<string, Absence>;
  /** In the order of the row's goals. */
  readonly verdicts: readonly Verdict[];
  readonly finding: string | undefined;
};

/** A program it needs is not there, or it did not exit 0. */
export type Absence = { readonly kind: 'missing' | 'failed'; readonly reason: string };

export type Folders = { readonly tmpfs: string; readonly disk: string };

export type RunOptions = { readonly rounds: number; readonly signal: AbortSignal };

/** All rounds of a row in one place, on servers of its own. */
export async function runRow(row: Row, place: Place, data: Data, folders: Folders, { rounds, signal }: RunOptions): Promise<Outcome> {
  const folder = join(folders.disk, 'servers');
  await data.prepare(row.workloads);
  await using servers = await startServers(data, folder);
  const setting: Setting = { data, servers, to: join(place === 'tmpfs' ? folders.tmpfs : folders.disk, 'model'), folder };
  const all = contestantsOf(row);
  const absent = new Map<string, Absence>();
  for (const { name, needs } of all) {
    const missing = needs.filter((program) => !isOnPath(program));
    if (missing.length > 0) absent.set(name, { kind: 'missing', reason: `${missing.join(', ')} is not here` });
  }
  const measured = new Map<string, Measurement[]>();
  empty(setting.to);
  try {
    if (row.destination === 'complete') await measure(row.ours.command(setting), { signal });
    servers.forget();
    for (let round = 0; round < rounds; round++) {
      // Whoever is first in one round is last in the next.
      for (const contestant of [...all.slice(round % all.length), ...all.slice(0, round % all.length)]) {
        if (absent.has(contestant.name)) continue;
        if (row.destination === 'empty') empty(setting.to);
        try {
          measured.set(contestant.name, [
            ...(measured.get(contestant.name) ?? []),
            await measure(contestant.command(setting), { signal, serverPids: servers.pids }),
          ]);
        } catch (error) {
          signal.throwIfAborted();
          measured.delete(contestant.name);
          absent.set(contestant.name, { kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
        }
      }
    }
    const verdicts = row.goals.map((goal) => judge(goal, row.ours.name, measured));
    return { row, place, rounds: measured, absent, verdicts, finding: row.finding?.(setting) };
  } finally {
    rmSync(setting.to, { recursive: true, force: true });
  }
}

/** Bytes a destination needs. */
export function sizeOf(row: Row, data: Data): number {
  return row.workloads.flatMap((name) => data.workload(name).files).reduce((sum, file) => sum + file.sizeBytes, 0);
}

export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function empty(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function contestantsOf(row: Row): readonly Contestant[] {
  return [row.ours, ...row.peers];
}
