// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Files, leftovers, removeAll, signed, treeFrom, treeOf } from '../support/model.ts';
import { bindMount, CAN_MOUNT } from '../support/mounts.ts';
import { type Ended, until } from '../support/run.ts';
import type { Dice } from './dice.ts';
import type { Part, PartDeps } from './part.ts';
import { type ModelSource, openModelSource, SOURCES, type SourceKind } from './sources.ts';
import { type Row, tally } from './table.ts';
import { reasonOf, standingOf, type Trial } from './trial.ts';

/** `rename`: the destination appears in one step. `mount`: it is a mount point, into which files are moved one by one. */
type Shape = 'rename' | 'mount';

/** `kill -9` at random moments, and several processes on one destination. */
export const kill: Part = async function* (deps) {
  const files = modelOf(deps.dice('model'));
  for (const kind of SOURCES) {
    await using source = await openModelSource(kind, files, deps.scratch);
    yield await killed(deps, kind, source, files);
  }
  await using source = await openModelSource('http', files, deps.scratch);
  for (const processes of [2, 8]) {
    yield await together(deps, source, files, processes, 'all live');
    yield await together(deps, source, files, processes, 'one is killed');
  }
};

/** Enough files and bytes that a pull has many moments. */
function modelOf(dice: Dice): Files {
  const small = Array.from({ length: 30 }, (_, n) => [`layer-${n % 4}/part-${n}.bin`, dice.bytes(dice.between(0, 60_000))] as const);
  return signed({ 'config.json': '{"hidden_size": 8}', 'a.bin': dice.bytes(3_000_000), 'b.bin': dice.bytes(9_000_000), ...Object.fromEntries(small) });
}

async function killed(deps: PartDeps, kind: SourceKind, source: ModelSource, files: Files): Promise<Row> {
  const result = tally('kill', `${kind}: kill -9 at a random moment`);
  const dice = deps.dice(`kill ${kind}`);
  const counts = { fetched: 0, missing: 0 };
  const usualMs = await usualDuration(source, join(deps.scratch, `usual-${kind}`));
  // A kill that came too late is a trial, but not one of those asked for.
  const wanted = deps.trials(300, 12);
  for (let n = 0, hits = 0; hits < wanted && n < 3 * wanted; n++) {
    const shape = n % 2 === 0 || !CAN_MOUNT ? 'rename' : 'mount';
    const trial = await killOnce(source, files, join(deps.scratch, `${kind}-${n}`), shape, dice.between(0, usualMs), counts);
    if (trial.outcome.startsWith('killed')) hits++;
    result.add(trial);
  }
  return result.row(`restarts fetched ${mib(counts.fetched)} MiB, ${mib(counts.missing)} MiB were missing`);
}

/** From its first line of log to its end, in ms: when a kill can hit. The best of three, on a machine that others use, too. */
async function usualDuration(source: ModelSource, to: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 3; n++) {
    const gate = source.pull(to);
    await until(() => gate.stderrSoFar() !== '', 'the first line of log');
    const began = performance.now();
    await gate.ended;
    times.push(performance.now() - began);
    removeAll(to);
  }
  return Math.ceil(Math.min(...times));
}

async function killOnce(
  source: ModelSource,
  files: Files,
  parent: string,
  shape: Shape,
  afterMs: number,
  counts: { fetched: number; missing: number },
): Promise<Trial> {
  const to = join(parent, 'models');
  mkdirSync(join(parent, 'volume'), { recursive: true });
  using _mount = shape === 'mount' ? bindMount(join(parent, 'volume'), to) : undefined;
  const gate = source.pull(to);
  await until(() => gate.stderrSoFar() !== '', 'the first line of log');
  await sleep(afterMs);
  gate.kill('SIGKILL');
  const ended = await gate.ended;
  const problems: string[] = [];
  const standing = standingOf(to, files);
  if (standing === 'wrong') problems.push('an unverified file under a final name');
  if (shape === 'rename' && standing === 'part') problems.push('a part of the model where all of it appears at once');

  const there = verifiedNames(files, [to, ...leftovers(shape === 'mount' ? to : parent).map((name) => join(shape === 'mount' ? to : parent, name, 'tree'))]);
  const seenBefore = source.seen.length;
  const next = await source.pullToEnd(to);
  const recovered = next.code === 0 && standingOf(to, files) === 'whole';
  if (!recovered) problems.push(`the next start ended ${next.code} ${reasonOf(next)} with ${standingOf(to, files)}`);
  const left = [...leftovers(parent), ...leftovers(to)];
  if (left.length > 0) problems.push(`left behind: ${left.join(', ')}`);
  const again = fetchedNames(next).filter((name) => there.has(name));
  if (again.length > 0) problems.push(`fetched again although it was there: ${again.join(', ')}`);
  const asked = source.seen.slice(seenBefore).map(({ url }) => decodeURIComponent(url.replace(/\?.*$/, '')));
  const askedAgain = [...there].filter((name) => asked.some((path) => path.endsWith(`/${name}`)));
  if (askedAgain.length > 0) problems.push(`asked for again although it was there: ${askedAgain.join(', ')}`);
  for (const name of fetchedNames(next)) counts.fetched += sizeIn(files, name);
  for (const name of Object.keys(files)) if (name !== 'model.sig' && !there.has(name)) counts.missing += sizeIn(files, name);
  const outcome = ended.code === 'SIGKILL' ? `killed, ${standing} (${shape})` : `had ended (${shape})`;
  if (recovered) removeAll(shape === 'mount' ? join(parent, 'volume') : parent);
  return { outcome, clean: standing !== 'wrong', recovered, problems };
}

/** Files with the right content, under their names, in any of these directories. */
function verifiedNames(files: Files, dirs: readonly string[]): ReadonlySet<string> {
  const whole = treeFrom(files);
  const found = dirs.flatMap((dir) => Object.entries(treeOf(dir)).filter(([name, what]) => what !== 'directory' && whole[name] === what));
  return new Set(found.map(([name]) => name).filter((name) => name !== 'model.sig'));
}

function fetchedNames({ report }: Ended): readonly string[] {
  const models = report?.['models'] as readonly { files?: readonly { path: string; origin: string }[] }[] | undefined;
  return models?.[0]?.files?.filter(({ origin }) => origin === 'fetched').map(({ path }) => path) ?? [];
}

function sizeIn(files: Files, name: string): number {
  return Buffer.byteLength(files[name] ?? '');
}

async function together(deps: PartDeps, source: ModelSource, files: Files, processes: number, fate: 'all live' | 'one is killed'): Promise<Row> {
  const result = tally('kill', `${processes} processes on one destination, ${fate}`);
  const dice = deps.dice(result.row().fault);
  for (let n = 0; n < Math.min(10, deps.trials(10, 2)); n++) {
    const parent = join(deps.scratch, `together-${processes}-${fate.replaceAll(' ', '-')}-${n}`);
    mkdirSync(parent);
    const to = join(parent, 'models');
    const gates = Array.from({ length: processes }, () => source.pull(to));
    const victim = fate === 'one is killed' ? gates[dice.between(0, processes - 1)] : undefined;
    if (victim !== undefined) {
      await until(() => victim.stderrSoFar() !== '', 'the first line of log');
      await sleep(dice.between(0, 400));
      victim.kill('SIGKILL');
    }
    const ended = await Promise.all(gates.filter((gate) => gate !== victim).map((gate) => gate.ended));
    await victim?.ended;
    const bad = ended.filter(({ code }) => code !== 0);
    const problems = bad.map((end) => `${end.code} ${reasonOf(end)}`);
    const standing = standingOf(to, files);
    if (standing !== 'whole') problems.push(`${standing} in the destination`);
    if (fate === 'all live' && leftovers(parent).length > 0) problems.push(`left behind: ${readdirSync(parent).join(', ')}`);
    const next = await source.pullToEnd(to);
    if (next.code !== 0) problems.push(`the next start ended ${next.code} ${reasonOf(next)}`);
    result.add({
      outcome: bad.length === 0 ? 'exit 0 of all that lived' : problems.join(', '),
      clean: standing !== 'wrong',
      recovered: next.code === 0,
      problems,
    });
    removeAll(parent);
  }
  return result.row();
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
