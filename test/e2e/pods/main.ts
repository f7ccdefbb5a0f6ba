// SPDX-License-Identifier: Apache-2.0
// Real pods with the real image: a good model lets the server start, everything else holds it back.
// Needs podman, kustomize, model_signing, nginx and versitygw on PATH; .ci/stages/pods.sh brings them.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHub } from '../../servers/hubServer.ts';
import { makeModels } from './models.ts';
import { observe, type Row } from './observe.ts';
import { createClaim, createSecret, removeVolumes } from './podman.ts';
import { freePort } from './process.ts';
import { HUB_REVISION, NOT_PLAYED, scenarios } from './scenarios.ts';
import { S3_CREDENTIALS, startNginx, startS3 } from './servers.ts';
import { stopsOnSigterm } from './signal.ts';
import { signOtherwise } from './signOtherwise.ts';

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
    const anchors = await signOtherwise(models.shelf, folder);
    await using nginx = await startNginx(join(folder, 'nginx'), join(folder, 'shelf'));
    await using s3 = await startS3(join(folder, 'shelf'));
    await createClaim(claim, models.shelf, join(folder, 'claim.tar'));
    await using _secret = await createSecret('model-source', s3Secret(s3.url), join(folder, 'secret.json'));
    await using hub = await startHub({ repositories: await repositories(models.shelf, 'keyless', 'keyless-changed') });
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const world = { models, images: IMAGES, nginx: nginx.url, s3: s3.url, nowhere, hub: hub.origin, claim, anchors };

    console.log(line('source', 'trust', 'scenario', 'exit', 'reason', 'server', 'seconds'));
    for (const [index, scenario] of scenarios(world).entries()) {
      if (scenario.title.includes(filter)) count(await observe(scenario, world, folder, `${session}-${index}`));
    }
    if (filter === '') for (const { source, trust, title, why } of NOT_PLAYED) console.log(line(source, trust, title, '-', 'not played', why));
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

/** The shelf's models as repositories of a hub. */
async function repositories(shelf: string, ...models: readonly string[]): Promise<Record<string, Record<string, Record<string, Buffer>>>> {
  const read = async (model: string) => {
    const entries = await readdir(join(shelf, model), { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const files = await Promise.all(paths.map(async (path) => [path.slice(join(shelf, model).length + 1), await readFile(path)] as const));
    return [`example-org/${model}`, { [HUB_REVISION]: Object.fromEntries(files) }] as const;
  };
  return Object.fromEntries(await Promise.all(models.map(read)));
}
