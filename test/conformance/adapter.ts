// SPDX-License-Identifier: Apache-2.0
// The OMS conformance suite's command line (its adapter protocol) over our own commands. Only the exit code and, for
// `capabilities` and `benchmark-model`, the JSON on standard output count.
import { rmSync } from 'node:fs';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { asAppError } from '../../src/base/errors.ts';
import { runModelSigning } from '../../src/cli/modelSigning.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { Host } from '../../src/cli/run.ts';
import { VERSION } from '../../src/cli/version.ts';

const [command, ...rest] = process.argv.slice(2);
const { values } = parseArgs({
  args: rest,
  options: {
    method: { type: 'string' },
    'model-path': { type: 'string' },
    'output-bundle': { type: 'string' },
    bundle: { type: 'string' },
    'private-key': { type: 'string' },
    'signing-cert': { type: 'string' },
    'cert-chain': { type: 'string', multiple: true },
    'public-key': { type: 'string' },
    'ignore-paths': { type: 'string', multiple: true },
    'ignore-unsigned-files': { type: 'boolean' },
    identity: { type: 'string' },
    'identity-provider': { type: 'string' },
    'identity-token': { type: 'string' },
    'use-staging': { type: 'boolean' },
    operation: { type: 'string' },
    repeat: { type: 'string' },
    'hash-algorithm': { type: 'string' },
    'shard-size': { type: 'string' },
    'chunk-size': { type: 'string' },
    'max-workers': { type: 'string' },
  },
});
const method = values.method ?? '';
const model = values['model-path'] ?? '';
const host: Host = { env: {}, signal: new AbortController().signal, signalName: () => undefined };

try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(`${asAppError(error).message}\n`);
  process.exitCode = 1;
}

async function run(): Promise<number> {
  switch (command) {
    case 'capabilities':
      console.log(
        JSON.stringify({
          flags: ['--hash-algorithm', '--shard-size'],
          hash_algorithms: ['sha256', 'blake2b', 'blake3'],
          benchmark_model: true,
          client_version: VERSION,
        }),
      );
      return 0;
    case 'sign-model':
      return signModel(values['output-bundle'] ?? '');
    case 'verify-model':
      return verifyModel();
    case 'benchmark-model':
      return benchmark();
    default:
      throw new Error('capabilities, sign-model, verify-model or benchmark-model');
  }
}

function signModel(output: string): Promise<number> {
  if (values['use-staging'] === true) throw new Error('the staging instance is not supported');
  const chain = values['cert-chain'] ?? [];
  const token = values['identity-token'];
  // The suite gives absolute paths; our own command takes them below the model.
  const ignored = (values['ignore-paths'] ?? []).map((path) => relative(model, path)).filter((path) => path !== '' && !path.startsWith('..'));
  return runProgram(
    [
      'sign',
      method,
      model,
      ...flag('--signature', output),
      ...flag('--private-key', values['private-key']),
      ...flag('--signing-certificate', values['signing-cert']),
      ...chain.flatMap((path) => flag('--certificate-chain', path)),
      ...ignored.flatMap((path) => flag('--ignore-paths', path)),
      ...flag('--hash', values['hash-algorithm']),
      ...flag('--shard-size', values['shard-size']),
    ],
    { ...host, env: token === undefined ? {} : { MODEL_GATE_IDENTITY_TOKEN: token } },
  );
}

function verifyModel(): Promise<number> {
  if (values['use-staging'] === true) throw new Error('the staging instance is not supported');
  return runModelSigning(
    [
      'verify',
      method,
      model,
      ...flag('--signature', values.bundle),
      ...flag('--public-key', values['public-key']),
      ...(values['cert-chain'] ?? []).flatMap((path) => flag('--certificate-chain', path)),
      ...flag('--identity', values.identity),
      ...flag('--identity-provider', values['identity-provider']),
      ...(values['ignore-paths'] ?? []).flatMap((path) => flag('--ignore-paths', path)),
      ...(values['ignore-unsigned-files'] === true ? ['--ignore-unsigned-files'] : []),
    ],
    host,
  );
}

async function benchmark(): Promise<number> {
  const times: number[] = [];
  // Results go to standard output, which belongs to the figures here.
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = () => true;
  try {
    for (let i = 0; i < Number(values.repeat ?? 1); i++) {
      const output = `${values['output-bundle'] ?? `${model}.benchmark`}.${i}`;
      const start = performance.now();
      const code = values.operation === 'sign' ? await signModel(output) : await verifyModel();
      times.push(performance.now() - start);
      rmSync(output, { force: true });
      if (code !== 0) return code;
    }
  } finally {
    process.stdout.write = write;
  }
  console.log(JSON.stringify({ times_ms: times }));
  return 0;
}

function flag(name: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [name, value];
}
