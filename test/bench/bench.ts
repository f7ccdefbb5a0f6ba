// SPDX-License-Identifier: Apache-2.0
// `npm run bench` and `npm run bench:quick`: see docs/performance.md.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { limitMemory } from '../support/controlGroup.ts';
import { type Arguments, parseArguments } from './arguments.ts';
import { guardedRatios, readBaseline, regression, writeBaseline } from './baseline.ts';
import { openData } from './data.ts';
import { figures, verdictTable } from './report.ts';
import { type Place, type Row, rowsOf } from './rows.ts';
import { type Folders, freeBytes, type Outcome, runRow, sizeOf } from './run.ts';

const LIMIT_BYTES = 256 * 1024 * 1024;
/** Of a row, before it counts as a regression. */
const ATTEMPTS = 3;

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(`ended by ${name}`)));
const args = parseArguments(process.argv.slice(2));
// Not part of every user's PATH.
process.env['PATH'] += ':/usr/sbin:/sbin';
process.exitCode = await main(args);

async function main({ size, only, rounds, places, scratch, json, baseline }: Arguments): Promise<number> {
  const data = openData(size);
  using limit = limitMemory(LIMIT_BYTES);
  const rows = chooseRows(rowsOf(data, limit), size, only);
  using folders = makeFolders(scratch);
  console.log(`${availableParallelism()} processors, load average ${loadText()}, ${rounds} rounds; ratios are medians of the ratios of each round\n`);

  const outcomes: Outcome[] = [];
  const measure = async (row: Row): Promise<readonly Outcome[]> => {
    const measured: Outcome[] = [];
    for (const place of placesOf(row, size, places)) {
      const home = place === 'none' ? undefined : folders[place];
      if (home !== undefined && freeBytes(home) < 1.2 * sizeOf(row, data)) {
        console.log(`SKIPPED: ${row.id} to ${place}: not enough room in ${home}\n`);
        continue;
      }
      const outcome = await runRow(row, place, data, folders, { rounds, signal: interrupted.signal });
      measured.push(outcome);
      outcomes.push(outcome);
      // A long run that is cut short keeps what it has measured.
      if (json !== undefined) writeFileSync(json, JSON.stringify(outcomes.map(plain), undefined, 2));
      console.log(`${figures(outcome)}\n`);
    }
    return measured;
  };
  for (const row of rows) await measure(row);
  console.log(`load average at the end ${loadText()}`);
  if (size === 'full') console.log(`\n${verdictTable(outcomes)}`);
  return size === 'quick' ? await guard(rows, outcomes, baseline, measure) : 0;
}

/** @throws Error for an unknown row */
function chooseRows(all: readonly Row[], size: Arguments['size'], only: readonly string[]): readonly Row[] {
  const unknown = only.filter((id) => !all.some((row) => row.id === id));
  if (unknown.length > 0) throw new Error(`no such row: ${unknown.join(', ')}; there are ${all.map((row) => row.id).join(', ')}`);
  const chosen = all.filter((row) => only.length === 0 || only.includes(row.id));
  return size === 'full' ? chosen : chosen.flatMap(quickRow);
}

/** Only the peer that guards it. */
function quickRow(row: Row): readonly Row[] {
  return row.guardedBy === undefined ? [] : [{ ...row, peers: row.peers.filter((peer) => peer.name === row.guardedBy) }];
}

/** A disk adds nothing but noise to what quick is for. */
function placesOf(row: Row, size: Arguments['size'], wanted: Arguments['places']): readonly Place[] {
  const possible = size === 'quick' && row.places.includes('tmpfs') ? (['tmpfs'] as const) : row.places;
  return possible.filter((place) => place === 'none' || wanted.includes(place));
}

function makeFolders(scratch: string | undefined): Folders & Disposable {
  if (scratch !== undefined) mkdirSync(scratch, { recursive: true });
  const folders = { tmpfs: mkdtempSync('/dev/shm/model-gate-bench-'), disk: mkdtempSync(join(scratch ?? tmpdir(), 'model-gate-bench-')) };
  return {
    ...folders,
    [Symbol.dispose]() {
      for (const folder of Object.values(folders)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A row that is worse is measured again: what is worse every time is a regression, what is worse once or twice may have had a noisy neighbour. */
async function guard(
  rows: readonly Row[],
  outcomes: readonly Outcome[],
  baseline: Arguments['baseline'],
  measure: (row: Row) => Promise<readonly Outcome[]>,
): Promise<number> {
  const measured = guardedRatios(outcomes);
  if (baseline === 'write') {
    writeBaseline(measured);
    return 0;
  }
  const before = readBaseline();
  let failed = 0;
  for (const row of rows) {
    let worse = regression(row.id, measured[row.id], before);
    for (let attempt = 2; attempt <= ATTEMPTS && worse !== undefined; attempt++) {
      console.log(`WORSE ${worse}; once more:\n`);
      worse = regression(row.id, guardedRatios(await measure(row))[row.id], before);
    }
    if (worse === undefined) continue;
    console.log(`REGRESSION ${worse}`);
    failed++;
  }
  return failed === 0 ? 0 : 1;
}

function plain({ row, place, rounds, absent, verdicts, finding }: Outcome): unknown {
  return { row: row.id, place, rounds: Object.fromEntries(rounds), absent: Object.fromEntries(absent), goals: row.goals, verdicts, finding };
}

function loadText(): string {
  return loadavg()
    .map((load) => load.toFixed(2))
    .join(' ');
}
