// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Files, KEYS, removeAll, signed, writeTree } from '../support/model.ts';
import { runGate, startGate, until } from '../support/run.ts';
import type { Dice } from './dice.ts';
import type { Part, PartDeps } from './part.ts';
import { openModelSource } from './sources.ts';
import { type Row, tally } from './table.ts';
import { judge, reasonOf, type Trial } from './trial.ts';

const MIB = 1024 * 1024;
/** Between the last look at the tree and the end of the process: what changes then is nobody's to see. */
const LAST_LOOK_MS = 60;

/** A model that changes at its source: between bundle and files, during the download, under `verify`. */
export const change: Part = async function* (deps) {
  const dice = deps.dice('model');
  const model = Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`part-${n}.bin`, dice.bytes(8 * MIB)]));
  const files = signed(model);
  const next = signed({ ...model, 'part-3.bin': dice.bytes(8 * MIB) });
  for (const kind of ['http', 's3'] as const) yield await swapped(deps, kind, files, next);
  for (const how of ['written to', 'replaced'] as const) yield await underPull(deps, files, how);
  for (const how of ['written to', 'replaced', 'added'] as const) yield await underVerify(deps, files, how);
};

/** From one request on, the server has the next version: other content under another ETag, the bundle included. */
async function swapped(deps: PartDeps, kind: 'http' | 's3', files: Files, next: Files): Promise<Row> {
  const result = tally('change', `${kind}: the next version appears at a random request`);
  const dice = deps.dice(result.row().fault);
  for (let n = 0; n < deps.trials(30, 3); n++) {
    const to = join(deps.scratch, `swap-${kind}-${n}`, 'models');
    const at = dice.between(2, 8);
    const served: Record<string, Buffer | string> = { ...files };
    await using source = await openModelSource(kind, served, deps.scratch, (path, count) => {
      const name = path.split('/').at(-1) ?? '';
      // Only what differs can be told apart.
      return count >= at && (name === 'part-3.bin' || name === 'model.sig') ? { kind: 'instead', body: Buffer.from(next[name] ?? '') } : undefined;
    });
    const ended = await source.pullToEnd(to);
    await using later = await openModelSource(kind, next, deps.scratch);
    const trial = await judge({ ended, to, files, expected: ['OK', 'DIGEST_MISMATCH', 'SOURCE_CHANGED'] }, () => source.pullToEnd(to));
    // The next start finds the next version, so it is that one that has to stand there.
    const again = await later.pullToEnd(to);
    const problems = trial.problems.filter((problem) => !problem.includes('the next start ended'));
    if (again.code !== 0) problems.push(`the next start ended ${again.code} ${reasonOf(again)}`);
    result.add({ ...trial, recovered: again.code === 0, problems });
    removeAll(join(to, '..'));
  }
  return result.row();
}

/** What is published was hashed on its way, whatever the claim holds later. */
async function underPull(deps: PartDeps, files: Files, how: How): Promise<Row> {
  const result = tally('change', `file: a file of the claim is ${how} during the pull`);
  const dice = deps.dice(result.row().fault);
  for (let n = 0; n < deps.trials(30, 3); n++) {
    const parent = join(deps.scratch, `pull-${how.replaceAll(' ', '-')}-${n}`);
    await using source = await openModelSource('file', files, parent);
    const to = join(parent, 'models');
    const gate = source.pull(to);
    await until(() => gate.stderrSoFar() !== '', 'the first line of log');
    await sleep(dice.between(0, 200));
    disturb(source.url, dice, how);
    const ended = await gate.ended;
    const trial = await judge({ ended, to, files, expected: ['OK', 'DIGEST_MISMATCH', 'SOURCE_CHANGED'] }, async () => {
      writeTree(source.url, files);
      return source.pullToEnd(to);
    });
    result.add(trial);
    removeAll(parent);
  }
  return result.row();
}

async function underVerify(deps: PartDeps, files: Files, how: How): Promise<Row> {
  const result = tally('change', `verify: a file of the claim is ${how} meanwhile`);
  const dice = deps.dice(result.row().fault);
  const claim = join(deps.scratch, `verify-${how.replaceAll(' ', '-')}`);
  for (let n = 0; n < deps.trials(100, 5); n++) {
    removeAll(claim);
    writeTree(claim, files);
    result.add(await verifyOnce(claim, dice, how));
  }
  return result.row('a change in the last ms before the end is not seen');
}

async function verifyOnce(claim: string, dice: Dice, how: How): Promise<Trial> {
  const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
  const gate = startGate(['verify', claim], { env });
  let endedAt = 0;
  void gate.ended.then(() => {
    endedAt = performance.now();
  });
  await until(() => gate.stderrSoFar() !== '', 'the first line of log');
  await sleep(dice.between(0, 80));
  const late = endedAt > 0;
  disturb(claim, dice, how);
  const changedAt = performance.now();
  const ended = await gate.ended;
  const reason = reasonOf(ended);
  const problems: string[] = [];
  const beforeEnd = endedAt - changedAt;
  if (reason === 'OK' && !late && beforeEnd > LAST_LOOK_MS) problems.push(`exit 0 although a file was ${how} ${beforeEnd.toFixed(0)} ms before the end`);
  if (!['OK', 'DIGEST_MISMATCH', 'SOURCE_CHANGED', 'FILE_UNSIGNED', 'FILE_MISSING'].includes(reason)) problems.push(`${ended.code} ${reason}`);
  const next = await runGate(['verify', claim], { env });
  if (next.code !== 1) problems.push(`afterwards verify ended ${next.code}`);
  const outcome = late ? 'had ended' : reason === 'OK' ? 'exit 0, changed after the last look' : `exit ${ended.code} ${reason}`;
  return { outcome, clean: true, recovered: next.code === 1, problems };
}

type How = 'written to' | 'replaced' | 'added';

/** Makes the model another one, in one call of the system, or two. */
function disturb(claim: string, dice: Dice, how: How): void {
  const path = join(claim, `part-${dice.between(0, 5)}.bin`);
  switch (how) {
    case 'written to': {
      const fd = openSync(path, 'r+');
      writeSync(fd, dice.bytes(4096), 0, 4096, dice.between(0, 8 * MIB - 4096));
      closeSync(fd);
      return;
    }
    case 'replaced':
      mkdirSync(join(claim, '../new'), { recursive: true });
      writeFileSync(join(claim, '../new/file'), dice.bytes(4096));
      renameSync(join(claim, '../new/file'), path);
      return;
    case 'added':
      writeFileSync(join(claim, 'evil.py'), 'import os');
      return;
  }
}
