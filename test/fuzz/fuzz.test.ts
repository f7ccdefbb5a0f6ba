// SPDX-License-Identifier: Apache-2.0
// A little of `npm run fuzz`, always with the same seed: a parser that breaks on what was found once, or soon, is found here.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { prepare } from './mutate.ts';
import { allTargets, fuzzTarget, tryInput } from './run.ts';
import { must, type Target, Violation } from './target.ts';

const NAMES = [
  ...['bundle by key', 'bundle by certificate', 'bundle by Sigstore', 'certificate (DER)', 'keyless certificate (DER)', 'timestamp (DER)', 'statement', 'PEM'],
  ...[
    'trusted root',
    'signed manifest of hostile names',
    'pickle',
    'safetensors',
    'GGUF',
    'ONNX',
    'NumPy',
    'joblib',
    'JSON',
    'YAML',
    'formats in archives',
    'tar to unpack',
    'zip to unpack',
  ],
  ...['netrc', 'configuration file', 'policy', 'URI', 'patterns', 'report', 'HTTP answers, by both readers'],
];

let all: Awaited<ReturnType<typeof allTargets>>;
beforeAll(async () => {
  all = await allTargets();
});
afterAll(() => all[Symbol.asyncDispose]());

const targetOf = (name: string): Target => {
  const target = all.targets.find((one) => one.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  return target;
};

test('every target is run here', () => {
  expect(all.targets.map(({ name }) => name)).toEqual(NAMES);
});

describe.each(NAMES)('the parser of outside bytes: %s', (name) => {
  test('takes a seed as it is, or nothing behind its first check would ever be reached', async () => {
    const verdicts: boolean[] = [];
    for (const seed of targetOf(name).seeds) verdicts.push(await tryInput(targetOf(name), seed));
    expect(verdicts).toContain(false);
  });

  test('gives a verdict on every input, in time and without a defect', async () => {
    const result = await fuzzTarget(targetOf(name), { seed: 1, runs: 150, ms: 4000 });
    // Not the whole failure: showing how a megabyte differs from nothing takes minutes.
    expect(result.failure && `${result.failure.why}; input in base64: ${result.failure.input.toString('base64').slice(0, 2000)}`).toBeUndefined();
  });
});

describe('the fuzzer itself', () => {
  const broken = (run: Target['run']): Target => ({ name: 'broken', seeds: [Buffer.from('seed 1')], run });
  const limits = { seed: 1, runs: 300, ms: 4000 };

  test('finds an error that is not ours, and shrinks what caused it', async () => {
    const { failure } = await fuzzTarget(
      broken((input) => {
        if (input.includes(0xff)) throw new TypeError('defect');
      }),
      limits,
    );
    expect(failure?.why).toContain('not one of our errors');
    expect(failure?.input).toContain(0xff);
  });

  test.each<[string, Target['run'], RegExp]>([
    ['INTERNAL', () => Promise.reject(new AppError('INTERNAL', 'defect')), /INTERNAL/],
    ['a message of two lines', () => Promise.reject(new AppError('USAGE', 'a\nb')), /breaks the line/],
    ['a broken promise', () => must(false, 'broken'), /broken/],
  ])('finds %s', async (_, run, why) => {
    expect((await fuzzTarget(broken(run), limits)).failure?.why).toMatch(why);
    await expect(tryInput(broken(run), Buffer.alloc(1))).rejects.toThrow(Violation);
  });

  test('makes the same input of the same recipe', () => {
    const seeds = [Buffer.from('{"a":[1,2]}'), Buffer.from('other')];
    const one = { seed: 0, changes: [{ kind: 'json', nth: 1, action: 'replace', value: null } as const, { kind: 'number', nth: 0, value: '1e999' } as const] };
    expect(prepare(one, seeds).toString()).toBe('{"a":[null,1e999]}');
    expect(prepare(one, seeds)).toEqual(prepare(one, seeds));
  });
});
