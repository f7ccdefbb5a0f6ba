// SPDX-License-Identifier: Apache-2.0
// Real pods with the real image: a good model lets the server start, everything else holds it back.
// Needs podman, kustomize, model_signing, nginx and versitygw on PATH; .ci/stages/pods.sh brings them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeModels } from './models.ts';
import { observe, type Row } from './observe.ts';
import { createClaim, createSecret, removeVolumes } from './podman.ts';
import { freePort } from './process.ts';
import { scenarios } from './scenarios.ts';
import { S3_CREDENTIALS, startNginx, startS3 } from './servers.ts';
import { stopsOnSigterm } from './signal.ts';

const IMAGES = { gate: process.env['E2E_IMAGE'] ?? 'localhost/model-gate:ci', server: process.env['E2E_SERVER_IMAGE'] ?? 'localhost/model-gate-busybox:ci' };

process.exitCode = (await main(process.argv[2] ?? '')) ? 0 : 1;

/** Runs the scenarios whose title contains `filter`. */
async function main(filter: string): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-pods-'));
  const session = `mg-e2e-${process.pid}`;
  const claim = `${session}-claim`;
  let passed = 0;
  let failed = 0;
  const count = (row: Row): void => {
    print(row);
    if (row.problems.length === 0) passed++;
    else failed++;
  };
  try {
    const models = await makeModels(folder);
    await using nginx = await startNginx(join(folder, 'nginx'), join(folder, 'shelf'));
    await using s3 = await startS3(join(folder, 'shelf'));
    await createClaim(claim, models.shelf, join(folder, 'claim.tar'));
    await using _secret = await createSecret('model-source', s3Secret(s3.url), join(folder, 'secret.json'));
    const world = { models, images: IMAGES, nginx: nginx.url, s3: s3.url, nowhere: `http://127.0.0.1:${await freePort()}`, claim };

    console.log(`${'scenario'.padEnd(46)} ${'exit'.padStart(4)}  ${'reason'.padEnd(22)} ${'server'.padEnd(8)} seconds`);
    for (const [index, scenario] of scenarios(world).entries()) {
      if (scenario.title.includes(filter)) count(await observe(scenario, world, folder, `${session}-${index}`));
    }
    if (filter === '') count(await stopsOnSigterm(IMAGES.gate, `${session}-signal`, models.publicKey));
  } finally {
    await removeVolumes(claim);
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

/** What the manifests' Secret holds. */
function s3Secret(endpoint: string): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId, AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey, AWS_ENDPOINT_URL: endpoint };
}

function print(row: Row): void {
  console.log(`${row.title.padEnd(46)} ${String(row.exitCode).padStart(4)}  ${row.reason.padEnd(22)} ${row.server.padEnd(8)} ${row.seconds.toFixed(1)}`);
  if (row.problems.length === 0) return;
  for (const problem of row.problems) console.log(`  WRONG: ${problem}`);
  console.log(row.log.replace(/^/gm, '    | '));
}
