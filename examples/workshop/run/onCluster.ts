// SPDX-License-Identifier: Apache-2.0
// The exercises on a cluster: the README's commands as they stand, and kubectl to look at what came of them.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { reasonOf } from '../../../test/e2e/pods/observe.ts';
import { must, run } from '../../../test/e2e/pods/process.ts';
import { freePort } from '../../../test/support/freePort.ts';
import { type Outcome, WORKSHOP } from './exercise.ts';
import { ask, type ConfigMaps, type Place, present, type Seen } from './place.ts';
import type { Images } from './podmanPods.ts';

export type Cluster = { readonly context: string };

const IN_NAMESPACE = ['-n', 'ml-workshop'] as const;
const DECIDED_WITHIN_MS = 180_000;

/** The cluster kubectl points at: kind's without asking, any other only when told to. */
export async function findCluster(any: boolean): Promise<Cluster | undefined> {
  const current = await run('kubectl', ['config', 'current-context']).catch(() => undefined);
  const context = current?.code === 0 ? current.stdout.trim() : undefined;
  if (context === undefined || !(any || context.startsWith('kind-'))) {
    if (any) throw new Error('kubectl points at no cluster');
    return undefined;
  }
  await must('kubectl', ['get', 'nodes'], { timeoutMs: 20_000 });
  return { context };
}

export async function onCluster({ context }: Cluster, images: Images, decidedWithinMs = DECIDED_WITHIN_MS): Promise<Place> {
  // Other clusters have the images, or fetch them.
  if (context.startsWith('kind-')) await load(Object.values(images), context.slice('kind-'.length));
  let forward: { readonly process: ChildProcess; readonly origin: string } | undefined;

  const removePods = async (...names: readonly string[]): Promise<void> => {
    forward?.process.kill();
    forward = undefined;
    await must('kubectl', [...IN_NAMESPACE, 'delete', 'pod', ...names, '--ignore-not-found', '--wait', '--timeout=60s']);
  };
  return {
    name: `the cluster ${context}`,
    prepare: async (configMaps: ConfigMaps) => {
      await must('kubectl', ['apply', '-f', join(WORKSHOP, 'cluster.yaml')]);
      for (const [name, data] of Object.entries(configMaps)) {
        const literals = Object.entries(data).map(([key, value]) => `--from-literal=${key}=${value}`);
        await must('kubectl', [...IN_NAMESPACE, 'delete', 'configmap', name, '--ignore-not-found']);
        await must('kubectl', [...IN_NAMESPACE, 'create', 'configmap', name, ...literals]);
      }
      await must('kubectl', [...IN_NAMESPACE, 'wait', '--for=condition=Ready', 'pod/model-helper', '--timeout=180s'], { timeoutMs: 200_000 });
    },
    fill: async (model) => {
      await removePods('ml-workload', 'model-source');
      await must('kubectl', [...IN_NAMESPACE, 'exec', 'model-helper', '--', 'rm', '-rf', '/data/bert-base-uncased']);
      await must('kubectl', ['cp', model, 'ml-workshop/model-helper:/data/bert-base-uncased']);
    },
    execute: async (command) => {
      if (command.startsWith('kubectl apply -k ')) await removePods('ml-workload');
      await must('sh', ['-euc', `cd "$1"; ${command}`, 'exercise', WORKSHOP]);
    },
    observe: async (expected) => {
      const deadline = Date.now() + decidedWithinMs;
      for (;;) {
        const seen = await look();
        if (seen !== undefined && isExpected(seen, expected)) return seen;
        // A refusal can be final (restartPolicy Never) or tried again; what is not as expected by now stays so.
        if (Date.now() > deadline) return seen ?? { pod: 'Init:Error', exitCode: -1, reason: 'nothing', log: 'the pod did not get as far as the gate' };
        await delay(1000);
      }
    },
    predict: async (text) => {
      if (forward === undefined || forward.process.exitCode !== null) {
        const port = await freePort();
        const child = spawn('kubectl', [...IN_NAMESPACE, 'port-forward', 'pod/ml-workload', `${port}:8080`], { stdio: 'ignore' });
        forward = { process: child, origin: `http://127.0.0.1:${port}` };
      }
      // A pod that never started a server refuses the forwarding at once.
      return ask(forward.origin, text, Date.now() + 5000);
    },
    [Symbol.asyncDispose]: async () => {
      forward?.process.kill();
      console.log('\nClean up: kubectl delete namespace ml-workshop');
    },
  };
}

async function load(images: readonly string[], cluster: string): Promise<void> {
  for (const image of images) await present('docker', image);
  await must('kind', ['load', 'docker-image', ...images, '--name', cluster], { timeoutMs: 300_000 });
}

const Terminated = v.object({ exitCode: v.number(), message: v.optional(v.string(), '') });
const State = v.object({ terminated: v.optional(Terminated) });
const PodStatus = v.object({
  status: v.object({
    conditions: v.optional(v.array(v.object({ type: v.string(), status: v.string() })), []),
    initContainerStatuses: v.optional(v.array(v.object({ name: v.string(), state: State, lastState: v.optional(State, {}) })), []),
    containerStatuses: v.optional(v.array(v.object({ name: v.string(), started: v.optional(v.boolean(), false) })), []),
  }),
});

/** Undefined until the gate has ended for the first time. */
async function look(): Promise<Seen | undefined> {
  const found = await run('kubectl', [...IN_NAMESPACE, 'get', 'pod', 'ml-workload', '-o', 'json']);
  if (found.code !== 0) return undefined;
  const { conditions, initContainerStatuses, containerStatuses } = v.parse(PodStatus, JSON.parse(found.stdout)).status;
  const gate = initContainerStatuses.find(({ name }) => name === 'model-validation');
  const ended = gate?.state.terminated ?? gate?.lastState.terminated;
  if (ended === undefined) return undefined;
  const ready = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  const started = containerStatuses.some(({ name, started }) => name === 'inference' && started);
  const logs = await Promise.all(['model-validation', 'model-watch'].map((name) => run('kubectl', [...IN_NAMESPACE, 'logs', 'ml-workload', '-c', name])));
  const running = ready ? 'Running' : 'Running, not ready';
  const log = logs.map((answer) => answer.stdout).join('');
  return { pod: started ? running : 'Init:Error', exitCode: ended.exitCode, reason: reasonOf(ended.message), log };
}

function isExpected(seen: Seen, expected: Outcome): boolean {
  return seen.pod === expected.pod && seen.exitCode === expected.exitCode;
}
