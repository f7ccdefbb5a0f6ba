// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import type { Measurement } from './verdict.ts';

export type Command = { readonly argv: readonly [string, ...string[]]; readonly env?: Readonly<Record<string, string>> };

const TIMEOUT_MS = 600_000;
/** What this machine sets for certificates, proxies or Node must not help or hinder anyone. */
const bareEnvironment = () => ({ PATH: process.env['PATH'] ?? '', HOME: homedir(), TMPDIR: tmpdir() });
const SAMPLE_MS = 20;
/**
 * bash's `time` has milliseconds and counts everything the program waited for; /proc counts hundredths, and a tiny model takes ten of them.
 * The program keeps its own standard error.
 */
const TIMED = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" 2>&4 3>&- 4>&-; } 4>&2 2>&3';
/** USER_HZ, which Linux gives to programs whatever its own clock is. */
const TICKS_PER_SECOND = 100;

export type MeasureOptions = { readonly signal: AbortSignal; readonly serverPids?: readonly number[] };

/** Runs a program to its end. @throws Error with what it said when it fails */
export async function measure({ argv, env }: Command, { signal, serverPids = [] }: MeasureOptions): Promise<Measurement> {
  const serversBefore = cpuSecondsOfTrees(serverPids);
  // A group of its own, so that everything it starts ends with it.
  const child = spawn('bash', ['-c', TIMED, 'bash', ...argv], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...bareEnvironment(), ...env },
    detached: true,
  });
  const [, , stderr, times] = child.stdio;
  let said = '';
  stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  let timed = '';
  times?.on('data', (chunk: Buffer) => {
    timed += chunk.toString();
  });
  let peakRssBytes = 0;
  const sampler = setInterval(() => {
    if (child.pid !== undefined) peakRssBytes = Math.max(peakRssBytes, peakBelow(child.pid));
  }, SAMPLE_MS);
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  const deadline = setTimeout(end, TIMEOUT_MS);
  signal.addEventListener('abort', end);
  try {
    const status = await new Promise<number | string | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(code ?? signal));
    });
    if (status !== 0) throw new Error(`${argv[0]} ended with ${status}: ${said.trim()}`);
    const [wallSeconds, user, system] = timed.trim().split(' ').map(Number);
    if (wallSeconds === undefined || user === undefined || system === undefined) throw new Error(`bash did not tell the time: '${timed}'`);
    return { wallSeconds, cpuSeconds: user + system, serverCpuSeconds: cpuSecondsOfTrees(serverPids) - serversBefore, peakRssBytes };
  } finally {
    clearInterval(sampler);
    clearTimeout(deadline);
    signal.removeEventListener('abort', end);
  }
}

function cpuSecondsOfTrees(roots: readonly number[]): number {
  return roots.flatMap(treeOf).reduce((sum, pid) => {
    // The second field is a name in parentheses that may itself hold blanks and parentheses.
    const fields =
      read(`/proc/${pid}/stat`)
        ?.replace(/^.*\) /s, '')
        .split(' ') ?? [];
    const [user = 0, system = 0, waitedUser = 0, waitedSystem = 0] = fields.slice(11, 15).map(Number);
    return sum + (user + system + waitedUser + waitedSystem) / TICKS_PER_SECOND;
  }, 0);
}

/** Without `root` itself, which only keeps the time. */
function peakBelow(root: number): number {
  const [, ...pids] = treeOf(root);
  return pids.reduce((sum, pid) => sum + 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0), 0);
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
