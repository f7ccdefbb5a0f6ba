// SPDX-License-Identifier: Apache-2.0
// Does the exercises in order and prints one table. Arguments: --podman or --cluster (otherwise kind when kubectl points at it),
// and the beginning of an exercise's name.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missingLines, type Outcome, readExercises, type Step, WORKSHOP } from './exercise.ts';
import { attack, MODEL, makeModels, restoreModel } from './models.ts';
import { type Cluster, findCluster, onCluster } from './onCluster.ts';
import { onPodman } from './onPodman.ts';
import type { Place } from './place.ts';

const IMAGES = {
  gate: process.env['E2E_IMAGE'] ?? 'model-gate:dev',
  server: process.env['WORKSHOP_SERVER_IMAGE'] ?? 'model-gate-workshop-server:dev',
  busybox: process.env['E2E_SERVER_IMAGE'] ?? 'docker.io/library/busybox:1.37.0',
  s3: process.env['WORKSHOP_S3_IMAGE'] ?? 'docker.io/versity/versitygw:v1.8.0',
};
/** The question every server is asked. */
const QUESTION = '#!/bin/sh\nset -eu\nfor file in *.json; do\n  echo "$file"\ndone\n';

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;

async function main(args: readonly string[]): Promise<boolean> {
  const filter = args.find((argument) => !argument.startsWith('--')) ?? '';
  const exercises = await readExercises(filter);
  if (exercises.length === 0) throw new Error('there is no such exercise');
  const cluster: Cluster | undefined = args.includes('--podman') ? undefined : await findCluster(args.includes('--cluster'));
  await using place: Place = cluster === undefined ? await onPodman(IMAGES) : await onCluster(cluster, IMAGES);
  console.log(`${place.name}\n`);
  await place.prepare(await makeModels());

  const table = [`${'exercise'.padEnd(34)} ${'pod'.padEnd(18)} ${'exit'.padStart(4)}  ${'reason'.padEnd(18)} server`];
  console.log(table[0]);
  let failed = 0;
  for (const exercise of exercises) {
    await restoreModel();
    await attack(exercise.attack);
    await place.fill(MODEL);
    for (const [index, step] of exercise.steps.entries()) {
      const label = exercise.steps.length === 1 ? exercise.title : `${exercise.title} (${'abc'[index]})`;
      const { row, problems } = await take(label, step, place);
      table.push(row);
      console.log([row, ...problems].join('\n'));
      failed += problems.length === 0 ? 0 : 1;
    }
  }
  if (filter === '' && !(await readFile(join(WORKSHOP, 'README.md'), 'utf8')).includes(`\n${table.join('\n')}\n`)) {
    console.log('  WRONG: README.md shows another table');
    failed++;
  }
  console.log(failed === 0 ? '\nEverything as the pages say.' : `\n${failed} outcomes are not what the pages say.`);
  return failed === 0;
}

/** One command, what came of it, and in what that is not what the page says. */
async function take(label: string, step: Step, place: Place): Promise<{ readonly row: string; readonly problems: readonly string[] }> {
  await place.execute(step.command);
  const seen = await place.observe(step.expect);
  const answer = await place.predict(QUESTION);
  const found: Outcome = { pod: seen.pod, exitCode: seen.exitCode, reason: seen.reason, server: answer === undefined ? 'no answer' : 'answers' };
  const told = answer === undefined ? 'no answer' : `answers "${answer.label}"`;
  const row = `${label.padEnd(34)} ${seen.pod.padEnd(18)} ${String(seen.exitCode).padStart(4)}  ${seen.reason.padEnd(18)} ${told}`;
  const log = answer === undefined ? seen.log : `${seen.log}\nthe server sees: ${answer.files.join(', ')}`;
  const wrong = [...differences(step.expect, found), ...missingLines(step.log, log).map((line) => `the log does not say: ${line}`)];
  if (answer !== undefined && answer.label !== 'shell') wrong.push(`a shell script is "${answer.label}" for the server`);
  return { row, problems: wrong.length === 0 ? [] : [...wrong.map((problem) => `  WRONG: ${problem}`), log.replace(/^/gm, '    | ')] };
}

function differences(expected: Outcome, found: Outcome): readonly string[] {
  const keys = ['pod', 'exitCode', 'reason', 'server'] as const;
  return keys.filter((key) => expected[key] !== found[key]).map((key) => `${key} is ${found[key]}, not ${expected[key]}`);
}
