// SPDX-License-Identifier: Apache-2.0

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createBLAKE3 } from 'hash-wasm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIRST_BYTES, RANGE_BYTES } from '../../src/transfer/ranged.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { bundleOf, type Files, KEYS, leftovers, modesOf, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import { resourceOf, shardsOf, signResources } from '../support/signer.ts';

const ODD_NAMES: Files = {
  'with space.bin': 'a',
  'hash#mark.bin': 'b',
  'per%20cent.bin': 'c',
  'question?mark.bin': 'd',
  'grüße/模型.bin': 'e',
  'back\\slash.bin': 'f',
  'new\nline.bin': 'g',
  '"quoted" \'twice\'.bin': 'h',
  '-leading-dash': 'i',
  '--public-key': 'j',
  'colon:0:3': 'k',
  '+plus&and=equals;semi': 'l',
  '.hidden/.file': 'm',
  ['__proto__']: 'n',
  constructor: 'o',
};

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

let count = 0;
const fresh = (): string => tmp.at(`t${++count}`, 'models');

describe('pulling a good model', () => {
  const files = signed(SMALL_MODEL);

  test('from a web server gives the same tree, its bundle, and nothing else', async () => {
    await using server = await serveModel(files);
    const to = fresh();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(leftovers(tmp.at(`t${count}`))).toEqual([]);
  });

  test('from an S3 bucket gives the same tree without ever listing the bucket', async () => {
    const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI' };
    await using server = await startS3Server({
      buckets: { models: Object.fromEntries(Object.entries(files).map(([name, body]) => [`v1/${name}`, body])) },
      keys,
    });
    const env = { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey, AWS_ENDPOINT_URL: server.origin, AWS_REGION: 'us-east-1' };
    const to = fresh();
    expect(await pullHere(['s3://models/v1/', to], { env })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(server.seen.every(({ url }) => url.startsWith('/models/v1/') && !url.includes('list-type'))).toBe(true);
  });

  test.each(['path', 'file://', 'pvc://'])('from a folder given as %s gives the same tree', async (scheme) => {
    const claims = tmp.at(`claims${++count}`);
    const from = `${claims}/my-claim/nested/m`;
    writeTree(from, files);
    const source = { path: from, 'file://': `file://${from}`, 'pvc://': 'pvc://my-claim/nested/m' }[scheme] ?? '';
    const to = fresh();
    expect(await pullHere([source, to], { flags: { 'pvc-root': claims } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(treeOf(from)).toEqual(treeFrom(files));
  });

  test('leaves the bundle out with --no-keep-bundle', async () => {
    await using server = await serveModel(files);
    const to = fresh();
    expect(await pullHere([server.url, to], { flags: { 'keep-bundle': false } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(SMALL_MODEL));
  });

  test('takes names with blanks, #, %, ?, quotes, backslashes, newlines and foreign letters, over HTTP and S3', async () => {
    const odd = signed(ODD_NAMES);
    await using http = await serveModel(odd);
    await using s3 = await startS3Server({ buckets: { models: odd } });
    const [a, b] = [fresh(), fresh()];
    expect(await pullHere([http.url, a])).toMatchObject({ reason: 'OK' });
    expect(treeOf(a)).toEqual(treeFrom(odd));
    const env = { AWS_ENDPOINT_URL: s3.origin, AWS_REGION: 'us-east-1' };
    expect(await pullHere(['s3://models', b], { env, flags: { 's3-anonymous': true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(b)).toEqual(treeFrom(odd));
  });

  test('takes 300 small files in nested directories', async () => {
    const many = signed(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d${i % 7}/e${i % 3}/f${i}`, `content ${i}`])));
    await using server = await serveModel(many);
    const to = fresh();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(many));
  });

  test('fetches a large file in ranges that are pinned to its ETag', async () => {
    const big = signed({ 'model.safetensors': randomBytes(FIRST_BYTES + RANGE_BYTES + 17) });
    await using server = await serveModel(big);
    const to = fresh();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(big));
    const requests = server.seen.filter(({ url }) => url.endsWith('model.safetensors'));
    expect(requests.length).toBe(3);
    expect(requests.slice(1).every(({ headers }) => typeof headers['if-match'] === 'string')).toBe(true);
  });

  test('takes sharded manifests, in both spellings of the algorithm', async () => {
    const content = randomBytes(100_500);
    for (const label of ['sha256', 'sha256-sharded-1000']) {
      const shards = [...shardsOf('a/b.bin', content, 1000), ...shardsOf('c:d', Buffer.from('x'), 1000)].map((shard) => ({ ...shard, algorithm: label }));
      const bundle = signResources(shards, KEYS, { serialization: { method: 'shards', shard_size: 1000 } });
      const model = { 'a/b.bin': content, 'c:d': 'x', 'model.sig': bundle };
      await using server = await serveModel(model);
      const to = fresh();
      expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
      expect(treeOf(to)).toEqual(treeFrom(model));
    }
  });

  test.each(['blake2b', 'blake3'])('checks %s digests', async (algorithm) => {
    const blake3 = await createBLAKE3();
    const digest = (content: Buffer): string =>
      algorithm === 'blake2b' ? createHash('blake2b512').update(content).digest('hex') : blake3.init().update(content).digest('hex');
    const resources = Object.entries(SMALL_MODEL).map(([name, content]) => ({ name, algorithm, digest: digest(Buffer.from(content)) }));
    const model = { ...SMALL_MODEL, 'model.sig': signResources(resources, KEYS, { serialization: { hash_type: algorithm } }) };
    await using server = await serveModel(model);
    const to = fresh();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(model));
    server.files.set(server.pathOf('config.json'), Buffer.from('{"hidden_size": 9}'));
    expect(await pullHere([server.url, fresh()])).toMatchObject({ reason: 'DIGEST_MISMATCH' });
  });

  test.each(['model.bin', '.'])('takes a single object with its bundle beside it, listed as %s', async (name) => {
    const bundle = signResources([resourceOf(name, 'weights')], KEYS);
    const to = fresh();
    await using server = await serveModel({ 'model.bin': 'weights', 'model.bin.sig': bundle });
    expect(await pullHere([`${server.url}model.bin`, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom({ 'model.bin': 'weights', 'model.bin.sig': bundle }));
    const from = fresh();
    writeTree(from, { 'model.bin': 'weights', 'model.bin.sig': bundle, 'neighbour.bin': 'not signed' });
    const second = fresh();
    expect(await pullHere([`${from}/model.bin`, second])).toMatchObject({ reason: 'OK' });
    expect(treeOf(second)).toEqual(treeFrom({ 'model.bin': 'weights', 'model.bin.sig': bundle }));
  });

  test('takes a presigned URL with --bundle', async () => {
    const bundle = signResources([resourceOf('model.bin', 'weights')], KEYS);
    await using server = await serveModel({ 'model.bin': 'weights' });
    const [to, at] = [fresh(), fresh()];
    writeTree(at, { 'release.sig': bundle });
    const outcome = await pullHere([`${server.url}model.bin?X-Amz-Signature=s3cr3t`, to], { flags: { bundle: `${at}/release.sig` } });
    expect(outcome).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom({ 'model.bin': 'weights', 'release.sig': bundle }));
    expect(server.seen.map(({ url }) => url)).toEqual(['/models/m/model.bin?X-Amz-Signature=s3cr3t']);
  });

  test('takes only what --include and --exclude leave, and says that it is a part', async () => {
    await using server = await serveModel(files);
    const to = fresh();
    const outcome = await pullHere([server.url, to], { flags: { include: ['*.bin', '*.json'], exclude: ['part-2.bin'], 'keep-bundle': false } });
    expect(outcome).toMatchObject({ reason: 'OK' });
    expect(Object.keys(treeOf(to))).toEqual(['config.json', 'weights', 'weights/part-1.bin']);
    expect(outcome.evidence.models[0]?.notRequested).toEqual(['empty.txt', 'weights/part-2.bin']);
    expect(server.asked()).not.toContain('weights/part-2.bin');
  });
});

describe('what is published', () => {
  test('has modes 0644 and 0755 under any umask, in missing parents too, and says so in report and termination message', async () => {
    await using server = await serveModel(signed(SMALL_MODEL));
    const to = tmp.at('umask', 'deep', 'models');
    const ended = await runGate(['pull', server.url, to], { umask: 0o077, env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
    expect(ended).toMatchObject({ code: 0, stdout: '', termination: { verdict: 'verified', exitCode: 0, fileCount: 4, bytes: 110_019 } });
    expect(modesOf(tmp.at('umask'))).toEqual({
      deep: '755',
      'deep/models': '755',
      'deep/models/config.json': '644',
      'deep/models/empty.txt': '644',
      'deep/models/model.sig': '644',
      'deep/models/weights': '755',
      'deep/models/weights/part-1.bin': '644',
      'deep/models/weights/part-2.bin': '644',
    });
    expect(ended.report).toMatchObject({ reportVersion: 'model-gate/report/v1', verdict: 'verified', exitCode: 0, relaxations: [] });
    const [model] = (ended.report?.['models'] as Record<string, unknown>[] | undefined) ?? [];
    expect(model).toMatchObject({ verdict: 'verified', partial: false, fileCount: 4, totalBytes: 110_019 });
    expect(model?.['files']).toMatchObject(
      ['config.json', 'empty.txt', 'weights/part-1.bin', 'weights/part-2.bin'].map((path) => ({ path, origin: 'fetched' })),
    );
    expect(Buffer.byteLength(ended.terminationText)).toBeLessThanOrEqual(1000);
  });

  test.runIf(process.getuid?.() === 0)('belongs to the group of a setgid parent, which may write it', async () => {
    await using server = await serveModel(signed(SMALL_MODEL));
    const parent = tmp.at('setgid');
    mkdirSync(parent);
    chownSync(parent, 0, 4242);
    chmodSync(parent, 0o2775);
    expect(await pullHere([server.url, `${parent}/models`])).toMatchObject({ reason: 'OK' });
    for (const [name, mode] of Object.entries(modesOf(parent))) {
      expect([name, mode]).toEqual([name, statSync(`${parent}/${name}`).isDirectory() ? '2775' : '664']);
      expect([name, statSync(`${parent}/${name}`).gid]).toEqual([name, 4242]);
    }
  });

  test('has the very bytes of the bundle', async () => {
    const bundle = bundleOf(SMALL_MODEL);
    await using server = await serveModel({ ...SMALL_MODEL, 'model.sigstore.json': bundle });
    const to = fresh();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(readFileSync(`${to}/model.sigstore.json`).equals(bundle)).toBe(true);
  });
});
