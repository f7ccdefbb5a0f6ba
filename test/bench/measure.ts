// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Measurement } from './verdict.ts';

export type Command = { readonly argv: readonly [string, ...string[]]; readonly env?: Readonly<Record<string, string>> };

const TIMEOUT_MS = 600_000;
const SAMPLE_MS = 20;
/** USER_HZ, which Linux gives to programs whatever its own clock is: the resolution of CPU seconds is 10 ms. */
const TICKS_PER_SECOND = 100;

/** Runs a program to its end. @throws Error with what it said when it fails */
export async function measure({ argv, env }: Command, serverPids: readonly number[] = []): Promise<Measurement> {
  const [program, ...args] = argv;
  const serversBefore = cpuSecondsOfTrees(serverPids);
  const childrenBefore = cpuSecondsOfChildren();
  const start = performance.now();
  // A group of its own, so that everything it starts ends with it.
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env }, detached: true });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  let peakRssBytes = 0;
  const sampler = setInterval(() => {
    if (child.pid !== undefined) peakRssBytes = Math.max(peakRssBytes, peakOfTree(child.pid));
  }, SAMPLE_MS);
  const deadline = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), TIMEOUT_MS);
  try {
    const status = await new Promise<number | string | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? signal));
    });
    const wallSeconds = (performance.now() - start) / 1000;
    if (status !== 0) throw new Error(`${program} ended with ${status}: ${said.trim()}`);
    return {
      wallSeconds,
      cpuSeconds: cpuSecondsOfChildren() - childrenBefore,
      serverCpuSeconds: cpuSecondsOfTrees(serverPids) - serversBefore,
      peakRssBytes,
    };
  } finally {
    clearInterval(sampler);
    clearTimeout(deadline);
  }
}

/** What ended children (and theirs) took: the kernel adds it up when this process reaps them. Only one may end at a time. */
function cpuSecondsOfChildren(): number {
  const { waitedSeconds } = cpuOf('self') ?? { waitedSeconds: 0 };
  return waitedSeconds;
}

function cpuSecondsOfTrees(roots: readonly number[]): number {
  return roots.flatMap(treeOf).reduce((sum, pid) => {
    const cpu = cpuOf(pid);
    return cpu === undefined ? sum : sum + cpu.ownSeconds + cpu.waitedSeconds;
  }, 0);
}

function cpuOf(pid: number | 'self'): { readonly ownSeconds: number; readonly waitedSeconds: number } | undefined {
  // The second field is a name in parentheses that may itself hold blanks and parentheses.
  const fields = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ')
    .slice(11, 15)
    .map(Number);
  if (fields === undefined) return undefined;
  const [user = 0, system = 0, waitedUser = 0, waitedSystem = 0] = fields;
  return { ownSeconds: (user + system) / TICKS_PER_SECOND, waitedSeconds: (waitedUser + waitedSystem) / TICKS_PER_SECOND };
}

function peakOfTree(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0), 0);
}

function treeOf(root: number): number[] {
  const children = tasksOf(root).flatMap((task) => read(`/proc/${root}/task/${task}/children`)?.trim().split(' ') ?? []);
  return [root, ...children.filter((pid) => pid !== '').flatMap((pid) => treeOf(Number(pid)))];
}

function tasksOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // It has ended.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // It has ended.
  }
}
