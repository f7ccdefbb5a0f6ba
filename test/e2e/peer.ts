// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { asAppError, exitCodeOf } from '../../src/base/errors.ts';
import { runModelSigning } from '../../src/cli/modelSigning.ts';

// Both sides of the differential tests, and their dice. MODEL_GATE_ROUNDS and MODEL_GATE_SEED repeat or extend a run.

export const ROUNDS = Number(process.env['MODEL_GATE_ROUNDS'] ?? 150);
export const SEED = Number(process.env['MODEL_GATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

export type Reference = { run(args: readonly string[]): Promise<number>; stop(): void };

/** The drop-in command in this process: its exit code. */
export async function runOurs(args: readonly string[]): Promise<number> {
  const writers = [process.stdout, process.stderr].map((stream) => [stream, stream.write.bind(stream)] as const);
  for (const [stream] of writers) stream.write = () => true;
  try {
    return await runModelSigning(args, { env: {}, signal: new AbortController().signal, signalName: () => undefined });
  } catch (error) {
    return exitCodeOf(asAppError(error).code);
  } finally {
    for (const [stream, write] of writers) stream.write = write;
  }
}

/** The Python beside the reference's command on PATH. */
export function startReference(): Reference {
  const command = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'model_signing'))
    .find((path) => existsSync(path));
  if (command === undefined) throw new Error('the reference implementation is not on PATH');
  const real = join(dirname(realpathOf(command)), 'python');
  const child = spawn(real, [join(import.meta.dirname, 'reference.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(args) {
      child.stdin.write(`${JSON.stringify(args)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the reference implementation ended');
      return Number(value);
    },
    stop: () => void child.kill(),
  };
}

/** One step only: the interpreter of a virtual environment is a link itself, and has to be called by it. */
function realpathOf(path: string): string {
  return lstatSync(path).isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : path;
}

export type Random = { next(): number; chance(p: number): boolean; pick<T>(list: readonly T[]): T };

/** mulberry32: small, and the same everywhere. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, chance: (p) => next() < p, pick: (list) => list[Math.floor(next() * list.length)] as (typeof list)[number] };
}
