// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { NO_FLOOR } from '../../src/anchors/floor.ts';
import { type AppError, asAppError, type ErrorCode, exitCodeOf } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import { pull } from '../../src/pipeline/pull.ts';
import { verify } from '../../src/pipeline/verify.ts';
import { readForeign } from '../../src/plan/foreign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makePullPlan, makeVerifyPlan } from '../../src/plan/make.ts';
import { type Evidence, startEvidence } from '../../src/report/evidence.ts';
import { KEYS, removeAll } from './model.ts';

export type Flags = Readonly<Record<string, unknown>>;

/** How a run inside this process ended. `reason` is OK or the reason code. */
export type Outcome = {
  readonly reason: 'OK' | ErrorCode;
  readonly exitCode: number;
  readonly error: AppError | undefined;
  readonly evidence: Evidence;
  readonly events: readonly Event[];
};

export type RunOptions = {
  readonly flags?: Flags;
  readonly env?: Readonly<Record<string, string>>;
  /** Text of the platform's policy. */
  readonly floor?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
};

/** The pipeline without a process around it. Trusts KEYS unless the flags name a method. */
export async function pullHere(positionals: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runHere(options, async (deps) =>
    pull(makePullPlan(positionals, valuesOf('pull', options), readForeign('pull', options.env ?? {}), presence(options)), deps),
  );
}

export async function verifyHere(path: string, options: RunOptions = {}): Promise<Outcome> {
  return runHere(options, async (deps) => verify(makeVerifyPlan([path], valuesOf('verify', options), undefined, presence(options)), deps));
}

const presence = ({ floor }: RunOptions): 'present' | 'absent' => (floor === undefined ? 'absent' : 'present');

function valuesOf(command: 'pull' | 'verify', { flags = {}, env = {}, floor }: RunOptions) {
  const hasTrust = floor !== undefined || 'MODEL_GATE_POLICY' in env || ['public-key', 'ca', 'identity', 'policy'].some((name) => name in flags);
  return resolveOptions(command, {
    flags: hasTrust ? flags : { 'public-key': [KEYS.publicPem], ...flags },
    env: readForeign(command, env).env,
    file: undefined,
  }).values;
}

async function runHere({ env: given = {}, floor, signal, onEvent }: RunOptions, work: (deps: Parameters<typeof pull>[1]) => Promise<void>): Promise<Outcome> {
  const { env } = readForeign('pull', given);
  const evidence = startEvidence([], new Date());
  const events: Event[] = [];
  let error: AppError | undefined;
  try {
    await work({
      emit(event) {
        events.push(event);
        onEvent?.(event);
      },
      signal: signal ?? new AbortController().signal,
      now: () => new Date(),
      env,
      evidence,
      floor: floor === undefined ? NO_FLOOR : { kind: 'present', bytes: Buffer.from(floor), name: '/etc/model-gate/policy.yaml' },
    });
  } catch (thrown) {
    error = asAppError(signal?.aborted === true ? signal.reason : thrown);
  }
  return { reason: error?.code ?? 'OK', exitCode: error === undefined ? 0 : exitCodeOf(error.code), error, evidence, events };
}

export type Ended = {
  /** Exit status, or the signal that killed it. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
  /** Raw text of the termination message. */
  readonly terminationText: string;
  readonly termination: Readonly<Record<string, unknown>>;
  readonly report: Readonly<Record<string, unknown>> | undefined;
  readonly ms: number;
};

export type ProcessOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly umask?: number;
  /** How the program is called: its path, for the drop-in name. */
  readonly entry?: string;
  /** A command that runs the program. */
  readonly wrapper?: readonly string[];
};

export type Running = { readonly pid: number; readonly ended: Promise<Ended>; kill(signal: NodeJS.Signals): void; stderrSoFar(): string };

const ROOT = resolve(import.meta.dirname, '../..');
const ENTRY = process.env['MODEL_GATE_DIST'] === undefined ? join(ROOT, 'src/main.ts') : join(ROOT, 'dist/main.js');

/** Runs the program to its end, with an environment of its own: nothing of this machine's proxies and credentials gets in. */
export function runGate(args: readonly string[], options: ProcessOptions = {}): Promise<Ended> {
  return startGate(args, options).ended;
}

/** Starts the program; termination message and report go to a directory that is removed when it has ended. */
export function startGate(args: readonly string[], options: ProcessOptions = {}): Running {
  const out = mkdtempSync(join(tmpdir(), 'model-gate-run-'));
  const [terminationPath, reportPath] = [join(out, 'termination'), join(out, 'report.json')];
  const start = performance.now();
  const node = [...(options.wrapper ?? []), process.execPath, options.entry ?? ENTRY, ...args];
  const [command = '', ...rest] = options.umask === undefined ? node : ['/bin/sh', '-c', `umask ${options.umask.toString(8)}; exec "$@"`, 'sh', ...node];
  const child = spawn(command, rest, {
    cwd: options.cwd ?? ROOT,
    ...(options.uid !== undefined && { uid: options.uid }),
    ...(options.gid !== undefined && { gid: options.gid }),
    env: {
      PATH: '/usr/bin:/bin',
      HOME: out,
      ...(options.uid === undefined && { MODEL_GATE_TERMINATION_LOG: terminationPath, MODEL_GATE_REPORT: reportPath }),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => {
      const terminationText = existsSync(terminationPath) ? readFileSync(terminationPath, 'utf8') : '';
      const report = existsSync(reportPath) ? readFileSync(reportPath, 'utf8') : undefined;
      removeAll(out);
      done({
        code: code ?? signal ?? -1,
        stdout,
        stderr,
        terminationText,
        termination: terminationText === '' ? {} : (JSON.parse(terminationText) as Record<string, unknown>),
        report: report === undefined ? undefined : (JSON.parse(report) as Record<string, unknown>),
        ms: performance.now() - start,
      });
    });
  });
  return { pid: child.pid ?? -1, ended, kill: (signal) => void child.kill(signal), stderrSoFar: () => stderr };
}

/** Waits for a condition on something outside this process. */
export async function until(condition: () => boolean, what: string, limitMs = 10_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
