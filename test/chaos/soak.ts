// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Files, leftovers, removeAll, SMALL_MODEL, signed } from '../support/model.ts';
import { pullHere } from '../support/run.ts';
import type { Part, PartDeps } from './part.ts';
import { openModelSource, SOURCES } from './sources.ts';
import { type Row, tally } from './table.ts';
import { atOnce, judge, standingOf } from './trial.ts';

const MIB = 1024 * 1024;
/** What the collector has not got round to; a leak of one buffer a pull would be ten times as much. */
const GROWTH_BYTES = 48 * MIB;

/** Many pulls, in one process and as processes; and --timeout, whatever happens. */
export const soak: Part = async function* (deps) {
  const files = signed({ ...SMALL_MODEL, 'big.bin': deps.dice('soak').bytes(300_000) });
  yield await inOneProcess(deps, files);
  yield await asProcesses(deps, files);
  yield* timeouts(deps, files);
};

async function inOneProcess(deps: PartDeps, files: Files): Promise<Row> {
  const result = tally('soak', 'pulls in one process');
  const parent = join(deps.scratch, 'loop');
  mkdirSync(parent);
  await using source = await openModelSource('http', files, parent);
  const rounds = deps.trials(1000, 100);
  const warm = Math.floor(rounds / 5);
  let before = usage();
  for (let n = 0; n < rounds; n++) {
    if (n === warm) before = usage();
    const to = join(parent, `m${n % 3}`);
    // A new destination, a repaired one, and one that is complete.
    if (n % 3 === 0) removeAll(to);
    const outcome = await pullHere([source.url, to], { env: {} });
    const problems = outcome.reason === 'OK' ? [] : [`pull ${n}: ${outcome.reason}`];
    result.add({ outcome: `exit ${outcome.exitCode}`, clean: standingOf(to, files) === 'whole', recovered: true, problems });
  }
  const after = usage();
  if (after.descriptors > before.descriptors + 4) result.fail(`${after.descriptors - before.descriptors} descriptors more`);
  if (after.rssBytes > before.rssBytes + GROWTH_BYTES) result.fail(`${Math.round((after.rssBytes - before.rssBytes) / MIB)} MiB more`);
  if (leftovers(parent).length > 0) result.fail(`left behind: ${leftovers(parent).join(', ')}`);
  const memory = `${Math.round(before.rssBytes / MIB)} MiB after ${warm}, ${Math.round(after.rssBytes / MIB)} MiB at the end`;
  return result.row(`descriptors ${before.descriptors} → ${after.descriptors}; memory ${memory}; nothing left behind`);
}

function usage(): { readonly descriptors: number; readonly rssBytes: number } {
  const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;
  return { descriptors: readdirSync('/proc/self/fd').length, rssBytes: rss };
}

async function asProcesses(deps: PartDeps, files: Files): Promise<Row> {
  const result = tally('soak', 'pulls as processes, two at a time');
  const parent = join(deps.scratch, 'processes');
  mkdirSync(parent);
  await using http = await openModelSource('http', files, parent);
  await using s3 = await openModelSource('s3', files, parent);
  await using file = await openModelSource('file', files, parent);
  const sources = [http, s3, file];
  const rounds = Array.from({ length: deps.trials(1000, 30) }, (_, n) => n);
  await atOnce(2, rounds, async (n) => {
    const source = sources[n % SOURCES.length] ?? http;
    // Each lane and source has destinations of its own, which the next round finds complete.
    const to = join(parent, `${n % 6}`, 'models');
    if (n % 12 < 6) removeAll(join(to, '..'));
    const ended = await source.pullToEnd(to);
    const whole = standingOf(to, files) === 'whole';
    const problems = ended.code === 0 && whole ? [] : [`pull ${n}: ${ended.code}`];
    result.add({ outcome: `exit ${ended.code}`, clean: whole, recovered: true, problems });
  });
  const left = readdirSync(parent).flatMap((name) => leftovers(join(parent, name)));
  if (left.length > 0) result.fail(`left behind: ${left.join(', ')}`);
  return result.row('nothing left behind');
}

/** The end has to come by then, give or take what a start takes and 2 s in which an orderly end is waited for. */
async function* timeouts(deps: PartDeps, files: Files): AsyncGenerator<Row> {
  for (const kind of ['http', 's3'] as const) {
    const result = tally('soak', `${kind}: --timeout 1s while the server is silent for a random request`);
    const dice = deps.dice(result.row().fault);
    for (let n = 0; n < deps.trials(30, 2); n++) {
      const to = join(deps.scratch, `timeout-${kind}-${n}`, 'models');
      const silent = dice.between(1, Object.keys(files).length);
      let healed = false;
      await using source = await openModelSource(kind, files, deps.scratch, (_, count) => (!healed && count >= silent ? { kind: 'silence' } : undefined));
      const ended = await source.pullToEnd(to, ['--timeout', '1s']);
      healed = true;
      const trial = await judge({ ended, to, files, expected: ['SOURCE_TIMEOUT'] }, () => source.pullToEnd(to));
      result.add({ ...trial, problems: [...trial.problems, ...(ended.ms > 5000 ? [`ended after ${Math.round(ended.ms)} ms`] : [])] });
    }
    yield result.row();
  }
}
