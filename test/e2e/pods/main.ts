// SPDX-License-Identifier: Apache-2.0
// Real pods with the real image: a good model lets the server start, everything else holds it back.
// Needs podman, kustomize, model_signing, nginx and versitygw on PATH; .ci/stages/pods.sh brings them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { observe, type Row } from './observe.ts';
import { NOT_PLAYED, scenarios } from './scenarios.ts';
import { stopsOnSigterm } from './signal.ts';
import { openWorld } from './world.ts';

const IMAGES = { gate: process.env['E2E_IMAGE'] ?? 'localhost/model-gate:ci', server: process.env['E2E_SERVER_IMAGE'] ?? 'localhost/model-gate-busybox:ci' };

process.exitCode = (await main(process.argv[2] ?? '')) ? 0 : 1;

/** Runs the scenarios whose title contains `filter`. */
async function main(filter: string): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-pods-'));
  const session = `mg-e2e-${process.pid}`;
  let passed = 0;
  let failed = 0;
  const count = (row: Row): void => {
    print(row);
    if (row.problems.length === 0) passed++;
    else failed++;
  };
  try {
    await using world = await openWorld(folder, `${session}-claim`, IMAGES);
    console.log(line('source', 'trust', 'scenario', 'exit', 'reason', 'server', 'seconds'));
    for (const [index, scenario] of scenarios(world).entries()) {
      if (scenario.title.includes(filter)) count(await observe(scenario, world, folder, `${session}-${index}`));
    }
    if (filter === '') for (const { source, trust, title, why } of NOT_PLAYED) console.log(line(source, trust, title, '-', 'not played', why));
    if (filter === '') count(await stopsOnSigterm(IMAGES.gate, `${session}-signal`, world.models.publicKey));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

function print(row: Row): void {
  // A running server was asked for every file.
  const server = row.server === 'running' ? 'answers' : row.server === 'created' ? 'not started' : row.server;
  console.log(line(row.source, row.trust, row.title, String(row.exitCode), row.reason, server, row.seconds.toFixed(1)));
  if (row.problems.length === 0) return;
  for (const problem of row.problems) console.log(`  WRONG: ${problem}`);
  console.log(row.log.replace(/^/gm, '    | '));
}

function line(source: string, trust: string, title: string, exit: string, reason: string, server: string, seconds = ''): string {
  return `${source.padEnd(6)} ${trust.padEnd(11)} ${title.padEnd(63)} ${exit.padStart(4)}  ${reason.padEnd(22)} ${server.padEnd(11)} ${seconds}`.trimEnd();
}
