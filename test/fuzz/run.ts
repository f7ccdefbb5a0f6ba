// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { AppError, CATALOGUE, exitCodeOf } from '../../src/base/errors.ts';
import { scratch } from '../support/model.ts';
import { contentTargets } from './contentTargets.ts';
import { httpTarget } from './httpTarget.ts';
import { prepare, type Recipe, recipe } from './mutate.ts';
import { type Target, Violation } from './target.ts';
import { trustTargets } from './trustTargets.ts';

/** Inputs that broke something once: NAME of the target with dashes, a dot and anything. */
const CORPUS = resolve(import.meta.dirname, 'corpus');
/** No input of a megabyte may take longer; generous, as others use the machine too. */
export const MAX_MS = 5000;

export type Result = {
  readonly target: string;
  readonly runs: number;
  readonly refused: number;
  readonly failure?: { readonly why: string; readonly input: Buffer; readonly path: string };
};

export async function allTargets(): Promise<AsyncDisposable & { readonly targets: readonly Target[] }> {
  const tmp = scratch();
  const targets = [...(await trustTargets()), ...(await contentTargets(tmp)), await httpTarget()];
  return {
    targets,
    async [Symbol.asyncDispose]() {
      for (const target of targets) await target[Symbol.asyncDispose]?.();
      tmp[Symbol.dispose]();
    },
  };
}

export function keptInputs(target: Target): readonly Buffer[] {
  const prefix = `${slug(target.name)}.`;
  return readdirSync(CORPUS)
    .filter((name) => name.startsWith(prefix))
    .map((name) => readFileSync(join(CORPUS, name)));
}

export function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Whether the input was refused. @throws Violation when something happened that must not */
export async function tryInput(target: Target, input: Buffer): Promise<boolean> {
  const start = performance.now();
  let refused = false;
  try {
    await target.run(Buffer.from(input));
  } catch (error) {
    if (error instanceof Violation) throw error;
    if (!(error instanceof AppError)) throw new Violation(`not one of our errors: ${error instanceof Error ? error.stack : error}`);
    if (!(error.code in CATALOGUE) || exitCodeOf(error.code) === 70)
      throw new Violation(`${error.code}: ${error.message}\n${(error.cause as Error)?.stack ?? error.stack}`);
    const { message } = error;
    if (['\n', '\r', '\u001b'].some((letter) => message.includes(letter))) throw new Violation(`a message that breaks the line: ${JSON.stringify(message)}`);
    refused = true;
  }
  const ms = performance.now() - start;
  if (ms > MAX_MS) throw new Violation(`took ${Math.round(ms)} ms`);
  return refused;
}

/** Seeds and kept inputs as they are, then changed ones until time or runs are over. The same seed gives the same inputs. */
export async function fuzzTarget(target: Target, limits: { readonly seed: number; readonly runs: number; readonly ms: number }): Promise<Result> {
  const seeds = [...target.seeds, ...keptInputs(target)];
  let [runs, refused] = [0, 0];
  const attempt = async (input: Buffer): Promise<void> => {
    runs++;
    if (await tryInput(target, input)) refused++;
  };
  for (const input of seeds) {
    try {
      await attempt(input);
    } catch (error) {
      return { target: target.name, runs, refused, failure: { why: String((error as Error).message), input, path: 'kept input' } };
    }
  }
  const property = fc.asyncProperty(recipe, (one: Recipe) => attempt(prepare(one, seeds)));
  const found = await fc.check(property, { seed: limits.seed, numRuns: limits.runs, interruptAfterTimeLimit: limits.ms, markInterruptAsFailure: false });
  if (!found.failed || found.counterexample === null) return { target: target.name, runs, refused };
  const [smallest] = found.counterexample;
  const why = found.errorInstance instanceof Error ? found.errorInstance.message : String(found.errorInstance);
  return { target: target.name, runs, refused, failure: { why, input: prepare(smallest, seeds), path: found.counterexamplePath ?? '' } };
}
