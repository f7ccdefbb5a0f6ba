// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { FORMATS, packed, tarOf, zipOf } from '../support/archives.ts';
import { bundleOf, type Files, KEYS, leftovers, type Scratch, SMALL_MODEL, scratch, treeFrom, treeOf } from '../support/model.ts';
import { CAN_MOUNT, mountTmpfs } from '../support/mounts.ts';
import { pullHere, runGate, verifyHere } from '../support/run.ts';
import { resourceOf, shardsOf, signResources } from '../support/signer.ts';

/** One bundle for all: a signature is another each time. */
const BUNDLE = bundleOf(SMALL_MODEL);
const SIGNED = { ...SMALL_MODEL, 'model.sig': BUNDLE };
const TRUST = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());
let count = 0;
const fresh = (): string => tmp.at(`t${++count}`, 'models');

/** Pulls an archive over HTTP, with what lies beside it. */
async function pull(files: Files, name: string, to = fresh(), options: Parameters<typeof pullHere>[1] = {}) {
  await using server = await startHttpServer({ files: Object.fromEntries(Object.entries(files).map(([path, body]) => [`/${path}`, body])) });
  const outcome = await pullHere([`${server.origin}/${name}`, to], { ...options, flags: { unpack: true, ...options.flags } });
  return { ...outcome, to, asked: server.seen.map(({ url }) => url) };
}

describe.each(FORMATS)('%s', (name) => {
  const archive = packed(name, SMALL_MODEL);
  const whole = { [name]: archive, [`${name}.sig`]: bundleOf({ [name]: archive }) };
  const byMembers = { [name]: archive, [`${name}.sig`]: BUNDLE };

  test('that is signed as a file is verified, then unpacked, and itself not kept', async () => {
    const { reason, to, evidence } = await pull(whole, name);
    expect(reason).toBe('OK');
    expect(treeOf(to)).toEqual(treeFrom({ ...SMALL_MODEL, [`${name}.sig`]: whole[`${name}.sig`] ?? '' }));
    expect(evidence.models[0]).toMatchObject({
      archive: { signed: 'whole', file: { path: name, sizeBytes: archive.length, parts: [{ digest: sha256(archive) }] } },
      files: [
        { path: 'config.json', origin: 'unpacked', parts: [{ digest: sha256(Buffer.from(SMALL_MODEL['config.json'] ?? '')) }] },
        { path: 'empty.txt', sizeBytes: 0 },
        { path: 'weights/part-1.bin', sizeBytes: 40_000 },
        { path: 'weights/part-2.bin', sizeBytes: 70_001 },
      ],
    });
    expect(leftovers(to.replace(/\/models$/, ''))).toEqual([]);
  });

  test('of which the tree is signed is checked member by member, and can be verified where it stands', async () => {
    const { reason, to, evidence } = await pull(byMembers, name);
    expect(reason).toBe('OK');
    expect(treeOf(to)).toEqual(treeFrom(SIGNED));
    expect(evidence.models[0]).toMatchObject({
      archive: { signed: 'members', file: { path: name, parts: [{ digest: sha256(archive) }] } },
      files: { length: 4 },
    });
    expect((await verifyHere(to)).reason).toBe('OK');
  });

  test('comes from a volume as well, and is left there', async () => {
    const dir = tmp.at(`source-${name}`);
    mkdirSync(dir);
    writeFileSync(`${dir}/${name}`, archive);
    writeFileSync(`${dir}/${name}.sig`, byMembers[`${name}.sig`] ?? '');
    const to = fresh();
    expect((await pullHere([`${dir}/${name}`, to], { flags: { unpack: true } })).reason).toBe('OK');
    expect(treeOf(to)).toEqual(treeFrom(SIGNED));
    expect(statSync(`${dir}/${name}`).size).toBe(archive.length);
  });

  test('without --unpack is a file like any other, with a warning', async () => {
    const { to, evidence } = await pull(whole, name, fresh(), { flags: { unpack: false } });
    expect(treeOf(to)).toEqual(treeFrom(whole));
    expect(evidence.models[0]?.warnings).toEqual([`${name} is left as it is: --unpack unpacks it`]);
  });

  test('is unpacked when KServe calls, and not when its digest is not the pinned one', async () => {
    await using server = await startS3Server({ buckets: { models: whole } });
    const env = { ...TRUST, AWS_ENDPOINT_URL: server.origin, awsAnonymousCredential: 'true' };
    const [to, other] = [fresh(), fresh()];
    const ended = await runGate([`s3://models/${name}`, to], { env: { ...env, VERIFICATION_DIGEST: `sha256:${sha256(archive)}` } });
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified', fileCount: 4 } });
    expect(ended.stderr).toContain(`unpacking ${name}`);
    expect(treeOf(to)).toMatchObject(treeFrom(SMALL_MODEL));
    const refused = await runGate([`s3://models/${name}`, other], { env: { ...env, VERIFICATION_DIGEST: '0'.repeat(64) } });
    expect(refused).toMatchObject({ code: 1, termination: { reason: 'DIGEST_NOT_PINNED' } });
    expect(treeOf(other)).toEqual({});
  });
});

describe('VERIFICATION_DIGEST of an archive', () => {
  const archive = packed('m.tgz', SMALL_MODEL);
  const bundles = {
    'the tree': BUNDLE,
    'shards of the archive': signResources(shardsOf('m.tgz', archive, 1000), KEYS, { serialization: { method: 'shards', shard_size: 1000 } }),
  };

  test.each(Object.entries(bundles))('is compared before anything is unpacked, with %s signed', async (_, bundle) => {
    const files = { 'm.tgz': archive, 'm.tgz.sig': bundle };
    const right = await pull(files, 'm.tgz', fresh(), { env: { VERIFICATION_DIGEST: sha256(archive) } });
    expect(right.reason).toBe('OK');
    const wrong = await pull(files, 'm.tgz', fresh(), { env: { VERIFICATION_DIGEST: sha256(Buffer.from('other')) } });
    expect(wrong).toMatchObject({ reason: 'DIGEST_NOT_PINNED', exitCode: 1 });
    expect(wrong.events.some((event) => event.kind === 'unpacking')).toBe(false);
    expect(treeOf(wrong.to)).toEqual({});
  });

  test('is compared again where the tree stands already', async () => {
    const files = { 'm.tgz': archive, 'm.tgz.sig': bundles['the tree'] };
    const { to } = await pull(files, 'm.tgz');
    expect(await pull(files, 'm.tgz', to, { env: { VERIFICATION_DIGEST: sha256(archive) } })).toMatchObject({ reason: 'OK' });
    expect(await pull(files, 'm.tgz', to, { env: { VERIFICATION_DIGEST: '0'.repeat(64) } })).toMatchObject({ reason: 'DIGEST_NOT_PINNED' });
  });
});

describe('the bundle of an archive', () => {
  const archive = packed('m.zip', SIGNED);

  test('is never looked for inside', async () => {
    const { reason, asked } = await pull({ 'm.zip': archive }, 'm.zip');
    expect(reason).toBe('UNSIGNED');
    expect(asked).toEqual(['/m.zip.sig', '/m.zip.sigstore.json']);
  });

  test('may be given, and one inside that it ignores is not unpacked', async () => {
    const path = tmp.at('given.sig');
    writeFileSync(path, bundleOf(SMALL_MODEL, KEYS, { serialization: { ignore_paths: ['model.sig'] } }));
    const { reason, to } = await pull({ 'm.zip': archive }, 'm.zip', fresh(), { flags: { bundle: path, 'keep-bundle': false } });
    expect(reason).toBe('OK');
    expect(treeOf(to)).toEqual(treeFrom(SMALL_MODEL));
  });
});

describe('started again', () => {
  const archive = packed('m.tgz', SMALL_MODEL);
  const byMembers = { 'm.tgz': archive, 'm.tgz.sig': BUNDLE };
  const whole = { 'm.tgz': archive, 'm.tgz.sig': bundleOf({ 'm.tgz': archive }) };

  test('with a signed tree it fetches the archive only for what is missing', async () => {
    const { to } = await pull(byMembers, 'm.tgz');
    expect((await pull(byMembers, 'm.tgz', to)).asked).toEqual(['/m.tgz.sig']);
    writeFileSync(`${to}/config.json`, 'broken');
    const repaired = await pull(byMembers, 'm.tgz', to);
    expect(repaired.reason).toBe('OK');
    expect(repaired.evidence.models[0]?.files.filter((file) => file.origin === 'unpacked').map((file) => file.path)).toEqual(['config.json']);
    expect(treeOf(to)).toEqual(treeFrom(SIGNED));
  });

  test('with a signed archive it fetches it again, keeps what is the same and repairs the rest', async () => {
    const { to } = await pull(whole, 'm.tgz');
    const before = statSync(`${to}/config.json`).ino;
    const same = await pull(whole, 'm.tgz', to);
    expect(same).toMatchObject({
      reason: 'OK',
      evidence: { models: [{ files: [{ origin: 'kept' }, { origin: 'kept' }, { origin: 'kept' }, { origin: 'kept' }] }] },
    });
    expect(statSync(`${to}/config.json`).ino).toBe(before);
    writeFileSync(`${to}/config.json`, 'broken');
    expect((await pull(whole, 'm.tgz', to)).reason).toBe('OK');
    expect(treeOf(to)).toMatchObject(treeFrom(SMALL_MODEL));
  });

  test('with another version it takes the place of the old one', async () => {
    const { to } = await pull(whole, 'm.tgz');
    const next = packed('m.tgz', { ...SMALL_MODEL, 'config.json': 'two' });
    const { reason } = await pull({ 'm.tgz': next, 'm.tgz.sig': bundleOf({ 'm.tgz': next }) }, 'm.tgz', to);
    expect(reason).toBe('OK');
    expect(treeOf(to)).toMatchObject(treeFrom({ ...SMALL_MODEL, 'config.json': 'two' }));
  });

  test('where strangers stand it refuses and touches nothing', async () => {
    const to = fresh();
    mkdirSync(to, { recursive: true });
    writeFileSync(`${to}/evil.py`, 'x');
    expect(await pull(whole, 'm.tgz', to)).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(Object.keys(treeOf(to))).toEqual(['evil.py']);
  });
});

test('what was checked before a signal is taken up again, when the tree is signed', async () => {
  const archive = packed('m.tar', SMALL_MODEL);
  const files = { 'm.tar': archive, 'm.tar.sig': BUNDLE };
  const abort = new AbortController();
  const onEvent = (event: Event): void => {
    if (event.kind === 'fileDone' && event.path === 'weights/part-1.bin') abort.abort(new AppError('CANCELLED', 'stopped'));
  };
  const stopped = await pull(files, 'm.tar', fresh(), { signal: abort.signal, onEvent });
  expect([stopped.reason, treeOf(stopped.to)]).toEqual(['CANCELLED', {}]);
  const { reason, to, evidence } = await pull(files, 'm.tar', stopped.to);
  expect([reason, treeOf(to)]).toEqual(['OK', treeFrom(SIGNED)]);
  expect(evidence.models[0]?.files).toContainEqual(expect.objectContaining({ path: 'weights/part-1.bin', origin: 'resumed' }));
});

describe.runIf(CAN_MOUNT)('on a mount point, as KServe has it,', () => {
  const versions = ['one', 'two'].map((config) => {
    const archive = packed('m.tgz', { ...SMALL_MODEL, 'config.json': config });
    return { 'm.tgz': archive, 'm.tgz.sig': bundleOf({ 'm.tgz': archive }) };
  });

  test('the same archive again is kept, another is refused unless --replace, and a volume that is too small is told (exit 4)', async () => {
    const [first = {}, second = {}] = versions;
    const to = tmp.at('mount');
    using _mount = mountTmpfs(to, '2m');
    expect((await pull(first, 'm.tgz', to)).reason).toBe('OK');
    const again = await pull(first, 'm.tgz', to);
    expect(again.evidence.models[0]?.files.map((file) => file.origin)).toEqual(['kept', 'kept', 'kept', 'kept']);
    expect(await pull(second, 'm.tgz', to)).toMatchObject({ reason: 'DESTINATION_DIFFERS', exitCode: 4 });
    expect(treeOf(to)).toMatchObject(treeFrom({ ...SMALL_MODEL, 'config.json': 'one' }));
    expect((await pull(second, 'm.tgz', to, { flags: { replace: true } })).reason).toBe('OK');
    expect(treeOf(to)).toMatchObject(treeFrom({ ...SMALL_MODEL, 'config.json': 'two' }));
    const small = tmp.at('small');
    using _small = mountTmpfs(small, '1m');
    const large = packed('m.tgz', { 'zeros.bin': Buffer.alloc(2_000_000) });
    expect(await pull({ 'm.tgz': large, 'm.tgz.sig': bundleOf({ 'm.tgz': large }) }, 'm.tgz', small)).toMatchObject({ reason: 'NO_SPACE', exitCode: 4 });
    expect(Object.keys(treeOf(small)).filter((name) => !name.startsWith('.model-gate-'))).toEqual([]);
  });
});

test('archives of one call go to nested destinations', async () => {
  const [outer, inner] = [packed('a.tar', SMALL_MODEL), packed('b.zip', { 'adapter.bin': 'lora' })];
  await using server = await startS3Server({
    buckets: { models: { 'a.tar': outer, 'a.tar.sig': BUNDLE, 'b.zip': inner, 'b.zip.sig': bundleOf({ 'b.zip': inner }) } },
  });
  const to = fresh();
  mkdirSync(`${to}/lora`, { recursive: true });
  const env = { ...TRUST, AWS_ENDPOINT_URL: server.origin, awsAnonymousCredential: 'true' };
  for (const start of ['first', 'second']) {
    expect([start, (await runGate(['s3://models/a.tar', to, 's3://models/b.zip', `${to}/lora`], { env })).code]).toEqual([start, 0]);
  }
  expect(treeOf(to)).toMatchObject(treeFrom({ ...SMALL_MODEL, 'lora/adapter.bin': 'lora' }));
});

test('a directory that holds one signed archive and nothing else is unpacked too, as KServe does', async () => {
  const archive = packed('m.tar.gz', SMALL_MODEL);
  const { reason, to } = await pull({ 'v1/m.tar.gz': archive, 'v1/model.sig': bundleOf({ 'm.tar.gz': archive }) }, 'v1/');
  expect(reason).toBe('OK');
  expect(treeOf(to)).toMatchObject(treeFrom(SMALL_MODEL));
});

test('of a signed tree --include takes some members, and files of no bytes that shards cannot name are passed over', async () => {
  const big = Buffer.alloc(5000, 'w');
  const bundle = signResources([...shardsOf('a.bin', big, 1000), ...shardsOf('b.bin', big, 1000)], KEYS, {
    serialization: { method: 'shards', shard_size: 1000 },
  });
  const archive = packed('m.tar', { 'a.bin': big, 'b.bin': big, 'none.txt': '' });
  const { reason, to } = await pull({ 'm.tar': archive, 'm.tar.sig': bundle }, 'm.tar', fresh(), { flags: { include: ['a.bin'] } });
  expect(reason).toBe('OK');
  expect(Object.keys(treeOf(to))).toEqual(['a.bin', 'model.sig']);
});

test('unsigned members may be ignored: they are then not unpacked', async () => {
  const archive = packed('m.zip', { ...SMALL_MODEL, 'notes.txt': 'x', '.gitattributes': 'y' });
  const files = { 'm.zip': archive, 'm.zip.sig': BUNDLE };
  expect(await pull(files, 'm.zip')).toMatchObject({ reason: 'FILE_UNSIGNED' });
  const { reason, to } = await pull(files, 'm.zip', fresh(), { flags: { 'ignore-unsigned-files': true } });
  expect(reason).toBe('OK');
  expect(treeOf(to)).toEqual(treeFrom(SIGNED));
});

test('long and foreign names, zip64 and executables come out right and without their modes', async () => {
  const names = { [`${'deep/'.repeat(60)}ä-文件.bin`]: 'a', ['x'.repeat(200)]: 'b', 'back\\slash': 'c' };
  const dir = tmp.at('long');
  for (const format of ['gnu', 'pax']) {
    const to = `${dir}-${format}.tar`;
    using tree = scratch();
    for (const [name, body] of Object.entries(names)) {
      mkdirSync(tree.at(name, '..'), { recursive: true });
      writeFileSync(tree.at(name), body);
      chmodSync(tree.at(name), 0o4755);
    }
    execFileSync('tar', ['-cf', to, `--format=${format}`, '-C', tree.path, '.']);
    const at = fresh();
    const bundle = `${to}.sig`;
    writeFileSync(bundle, bundleOf(names));
    expect((await pullHere([to, at], { flags: { unpack: true } })).reason).toBe('OK');
    expect(treeOf(at)).toMatchObject(treeFrom(names));
    expect(statSync(`${at}/${'x'.repeat(200)}`).mode & 0o7777).toBe(0o644);
  }
  const script = `import zipfile; z=zipfile.ZipFile('${dir}.zip','w'); f=z.open('big.bin','w',force_zip64=True); f.write(b'z'*1000); f.close(); z.close()`;
  execFileSync('python3', ['-c', script]);
  writeFileSync(`${dir}.zip.sig`, bundleOf({ 'big.bin': Buffer.alloc(1000, 'z') }));
  expect((await pullHere([`${dir}.zip`, fresh()], { flags: { unpack: true } })).reason).toBe('OK');
});

test('binary attributes, as macOS and SELinux have them, do no harm', async () => {
  const pax = { name: 'x', type: 'x', body: Buffer.from('14 path=a.bin\n42 SCHILY.xattr.com.apple.provenance=\x01\x02\0\xff\n', 'latin1') };
  const archive = tarOf([pax, { name: 'short', body: 'a' }]);
  const { reason, to } = await pull({ 'm.tar': archive, 'm.tar.sig': bundleOf({ 'm.tar': archive }) }, 'm.tar');
  expect(reason).toBe('OK');
  expect(Object.keys(treeOf(to))).toEqual(['a.bin', 'm.tar.sig']);
});

test('a gzip of several members, and what follows the end mark, are read as tar does', async () => {
  const tar = tarOf([{ name: 'a', body: 'a'.repeat(3000) }]);
  const { gzipSync } = await import('node:zlib');
  const archive = Buffer.concat([
    gzipSync(tar.subarray(0, 1000)),
    gzipSync(Buffer.concat([tar.subarray(1000), tarOf([{ name: 'b', body: 'b' }])])),
    Buffer.alloc(100),
  ]);
  const { reason, to } = await pull({ 'm.tgz': archive, 'm.tgz.sig': bundleOf({ 'm.tgz': archive }) }, 'm.tgz');
  expect(reason).toBe('OK');
  expect(Object.keys(treeOf(to))).toEqual(['a', 'm.tgz.sig']);
});

test('the one name in a bundle tells a signed archive from an archive of one signed file', async () => {
  const archive = zipOf([{ name: 'only.bin', body: 'x' }]);
  const bundle = signResources([resourceOf('only.bin', 'x')], KEYS);
  const { reason, to } = await pull({ 'm.zip': archive, 'm.zip.sig': bundle }, 'm.zip');
  expect(reason).toBe('OK');
  expect(Object.keys(treeOf(to))).toEqual(['model.sig', 'only.bin']);
});
