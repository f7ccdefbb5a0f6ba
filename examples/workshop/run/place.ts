// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { must, run } from '../../../test/e2e/pods/process.ts';
import type { Outcome } from './exercise.ts';

export type ConfigMaps = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What is seen of a pod; the server's answer is asked for apart. */
export type Seen = Omit<Outcome, 'server'> & { readonly log: string };

/** Where the pods of the exercises run: a cluster, or podman in its stead. */
export interface Place extends AsyncDisposable {
  readonly name: string;
  /** The namespace, the claim and what the pods trust. */
  prepare(configMaps: ConfigMaps): Promise<void>;
  /** Removes the last exercise's pods; afterwards the claim holds the model's folder and nothing else. */
  fill(model: string): Promise<void>;
  /** Carries out one of the README's kubectl commands. */
  execute(command: string): Promise<void>;
  /** What the workload did; waits until it is what was expected, or will not be any more. */
  observe(expected: Outcome): Promise<Seen>;
  /** Asks the server what kind of file a text is; undefined when there is no answer. */
  predict(text: string): Promise<Answer | undefined>;
}

/** Has the engine fetch an image of a registry that it does not have; one that is built has to be there. */
export async function present(engine: 'docker' | 'podman', image: string): Promise<void> {
  if ((await run(engine, ['image', 'inspect', image])).code === 0) return;
  if (!image.startsWith('docker.io/')) throw new Error(`${engine} has no image ${image}; README.md has the command that builds it`);
  await must(engine, ['pull', '--quiet', image], { timeoutMs: 300_000 });
}

const Health = v.object({ files: v.array(v.string()) });
const Prediction = v.object({ label: v.string() });

/** What the server says, and the files it finds in the model's folder. */
export type Answer = v.InferOutput<typeof Health> & v.InferOutput<typeof Prediction>;

/** Asks until there is an answer or the time is over. */
export async function ask(origin: string, text: string, deadline: number): Promise<Answer | undefined> {
  const signal = AbortSignal.timeout(Math.max(1000, deadline - Date.now()));
  for (;;) {
    try {
      const health = await fetch(`${origin}/health`, { signal });
      const prediction = await fetch(`${origin}/predict`, { method: 'POST', body: text, signal });
      return { ...v.parse(Health, await health.json()), ...v.parse(Prediction, await prediction.json()) };
    } catch {
      if (Date.now() > deadline) return undefined;
      await delay(100);
    }
  }
}
