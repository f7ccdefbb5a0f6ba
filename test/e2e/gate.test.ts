// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Nginx, startNginx } from '../servers/nginx.ts';
import { type RealS3, startVersitygw } from '../servers/versitygw.ts';
import { makeKeys, shardsOf, signResources } from '../support/signer.ts';

// The built program, models signed by the reference implementation, real servers.

const PROGRAM = join(import.meta.dirname, '../../dist/main.js');

type Run = { readonly code: number | null; readonly log: string; readonly termination: Record<string, unknown>; readonly peakKib: number };

let home: string;
let s3: RealS3;
let nginx: Nginx;
let key: string;
let otherKey: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'model-gate-e2e-'));
  key = makeKeyPair('publisher');
  otherKey = makeKeyPair('stranger');
  s3 = await startVersitygw('models');
  nginx = await startNginx();
});

afterAll(async () => {
  await nginx[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

describe.each(['s3', 'http', 'folder'] as const)('a model signed by the reference, from %s', (kind) => {
  let model: string;
  let source: string;
  let destination: string;
  let n = 0;

  beforeEach(() => {
    const name = `${kind}-${++n}`;
    const parent = { s3: join(s3.root, 'models'), http: nginx.root, folder: home }[kind];
    source = { s3: `s3://models/${name}/`, http: `${nginx.origin}/${name}/`, folder: join(home, name) }[kind];
    model = join(parent, name);
    destination = join(home, `destination-${name}`);
    writeModel(model);
    signWithReference(model);
  });
  afterEach(() => {
    rmSync(model, { recursive: true, force: true });
    rmSync(destination, { recursive: true, force: true });
  });

  const pull = (publicKey = key, env: Record<string, string> = {}): Run => runGate(['pull', source, destination, '--public-key', `${publicKey}.pub`], env);

  it('is published byte for byte', () => {
    const run = pull();
    expect(run.log).toContain('Verification succeeded');
    expect(run.code).toBe(0);
    expect(treeOf(destination)).toEqual(treeOf(model));
    expect(run.termination).toMatchObject({ verdict: 'verified', exitCode: 0 });
  });

  it.each(['config.json', 'tokenizer/vocab.txt', 'weights/model-00001.safetensors', 'empty name with blanks.txt'])(
    'is refused when one byte of %s is flipped',
    (name) => {
      flipByte(join(model, name));
      expectRefusal(pull(), 'DIGEST_MISMATCH', destination);
    },
  );

  it.each([10, 200, 700])('is refused when byte %i of the bundle is flipped', (offset) => {
    flipByte(join(model, 'model.sig'), offset);
    const run = pull();
    expect(['BUNDLE_MALFORMED', 'SIGNATURE_INVALID']).toContain(run.termination['reason']);
    expectRefusal(run, String(run.termination['reason']), destination);
  });

  it('is refused when a file is missing', () => {
    rmSync(join(model, 'tokenizer/vocab.txt'));
    expectRefusal(pull(), 'FILE_MISSING', destination);
  });

  it('is refused with another key', () => {
    expectRefusal(pull(otherKey), 'SIGNATURE_INVALID', destination);
  });

  it('is refused without a bundle', () => {
    rmSync(join(model, 'model.sig'));
    expectRefusal(pull(), 'UNSIGNED', destination);
  });

  it('never brings files along that nobody signed', () => {
    writeFileSync(join(model, 'pytorch_model.bin'), 'pickle');
    expect(pull().code).toBe(0);
    expect(existsSync(join(destination, 'pytorch_model.bin'))).toBe(false);
  });

  it('is not even looked at without a trust method', () => {
    const run = runGate(['pull', source, destination]);
    expect(run.code).toBe(2);
    expect(run.termination).toMatchObject({ reason: 'TRUST_METHOD_MISSING' });
    expect(existsSync(destination)).toBe(false);
  });
});

describe('a source that is down', () => {
  it.each([
    ['s3', 's3://models/any/'],
    ['http', 'http://127.0.0.1:1/any/'],
  ])('%s ends with exit 3 and leaves nothing', (_kind, source) => {
    const destination = join(home, 'down');
    const run = runGate(['pull', source, destination, '--public-key', `${key}.pub`], { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' });
    expect(run.code).toBe(3);
    expect(run.termination).toMatchObject({ reason: 'SOURCE_UNAVAILABLE' });
    expect(existsSync(destination)).toBe(false);
  });
});

describe('large files from S3', () => {
  it('of 4 GiB are verified within 256 MiB of memory', { timeout: 400_000 }, () => {
    const dir = join(s3.root, 'models', 'large');
    mkdirSync(dir);
    const keys = makeKeys();
    writeFileSync(join(home, 'large.pub'), keys.publicPem);
    // A sparse file: what counts here is how much passes through, not what it is.
    const fd = openSync(join(dir, 'model.safetensors'), 'w');
    writeSync(fd, Buffer.from([1]), 0, 1, 4 * 1024 ** 3 - 1);
    closeSync(fd);
    const digest = execFileSync('sha256sum', [join(dir, 'model.safetensors')])
      .toString()
      .slice(0, 64);
    writeFileSync(join(dir, 'model.sig'), signResources([{ name: 'model.safetensors', digest, algorithm: 'sha256' }], keys));
    const destination = join(home, 'large');
    const run = runGate(['pull', 's3://models/large/', destination, '--public-key', join(home, 'large.pub')]);
    rmSync(destination, { recursive: true, force: true });
    rmSync(dir, { recursive: true });
    expect(run.code).toBe(0);
    console.log(`peak RSS ${Math.round(run.peakKib / 1024)} MiB`);
    expect(run.peakKib).toBeLessThanOrEqual(256 * 1024);
  });

  it('are checked shard by shard under a sharded manifest', () => {
    const dir = join(s3.root, 'models', 'sharded');
    mkdirSync(dir);
    const keys = makeKeys();
    writeFileSync(join(home, 'sharded.pub'), keys.publicPem);
    const weights = randomBytes(40 * 1024 * 1024 + 7);
    writeFileSync(join(dir, 'w.bin'), weights);
    const options = { serialization: { method: 'shards', shard_size: 10_000_000 } };
    writeFileSync(join(dir, 'model.sig'), signResources(shardsOf('w.bin', weights, 10_000_000), keys, options));
    const run = runGate(['pull', 's3://models/sharded/', join(home, 'sharded'), '--public-key', join(home, 'sharded.pub')]);
    expect(run.code).toBe(0);
    expect(readFileSync(join(home, 'sharded', 'w.bin')).equals(weights)).toBe(true);
  });
});

describe('the drop-in model_signing', () => {
  it('verifies what the reference signed, with its flags and words', () => {
    const model = join(home, 'drop-in');
    writeModel(model);
    signWithReference(model);
    const link = join(home, 'model_signing');
    symlinkSync(PROGRAM, link);
    const run = (publicKey: string) =>
      spawnSync(process.execPath, [link, 'verify', 'key', model, '--signature', join(model, 'model.sig'), '--public_key', publicKey], { encoding: 'utf8' });
    expect(run(`${key}.pub`)).toMatchObject({ status: 0, stdout: 'Verification succeeded\n' });
    expect(run(`${otherKey}.pub`).status).toBe(1);
    writeFileSync(join(model, 'extra.bin'), 'x');
    const extra = run(`${key}.pub`);
    expect(extra.status).toBe(1);
    expect(extra.stderr).toContain('Extra files found in model');
  });
});

function writeModel(dir: string): void {
  mkdirSync(join(dir, 'tokenizer'), { recursive: true });
  mkdirSync(join(dir, 'weights'));
  writeFileSync(join(dir, 'config.json'), '{"architectures":["Test"]}');
  writeFileSync(join(dir, 'tokenizer', 'vocab.txt'), 'hello\nworld\n');
  writeFileSync(join(dir, 'weights', 'model-00001.safetensors'), randomBytes(20 * 1024 * 1024 + 3));
  writeFileSync(join(dir, 'empty name with blanks.txt'), 'x');
  writeFileSync(join(dir, 'ünï#cødé%20.json'), '1');
}

function signWithReference(model: string): void {
  execFileSync('model_signing', ['sign', 'key', model, '--signature', join(model, 'model.sig'), '--private_key', `${key}.pem`], { stdio: 'ignore' });
}

function makeKeyPair(name: string): string {
  const path = join(home, name);
  const keys = makeKeys();
  writeFileSync(`${path}.pub`, keys.publicPem);
  writeFileSync(`${path}.pem`, keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return path;
}

function runGate(args: readonly string[], env: Record<string, string> = {}): Run {
  const termination = join(home, 'termination.json');
  const measured = join(home, 'peak');
  rmSync(termination, { force: true });
  const preload = `data:text/javascript,import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync(${JSON.stringify(measured)},String(process.resourceUsage().maxRSS)))`;
  const { AWS_REGION: _region, ...parent } = process.env;
  const run = spawnSync(process.execPath, ['--import', preload, PROGRAM, ...args, '--termination-log', termination], {
    encoding: 'utf8',
    env: { ...parent, ...s3.env, ...env },
  });
  return {
    code: run.status,
    log: run.stderr,
    termination: JSON.parse(readFileSync(termination, 'utf8')) as Record<string, unknown>,
    peakKib: Number(readFileSync(measured, 'utf8')),
  };
}

function expectRefusal(run: Run, reason: string, destination: string): void {
  expect(run.log).toContain(`BLOCKED ${reason}`);
  expect(run.code).toBe(1);
  expect(run.termination).toMatchObject({ verdict: 'refused', exitCode: 1, reason });
  expect(existsSync(destination)).toBe(false);
  expect(readdirSync(home).filter((name) => name.startsWith('.model-gate-'))).toEqual([]);
}

function flipByte(path: string, offset = 0): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function treeOf(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(dir.length), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}
