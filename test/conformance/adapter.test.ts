// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeKeys } from '../support/signer.ts';

const ADAPTER = join(import.meta.dirname, 'adapter');

describe('the conformance adapter', () => {
  let home: string;
  const run = (...args: readonly string[]) => spawnSync(ADAPTER, args, { encoding: 'utf8' });
  const at = (name: string): string => join(home, name);

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'model-gate-adapter-'));
    const keys = makeKeys('secp384r1');
    writeFileSync(at('key.pem'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(at('key.pub'), keys.publicPem);
    mkdirSync(at('model'));
    writeFileSync(at('model/weights.bin'), 'weights');
    writeFileSync(at('model/notes.txt'), 'notes');
  });
  afterEach(() => rmSync(home, { recursive: true }));

  const sign = () =>
    run(
      'sign-model',
      '--method',
      'key',
      '--model-path',
      at('model'),
      '--output-bundle',
      at('out.sig'),
      '--private-key',
      at('key.pem'),
      '--ignore-paths',
      at('model/notes.txt'),
    );
  const verify = (...more: readonly string[]) =>
    run('verify-model', '--method', 'key', '--model-path', at('model'), '--bundle', at('out.sig'), '--public-key', at('key.pub'), ...more);

  it('signs and verifies by the protocol’s flags, absolute ignore paths included', () => {
    expect(sign().status).toBe(0);
    expect(verify().status).toBe(0);
    writeFileSync(at('model/extra.bin'), 'x');
    expect(verify().status).toBe(1);
    expect(verify('--ignore-paths', at('model/extra.bin')).status).toBe(0);
    expect(verify('--ignore-unsigned-files').status).toBe(0);
    writeFileSync(at('model/weights.bin'), 'other');
    expect(verify('--ignore-unsigned-files').status).toBe(1);
  });

  it('says what it can do, and measures it', () => {
    expect(JSON.parse(run('capabilities').stdout)).toMatchObject({ hash_algorithms: ['sha256', 'blake2b', 'blake3'], benchmark_model: true });
    expect(sign().status).toBe(0);
    const flags = ['--method', 'key', '--model-path', at('model'), '--repeat', '2'];
    const verified = run('benchmark-model', '--operation', 'verify', ...flags, '--bundle', at('out.sig'), '--public-key', at('key.pub'));
    expect((JSON.parse(verified.stdout) as { times_ms: number[] }).times_ms).toHaveLength(2);
    const signed = run(
      'benchmark-model',
      '--operation',
      'sign',
      ...flags,
      '--private-key',
      at('key.pem'),
      '--output-bundle',
      at('b.sig'),
      '--hash-algorithm',
      'blake2b',
    );
    expect((JSON.parse(signed.stdout) as { times_ms: number[] }).times_ms).toHaveLength(2);
  });

  it('fails where it cannot sign', () => {
    expect(run('sign-model', '--method', 'sigstore', '--model-path', at('model'), '--output-bundle', at('out.sig')).status).not.toBe(0);
    expect(() => readFileSync(at('out.sig'))).toThrow();
  });
});
