// SPDX-License-Identifier: Apache-2.0
// The exercises' pods on podman, for machines without a cluster. What a kubelet does and podman does not is made up for here; docs/image.md lists it.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../../../test/e2e/pods/observe.ts';
import { createClaim, createSecret, type Played, play, removePod, removeVolumes } from '../../../test/e2e/pods/podman.ts';
import { must, run } from '../../../test/e2e/pods/process.ts';
import { freePort } from '../../../test/support/freePort.ts';
import { WORKSHOP } from './exercise.ts';
import { ask, type ConfigMaps, type Place, present } from './place.ts';
import { adapt, type Images, PREFIX, render, secretsOf } from './podmanPods.ts';

const WORKLOAD = `${PREFIX}-ml-workload`;
const CLAIM = `${PREFIX}-model-storage`;

export async function onPodman(images: Images): Promise<Place> {
  for (const image of Object.values(images)) await present('podman', image);
  const held = new AsyncDisposableStack(); // Secrets
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-workshop-'));
  const terminationLog = join(folder, 'termination-log');
  const ports = { server: await freePort(), source: await freePort(), watch: await freePort() };
  const settings = { images, ports, terminationLog };
  let configMaps: ConfigMaps = {};
  let manifest = '';
  let played: Played | undefined;

  /** Pods first: they hold the volumes. What ConfigMaps and emptyDirs left behind would be found by the next pod. */
  const removePods = async (...names: readonly string[]): Promise<void> => {
    for (const name of names) await removePod(name);
    for (const name of [...Object.keys(configMaps), 'ml-workload']) await removeVolumes(`${PREFIX}-${name}`);
  };
  const playWorkload = async (): Promise<void> => {
    await removePods(WORKLOAD);
    await writeFile(terminationLog, '');
    await chmod(terminationLog, 0o666); // as the kubelet makes it: writable for any UID
    played = await play(join(folder, 'workload.yaml'), manifest, WORKLOAD, { gate: 'model-validation', server: 'inference' });
  };
  const removeAll = async (): Promise<void> => {
    await removePods(WORKLOAD, `${PREFIX}-model-source`);
    await removeVolumes(PREFIX);
  };

  return {
    name: `podman (${(await must('podman', ['--version'])).trim()}), because kubectl points at no kind cluster`,
    prepare: async (trust) => {
      configMaps = trust;
      await removeAll();
    },
    fill: async (model) => {
      await removeAll();
      await createClaim(CLAIM, dirname(model), join(folder, 'claim.tar'), basename(model));
    },
    execute: async (command) => {
      const [, flag, path] = /^kubectl apply -([kf]) (\S+)$/.exec(command) ?? [];
      const [, script] = /^kubectl -n ml-workshop exec model-helper -- sh -c '(.+)'$/.exec(command) ?? [];
      if (flag === 'k' && path !== undefined) {
        const rendered = await render(join(WORKSHOP, path));
        for (const [name, values] of secretsOf(rendered)) held.use(await createSecret(name, values, join(folder, 'secret.json')));
        manifest = adapt(rendered, configMaps, settings);
        await playWorkload();
      } else if (flag === 'f' && path !== undefined) {
        const source = adapt(await readFile(join(WORKSHOP, path), 'utf8'), configMaps, settings);
        await writeFile(join(folder, 'source.yaml'), source);
        await must('podman', ['kube', 'play', join(folder, 'source.yaml')]);
        await playWorkload(); // the kubelet starts a failed init container again, after a while
      } else if (script !== undefined) {
        await must('podman', ['run', '--rm', '--network', 'host', '--volume', `${CLAIM}:/data`, images.busybox, '/bin/busybox', 'sh', '-c', script]);
      } else {
        throw new Error(`podman has no such command: ${command}`);
      }
    },
    observe: async (expected) => {
      if (played === undefined) throw new Error('nothing was started');
      const message = await readFile(terminationLog, 'utf8');
      const watched = await readiness(expected.pod === 'Running, not ready' ? 503 : 200);
      const watchLog = watched === undefined ? undefined : await run('podman', ['logs', `${WORKLOAD}-model-watch`]);
      const running = watched === 503 ? 'Running, not ready' : 'Running';
      return {
        pod: played.server === 'running' ? running : 'Init:Error',
        exitCode: played.gate.exitCode,
        reason: reasonOf(message),
        log: [played.gate.log, watchLog?.stdout, watchLog?.stderr].join('\n'),
      };
    },
    predict: (text) => ask(`http://127.0.0.1:${ports.server}`, text, Date.now() + (played?.server === 'running' ? 20_000 : 0)),
    [Symbol.asyncDispose]: async () => {
      await removeAll();
      await held.disposeAsync();
      await rm(folder, { recursive: true });
    },
  };

  /** What the readiness probe of the watching container would find; undefined when the pod has none. */
  async function readiness(wanted: number): Promise<number | undefined> {
    if (!manifest.includes('model-watch')) return undefined;
    const deadline = Date.now() + 60_000;
    for (;;) {
      const status = await fetch(`http://127.0.0.1:${ports.watch}/ready`).then(
        (response) => response.status,
        () => undefined,
      );
      if (status === wanted || Date.now() > deadline) return status;
      await delay(200);
    }
  }
}
