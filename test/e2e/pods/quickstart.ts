// SPDX-License-Identifier: Apache-2.0
// Plays the pods of examples/quickstart on podman, the nearest thing to `kubectl apply` without a cluster.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderQuickstart } from './manifests.ts';
import { podmanPod, reasonOf } from './observe.ts';
import { play, removePod, removeVolumes } from './podman.ts';
import { freePort } from './process.ts';

const IMAGES = { gate: process.env['E2E_IMAGE'] ?? 'localhost/model-gate:dev', server: process.env['E2E_SERVER_IMAGE'] ?? 'docker.io/library/busybox:1.37.0' };
const VOLUMES = ['model-genuine', 'model-tampered', 'model-publisher'];

process.exitCode = (await main()) ? 0 : 1;

async function main(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-quickstart-'));
  const pods = { source: await freePort(), genuine: await podmanPod(folder, 'genuine'), tampered: await podmanPod(folder, 'tampered') };
  try {
    const manifests = await renderQuickstart(join(folder, 'overlay'), IMAGES, pods);
    const outcome = new Map<string, string>();
    for (const [name, manifest] of manifests) {
      const played = await play(join(folder, `${name}.yaml`), manifest, name);
      if (name === 'model-source') {
        if (played.server !== 'running') throw new Error(`the web server is ${played.server}: ${played.error}`);
        continue;
      }
      const message = await readFile(name === 'model-server-genuine' ? pods.genuine.terminationLog : pods.tampered.terminationLog, 'utf8');
      console.log(`\n${name}\n  model-gate  exit ${played.gate.exitCode}\n  server      ${played.server}\n  message     ${message.trim()}`);
      outcome.set(name, `${played.gate.exitCode} ${reasonOf(message)} ${played.server}`);
    }
    return outcome.get('model-server-genuine') === '0 verified running' && outcome.get('model-server-tampered') === '1 DIGEST_MISMATCH created';
  } finally {
    for (const name of ['model-server-genuine', 'model-server-tampered', 'model-source']) await removePod(name);
    for (const name of VOLUMES) await removeVolumes(name);
    await rm(folder, { recursive: true, force: true });
  }
}
