// SPDX-License-Identifier: Apache-2.0
// Does the exercises in order and prints one table. Arguments: --podman or --cluster (otherwise kind when kubectl points at it),
// and the beginning of an exercise's name.
import { missingLines, type Outcome, readExercises, type Step } from './exercise.ts';
import { attack, MODEL, makeModels, restoreModel } from './models.ts';
import { type Cluster, findCluster, onCluster } from './onCluster.ts';
import { onPodman } from './onPodman.ts';
import type { Place } from './place.ts';

const IMAGES = {
  gate: process.env['E2E_IMAGE'] ?? 'model-gate:dev',
  server: process.env['WORKSHOP_SERVER_IMAGE'] ?? 'model-gate-workshop-server:dev',
  busybox: process.env['E2E_SERVER_IMAGE'] ?? 'docker.io/library/busybox:1.37.0',
};
/** The question every server is asked. */
const QUESTION = '#!/bin/sh\nset -eu\nfor file in *.json; do\n  echo "$file"\ndone\n';

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;

async function main(args: readonly string[]): Promise<boolean> {
  const exercises = await readExercises(args.find((argument) => !argument.startsWith('--')) ?? '');
  if (exercises.length === 0) throw new Error('there is no such exercise');
  const cluster: Cluster | undefined = args.includes('--podman') ? undefined : await findCluster(args.includes('--cluster'));
  await using place: Place = cluster === undefined ? await onPodman(IMAGES) : await onCluster(cluster, IMAGES);
  console.log(`${place.name}\n`);
  await place.prepare(await makeModels());

  console.log(`${'exercise'.padEnd(34)} ${'pod'.padEnd(18)} ${'exit'.padStart(4)}  ${'reason'.padEnd(18)} server`);
  let failed = 0;
  for (const exercise of exercises) {
    await restoreModel();
    await attack(exercise.attack);
    await place.fill(MODEL);
    for (const [index, step] of exercise.steps.entries()) {
      const label = exercise.steps.length === 1 ? exercise.title : `${exercise.title} (${'abc'[index]})`;
      failed += (await take(label, step, place)) ? 0 : 1;
    }
  }
  console.log(failed === 0 ? '\nEverything as the pages say.' : `\n${failed} outcomes are not what the pages say.`);
  return failed === 0;
}

/** One command, what came of it, and whether that is what the page says. */
async function take(label: string, step: Step, place: Place): Promise<boolean> {
  await place.execute(step.command);
  const seen = await place.observe(step.expect);
  const answer = await place.predict(QUESTION);
  const found: Outcome = { pod: seen.pod, exitCode: seen.exitCode, reason: seen.reason, server: answer === undefined ? 'no answer' : 'answers' };
  const told = answer === undefined ? 'no answer' : `answers "${answer.label}"`;
  console.log(`${label.padEnd(34)} ${seen.pod.padEnd(18)} ${String(seen.exitCode).padStart(4)}  ${seen.reason.padEnd(18)} ${told}`);
  const log = answer === undefined ? seen.log : `${seen.log}\nthe server sees: ${answer.files.join(', ')}`;
  const problems = [...differences(step.expect, found), ...missingLines(step.log, log).map((line) => `the log does not say: ${line}`)];
  if (answer !== undefined && answer.label !== 'shell') problems.push(`a shell script is "${answer.label}" for the server`);
  for (const problem of problems) console.log(`  WRONG: ${problem}`);
  if (problems.length > 0) console.log(log.replace(/^/gm, '    | '));
  return problems.length === 0;
}

function differences(expected: Outcome, found: Outcome): readonly string[] {
  const keys = ['pod', 'exitCode', 'reason', 'server'] as const;
  return keys.filter((key) => expected[key] !== found[key]).map((key) => `${key} is ${found[key]}, not ${expected[key]}`);
}
