// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Behaviour } from '../servers/httpServer.ts';
import { KEYS, leftovers, removeAll, SMALL_MODEL, signed } from '../support/model.ts';
import { startGate, until } from '../support/run.ts';
import type { Part, PartDeps } from './part.ts';
import { openModelSource, type SourceKind } from './sources.ts';
import { type Row, type Tally, tally } from './table.ts';
import { atOnce, judge, type Reason } from './trial.ts';

/** A system call that can fail, with an error it may fail with. */
const CALLS: readonly (readonly [call: string, error: string])[] = [
  ['openat', 'EIO'],
  ['openat', 'EMFILE'],
  ['statx', 'EIO'],
  ['fstat', 'EIO'],
  ['newfstatat', 'EIO'],
  ['statfs', 'EIO'],
  ['getdents64', 'EIO'],
  ['readlink', 'EIO'],
  ['access', 'EIO'],
  ['mkdir', 'ENOSPC'],
  ['mkdir', 'EIO'],
  ['pread64', 'EIO'],
  ['read', 'EIO'],
  ['write', 'EIO'],
  ['pwrite64', 'EIO'],
  ['pwrite64', 'ENOSPC'],
  ['fchmod', 'EIO'],
  ['fsync', 'EIO'],
  ['rename', 'EIO'],
  ['unlink', 'EIO'],
  ['rmdir', 'EIO'],
  ['close', 'EIO'],
  ['socket', 'EMFILE'],
  ['connect', 'ECONNREFUSED'],
];

/** A broken disk or network never makes a model a rejected one (exit 1), nor our program a defective one (70). */
const ALLOWED: readonly Reason[] = [
  'OK',
  'IO',
  'NO_SPACE',
  'READ_ONLY',
  'PUBLISH_FAILED',
  'DESTINATION_DIFFERS',
  'SOURCE_UNAVAILABLE',
  'SOURCE_DENIED',
  'SOURCE_TIMEOUT',
  'SOURCE_CHANGED',
];

/** Calls of a pull, not of the runtime: on its volume, on descriptors it holds (/proc/self/fd/N/name), on its connections. */
const OURS = (parent: string): RegExp => new RegExp(`${parent}/|"/proc/self/fd/|TCP:|AF_INET|SOCK_STREAM`);
const PROGRAM = new URL('../../dist/', import.meta.url).pathname;

/**
 * Loads the whole program first, so that no reading of it is among the calls that fail; then holds the main thread until the tracer has it.
 */
const HOLD = `import{readdirSync,readFileSync,writeFileSync}from'node:fs';
for(const name of readdirSync('${PROGRAM}'))if(name.endsWith('.js')&&!/^(main|worker|hashWorker)/.test(name))await import('${PROGRAM}'+name);
writeFileSync(new URL('ready',import.meta.url),'');
const wait=ms=>Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0,ms);
for(let n=0;n<500&&/TracerPid:\\t0/.test(readFileSync('/proc/self/status','utf8'));n++)wait(10);
wait(60);`;

const AT_ONCE = 3;
const files = signed({ ...SMALL_MODEL, 'big.bin': Buffer.alloc(300_000, 'big') });

/**
 * As curl's torture tests: every system call of a pull that can fail does, in turn, one a run. The seam is the kernel's (strace), not ours:
 * until the tracer has it.
 */
export const torture: Part = async function* (deps) {
  yield* tortureOf(deps, 'http');
  for (const kind of ['http', 's3'] as const) for (const how of Object.keys(REQUESTS)) yield await failEachRequest(deps, kind, how);
};
export const tortureClaim: Part = (deps) => tortureOf(deps, 'file');

async function* tortureOf(deps: PartDeps, kind: SourceKind): AsyncGenerator<Row> {
  for (const [call, error] of CALLS) {
    const row = await failEach(deps, kind, call, error);
    // Not every kind of pull makes every call.
    if (row.trials > 0) yield row;
  }
}

/** How a request can fail; `for ever`: and all that follow. */
const REQUESTS: Readonly<Record<string, Behaviour>> = {
  'HTTP 503': { kind: 'status', status: 503 },
  'HTTP 503 for ever': { kind: 'status', status: 503 },
  reset: { kind: 'reset' },
  'reset for ever': { kind: 'reset' },
};

/** The same with requests, by the server: each of a pull in turn, until there is no such request. */
async function failEachRequest(deps: PartDeps, kind: SourceKind, how: string): Promise<Row> {
  const result = tally('torture', `${kind}: each request → ${how}`);
  const expected: readonly Reason[] = how.endsWith('for ever') ? ['SOURCE_UNAVAILABLE'] : ['OK'];
  const step = deps.size === 'full' ? 1 : 4;
  for (let nth = 1, failed = true; failed && nth < 1000; nth += step) {
    failed = false;
    const scratch = join(deps.scratch, `${kind}-${how.replaceAll(' ', '-')}-${nth}`);
    const to = join(scratch, 'models');
    mkdirSync(scratch);
    let healed = false;
    await using source = await openModelSource(kind, files, scratch, (_, count) => {
      const hit = !healed && (how.endsWith('for ever') ? count >= nth : count === nth);
      failed ||= hit;
      return hit ? REQUESTS[how] : undefined;
    });
    const ended = await source.pullToEnd(to);
    healed = true;
    if (failed) result.add(await judge({ ended, to, files, expected }, () => source.pullToEnd(to)));
    removeAll(scratch);
  }
  return result.row();
}

async function failEach(deps: PartDeps, kind: SourceKind, call: string, error: string): Promise<Row> {
  const result = tally('torture', `${kind}: each ${call} → ${error}`);
  const scratch = join(realpathSync(deps.scratch), `${kind}-${call}-${error}`);
  mkdirSync(scratch);
  // Quick: some of them, from a random first one on.
  const step = deps.size === 'full' ? 1 : 12;
  const first = step === 1 ? 1 : deps.dice(call).between(1, step);
  for (let nth = first, failed = true; failed && nth < 1000; nth += AT_ONCE * step) {
    const batch = Array.from({ length: AT_ONCE }, (_, n) => nth + n * step);
    const injected = await atOnce(AT_ONCE, batch, (one) => failNth(result, scratch, kind, call, error, one));
    failed = injected.every((count) => count > 0);
  }
  removeAll(scratch);
  return result.row();
}

/** How many calls failed: the counter is one for each thread, of which one serves the event loop and one the file system. */
async function failNth(result: Tally, scratch: string, kind: SourceKind, call: string, error: string, nth: number): Promise<number> {
  const parent = join(scratch, `${nth}`);
  const [to, trace, hold] = [join(parent, 'models'), join(parent, 'trace'), join(parent, 'hold.mjs')];
  mkdirSync(parent);
  writeFileSync(hold, HOLD);
  await using source = await openModelSource(kind, files, parent);
  const env = { ...source.env, UV_THREADPOOL_SIZE: '1', NODE_OPTIONS: `--import=${hold}` };
  const gate = startGate(['pull', source.url, to, '--stall-timeout', '2s', '--timeout', '20s'], { env: { ...env, MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
  await until(() => existsSync(join(parent, 'ready')), 'the program to be loaded', 30_000);
  const tracer = spawn(
    'strace',
    ['-f', '-yy', '-s', '0', '-p', `${gate.pid}`, '-o', trace, '-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=${nth}`],
    {
      stdio: 'ignore',
    },
  );
  const ended = await gate.ended;
  await new Promise<void>((resolve) => (tracer.exitCode === null ? void tracer.once('exit', () => resolve()) : resolve()));
  const injected = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('(INJECTED)'));
  const ours = injected.filter((line) => OURS(parent).test(line) && !line.includes(hold));
  if (ours.length === injected.length && ours.length > 0) {
    const trial = await judge({ ended, to, files, expected: ALLOWED }, () => source.pullToEnd(to));
    const left = leftovers(parent);
    const problems = [...trial.problems, ...(left.length > 0 ? [`left behind: ${left.join(', ')}`] : [])].map(
      (problem) => `${ours[0]?.replace(/^\d+ +/, '')}: ${problem}`,
    );
    result.add({ ...trial, problems });
  }
  removeAll(parent);
  return injected.length;
}
