// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../support/freePort.ts';
import type { PodmanPod } from './manifests.ts';
import { type Played, play, removePod, removeVolumes } from './podman.ts';
import type { Scenario, World } from './scenarios.ts';

export type Row = {
  readonly source: string;
  readonly trust: string;
  readonly title: string;
  readonly exitCode: number;
  readonly reason: string;
  readonly server: string;
  readonly seconds: number;
  readonly problems: readonly string[];
  /** The termination message and what the gate logged. */
  readonly log: string;
};

/** All containers of a pod share 12 KiB of termination messages; the gate promises to need at most this much of it. */
const MAX_MESSAGE_BYTES = 1000;

/** Plays one scenario's pod and compares what came of it with what had to. */
export async function observe(scenario: Scenario, world: World, parent: string, name: string): Promise<Row> {
  const started = Date.now();
  const folder = join(parent, name);
  await mkdir(folder);
  const pod = await podmanPod(folder, name);
  const podName = `${name}-model-server`;
  try {
    const played = await play(join(folder, 'pod.yaml'), await scenario.manifest(folder, pod), podName);
    const message = await readFile(pod.terminationLog, 'utf8');
    const problems = [
      ...checkGate(scenario, played),
      ...checkMessage(scenario, message),
      ...(played.gate.exitCode === 0 ? await checkServed(scenario, world, played, pod.port) : await checkHeldBack(scenario, played)),
    ];
    const log = [message, played.gate.log, played.error].join('\n');
    const { title, source, trust } = scenario;
    return { source, trust, title, exitCode: played.gate.exitCode, reason: reasonOf(message), server: played.server, seconds: since(started), problems, log };
  } finally {
    await removePod(podName);
    await removeVolumes(name);
  }
}

/** A port and a termination log for a pod. */
export async function podmanPod(folder: string, name: string): Promise<PodmanPod> {
  const terminationLog = join(folder, `${name}.termination-log`);
  await writeFile(terminationLog, '');
  await chmod(terminationLog, 0o666); // as the kubelet makes it: writable for any UID
  return { name, port: await freePort(), terminationLog };
}

export function since(started: number): number {
  return (Date.now() - started) / 1000;
}

function checkGate(scenario: Scenario, played: Played): readonly string[] {
  const wanted = scenario.expect.exitCode;
  const problems: string[] = [];
  if (played.gate.exitCode !== wanted) problems.push(`exit code ${played.gate.exitCode}, not ${wanted}`);
  // podman itself ends with 125 when an init container fails
  if (played.code !== (wanted === 0 ? 0 : 125)) problems.push(`podman kube play exited with ${played.code}`);
  return problems;
}

function checkMessage(scenario: Scenario, message: string): readonly string[] {
  const problems: string[] = [];
  if (Buffer.byteLength(message) > MAX_MESSAGE_BYTES) problems.push(`termination message of ${Buffer.byteLength(message)} bytes`);
  const reason = reasonOf(message);
  if (reason !== scenario.expect.reason) problems.push(`termination message says ${reason}, not ${scenario.expect.reason}`);
  const { rule } = scenario.expect;
  if (rule !== undefined && !message.includes(`"rule":${JSON.stringify(rule)}`)) problems.push(`termination message does not name ${rule}`);
  return problems;
}

/** The reason code of a failure, `verified` for a success. */
export function reasonOf(message: string): string {
  if (message === '') return 'nothing';
  try {
    const parsed: unknown = JSON.parse(message);
    if (typeof parsed !== 'object' || parsed === null) return 'no JSON object';
    if ('reason' in parsed && typeof parsed.reason === 'string') return parsed.reason;
    return 'verdict' in parsed && typeof parsed.verdict === 'string' ? parsed.verdict : 'no verdict';
  } catch {
    return 'no JSON';
  }
}

/** The server runs and hands out every signed file, byte for byte. */
async function checkServed(scenario: Scenario, world: World, played: Played, port: number): Promise<readonly string[]> {
  if (played.server !== 'running') return [`the server is ${played.server}`];
  const problems: string[] = [];
  for (const [name, expected] of world.models.files) {
    const path = [scenario.served, name].filter((part) => part !== '').join('/');
    const found = await request(`http://127.0.0.1:${port}/${path.split('/').map(encodeURIComponent).join('/')}`);
    if (found === undefined || !found.equals(expected)) problems.push(`the server does not hand out ${path} as it was signed`);
  }
  return problems;
}

/** The server never started, and nothing it could have loaded is on the volume. */
async function checkHeldBack(scenario: Scenario, played: Played): Promise<readonly string[]> {
  const problems: string[] = [];
  if (played.server !== 'created') problems.push(`the server is ${played.server}`);
  if (scenario.mode === 'verify') return problems;
  const volume = played.volumes.get('/mnt/models');
  if (volume === undefined) return [...problems, 'no volume at /mnt/models'];
  const left = await readdir(volume, { recursive: true });
  if (left.length > 0) problems.push(`left on the volume: ${left.join(', ')}`);
  return problems;
}

/** The server may still be opening its port when podman says it runs. */
async function request(url: string): Promise<Buffer | undefined> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      const response = await fetch(url);
      return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(50);
    }
  }
}
