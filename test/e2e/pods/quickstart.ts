// SPDX-License-Identifier: Apache-2.0
// Plays the pods of examples/quickstart on podman, the nearest thing to `kubectl apply` without a cluster.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { missingLines } from '../../../examples/workshop/run/exercise.ts';
import { freePort } from '../../support/freePort.ts';
import { renderQuickstart } from './manifests.ts';
import { podmanPod, reasonOf } from './observe.ts';
import { type Played, play, removePod, removeVolumes } from './podman.ts';

const IMAGES = { gate: process.env['E2E_IMAGE'] ?? 'localhost/model-gate:dev', server: process.env['E2E_SERVER_IMAGE'] ?? 'docker.io/library/busybox:1.37.0' };

process.exitCode = (await main()) ? 0 : 1;

async function main(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-quickstart-'));
  const prefix = `mg-quickstart-${process.pid}`;
  const pods = { source: await freePort(), genuine: await podmanPod(folder, 'genuine'), tampered: await podmanPod(folder, 'tampered') };
  const manifests = await renderQuickstart(join(folder, 'overlay'), IMAGES, prefix, pods);
  const playPod = (name: string): Promise<Played> => play(join(folder, `${name}.yaml`), manifests.get(name) ?? '', `${prefix}-${name}`);
  const printed: string[] = [];
  const outcome = async (variant: 'genuine' | 'tampered'): Promise<string> => {
    const played = await playPod(`model-server-${variant}`);
    const message = await readFile(pods[variant].terminationLog, 'utf8');
    const told = [
      `model-server-${variant}`,
      `  model-gate  exit ${played.gate.exitCode}`,
      `  server      ${played.server}`,
      `  message     ${message.trim()}`,
      '',
    ];
    printed.push(...told);
    console.log(told.join('\n'));
    return `${played.gate.exitCode} ${reasonOf(message)} ${played.server}`;
  };
  try {
    const source = await playPod('model-source');
    if (source.server !== 'running') throw new Error(`the web server is ${source.server}: ${source.error}`);
    const found = [await outcome('genuine'), await outcome('tampered')];
    const page = await readFile(new URL('../../../examples/quickstart/README.md', import.meta.url), 'utf8');
    const missing = missingLines(/^```text\n([\s\S]*?)\n```$/m.exec(page)?.[1]?.split('\n') ?? ['an output'], printed.join('\n'));
    for (const line of missing) console.log(`WRONG: examples/quickstart/README.md shows ${line}`);
    return missing.length === 0 && isDeepStrictEqual(found, ['0 verified running', '1 DIGEST_MISMATCH created']);
  } finally {
    for (const name of manifests.keys()) await removePod(`${prefix}-${name}`);
    await removeVolumes(prefix);
    await rm(folder, { recursive: true, force: true });
  }
}
