// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startS3Server } from '../servers/s3Server.ts';
import { bundleOf, KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';
import { shardsOf, signResources } from '../support/signer.ts';

const SECRET = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI' };
const TRUST = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
const files = signed(SMALL_MODEL);
const under = (prefix: string, tree: typeof files) => Object.fromEntries(Object.entries(tree).map(([name, body]) => [prefix + name, body]));

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());
let count = 0;
const fresh = (): string => tmp.at(`t${++count}`, 'models');

const start = () => startS3Server({ buckets: { models: { ...under('iris/', files), ...under('lora/', files) } }, keys: SECRET });
const storage = (origin: string, more = {}) =>
  JSON.stringify({ type: 's3', access_key_id: SECRET.accessKeyId, secret_access_key: SECRET.secretAccessKey, endpoint_url: origin, ...more });

describe('called as KServe calls its storage initializer', () => {
  test('it takes bare pairs, nested destinations that are there, a storage secret, and keeps files of no bytes', async () => {
    await using server = await start();
    const to = fresh();
    mkdirSync(`${to}/lora`, { recursive: true });
    const ended = await runGate(['s3://models/iris', to, 'oms+s3://models/lora/', `${to}/lora`], {
      env: { ...TRUST, STORAGE_CONFIG: storage('http://wrong.invalid'), STORAGE_OVERRIDE_CONFIG: JSON.stringify({ endpoint_url: server.origin }) },
    });
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified', models: 2 } });
    expect(treeOf(to)).toEqual(treeFrom({ ...files, ...under('lora/', files) }));
  });

  test('without a word on trust it does nothing (exit 2)', async () => {
    await using server = await start();
    const ended = await runGate(['s3://models/iris', fresh()], { env: { STORAGE_CONFIG: storage(server.origin) } });
    expect(ended).toMatchObject({ code: 2, termination: { reason: 'TRUST_METHOD_MISSING' } });
    expect(server.seen).toEqual([]);
  });

  test.each(['public-key', 'MODEL_GATE_PUBLIC_KEY', 'ca'])('a URI cannot say whom to trust, not by ?%s= and not by a fragment', async (name) => {
    await using server = await start();
    const key = encodeURIComponent(KEYS.publicPem);
    for (const uri of [`s3://models/iris?${name}=${key}`, `${server.origin}/iris/?${name}=${key}`, `${server.origin}/iris/#${name}=${key}`]) {
      const ended = await runGate([uri, fresh()], { env: { STORAGE_CONFIG: storage(server.origin) } });
      expect(ended).toMatchObject({ code: 2, termination: { reason: 'TRUST_METHOD_MISSING' } });
    }
    expect(server.seen).toEqual([]);
  });

  test.each([
    ['CONFIDENTIAL_ENABLED', 'true'],
    ['STORAGE_CONFIG', '{"type":"webhdfs"}'],
    ['VERIFICATION_DIGEST', 'md5:00'],
  ])('it refuses %s=%s (exit 2)', async (name, value) => {
    const ended = await runGate(['s3://models/iris', fresh()], { env: { ...TRUST, [name]: value } });
    expect(ended).toMatchObject({ code: 2, termination: { reason: 'CONFIG_INVALID' } });
  });

  test('--dry-run tells what each of its variables does, without secrets', async () => {
    const ended = await runGate(['s3://models/iris', '/mnt/models', '--dry-run'], {
      env: { ...TRUST, STORAGE_CONFIG: storage('http://minio:9000'), STORAGE_ALLOW_PATTERNS: '*.json,*.txt', S3_MAX_FILE_CONCURRENCY: '4' },
    });
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/STORAGE_CONFIG\s+endpoint_url = http:\/\/minio:9000, as AWS_ENDPOINT_URL/);
    expect(ended.stdout).toMatch(/STORAGE_ALLOW_PATTERNS\s+include \*\.json, \*\.txt \(fnmatch\)/);
    expect(ended.stdout).toMatch(/S3_MAX_FILE_CONCURRENCY\s+4, as MODEL_GATE_CONNECTIONS/);
    expect(ended.stdout).not.toMatch(/AKIDEXAMPLE|wJalrX/);
  });
});

describe('STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS', () => {
  const pull = async (env: Readonly<Record<string, string>>, flags = {}) => {
    await using server = await start();
    const to = fresh();
    const outcome = await pullHere(['s3://models/iris/', to], { env: { STORAGE_CONFIG: storage(server.origin), ...env }, flags });
    return { ...outcome, names: Object.entries(treeOf(to)).flatMap(([name, what]) => (what === 'directory' ? [] : [name])) };
  };

  test('choose by whole names, where a star crosses slashes', async () => {
    expect((await pull({ STORAGE_ALLOW_PATTERNS: '["*1.bin","*.json"]' })).names).toEqual(['config.json', 'model.sig', 'weights/part-1.bin']);
    expect((await pull({ STORAGE_IGNORE_PATTERNS: 'weights*' })).names).toEqual(['config.json', 'empty.txt', 'model.sig']);
  });

  test('narrow what --include and --exclude leave', async () => {
    const { names } = await pull({ STORAGE_ALLOW_PATTERNS: '*.bin' }, { exclude: ['part-2*'] });
    expect(names).toEqual(['model.sig', 'weights/part-1.bin']);
  });

  test('that leave nothing are CONFIG_INVALID', async () => {
    expect(await pull({ STORAGE_ALLOW_PATTERNS: 'absent' })).toMatchObject({ reason: 'CONFIG_INVALID', names: [] });
  });
});

describe('VERIFICATION_DIGEST', () => {
  const content = Buffer.alloc(5000, 'weights');
  const digest = createHash('sha256').update(content).digest('hex');
  const other = createHash('sha256').update('other').digest('hex');
  const byShards = signResources(shardsOf('m.gguf', content, 1000), KEYS, { serialization: { method: 'shards', shard_size: 1000 } });
  const bundles = { 'files by sha256': bundleOf({ 'm.gguf': content }), shards: byShards };

  const pull = async (bundle: Buffer, value: string, uri = 's3://models/v1/m.gguf', flags = {}, to = fresh()) => {
    await using server = await startS3Server({
      buckets: { models: { 'v1/m.gguf': content, 'v1/m.gguf.sig': bundle, ...under('iris/', files) } },
      keys: SECRET,
    });
    const outcome = await pullHere([uri, to], { env: { STORAGE_CONFIG: storage(server.origin), VERIFICATION_DIGEST: value }, flags });
    return { ...outcome, to, asked: server.seen.map(({ url }) => new URL(url, 'http://h').pathname) };
  };

  test.each(Object.entries(bundles))('of the one object passes, and another does not, with %s in the bundle', async (_, bundle) => {
    expect(await pull(bundle, `sha256:${digest}`)).toMatchObject({ reason: 'OK' });
    const refused = await pull(bundle, other);
    expect(refused).toMatchObject({ reason: 'DIGEST_NOT_PINNED', exitCode: 1 });
    expect(treeOf(refused.to)).toEqual({});
  });

  test('is checked again for an object that is there already', async () => {
    const { to } = await pull(bundles.shards, digest);
    expect(await pull(bundles.shards, digest, undefined, {}, to)).toMatchObject({ reason: 'OK' });
    expect(await pull(bundles.shards, other, undefined, {}, to)).toMatchObject({ reason: 'DIGEST_NOT_PINNED' });
  });

  test('needs no download of the object where the manifest tells', async () => {
    expect((await pull(bundles['files by sha256'], other)).asked).not.toContain('/models/v1/m.gguf');
  });

  test.each(['s3://models/iris/', 's3://models/iris'])('with the directory %s is a contradiction (exit 2)', async (uri) => {
    expect(await pull(bundles.shards, digest, uri)).toMatchObject({ reason: 'PLAN_CONTRADICTION', exitCode: 2 });
  });

  test('with --expect-digest or with several models is a contradiction', async () => {
    expect(await pull(bundles.shards, digest, undefined, { 'expect-digest': [digest] })).toMatchObject({ reason: 'PLAN_CONTRADICTION' });
    const two = await pullHere(['s3://models/x', fresh(), 's3://models/y', fresh()], { env: { VERIFICATION_DIGEST: digest } });
    expect(two.reason).toBe('PLAN_CONTRADICTION');
  });
});

test('an archive of a kind that cannot be unpacked is verified and left as it is, with a warning', async () => {
  await using server = await startS3Server({ buckets: { models: { 'm.tar.xz': 'tar', 'm.tar.xz.sig': bundleOf({ 'm.tar.xz': 'tar' }) } }, keys: SECRET });
  const to = fresh();
  const ended = await runGate(['s3://models/m.tar.xz', to], { env: { ...TRUST, STORAGE_CONFIG: storage(server.origin) } });
  expect(ended.code).toBe(0);
  expect(ended.stderr).toContain('m.tar.xz is left as it is: only .tar, .tar.gz, .tgz and .zip can be unpacked');
  expect(Object.keys(treeOf(to))).toEqual(['m.tar.xz', 'm.tar.xz.sig']);
});

test('a whole bucket without a bundle is UNSIGNED', async () => {
  await using server = await startS3Server({ buckets: { models: SMALL_MODEL }, keys: SECRET });
  expect(await pullHere(['s3://models/', fresh()], { env: { STORAGE_CONFIG: storage(server.origin) } })).toMatchObject({ reason: 'UNSIGNED' });
});
