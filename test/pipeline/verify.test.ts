// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, type Files, KEYS, type Scratch, SMALL_MODEL, scratch, signed, snapshot, writeTree } from '../support/model.ts';
import { bindMount, CAN_MOUNT, IS_ROOT } from '../support/mounts.ts';
import { runGate, verifyHere } from '../support/run.ts';
import { shardsOf, signResources } from '../support/signer.ts';

const files = signed(SMALL_MODEL);
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

let count = 0;
function model(content: Files = files): string {
  const dir = tmp.at(`m${++count}`);
  writeTree(dir, content);
  return dir;
}

describe('verifying in place', () => {
  test('a good model passes and nothing at all is written', async () => {
    const dir = model();
    const before = snapshot(dir);
    const ended = await runGate(['verify', dir], { env });
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified', fileCount: 4 }, report: { command: 'verify', verdict: 'verified' } });
    expect(snapshot(dir)).toEqual(before);
  });

  test('a refused model is not touched either', async () => {
    const dir = model({ ...files, 'config.json': 'tampered', 'extra.py': 'x' });
    const before = snapshot(dir);
    expect(await verifyHere(dir)).toMatchObject({ exitCode: 1 });
    expect(snapshot(dir)).toEqual(before);
  });

  test('a file that is written to, replaced or added after it was hashed, while others are, makes the verdict worthless', async () => {
    const disturbances: readonly ((dir: string) => void)[] = [
      (dir) => writeFileSync(`${dir}/weights/part-2.bin`, Buffer.alloc(70_001, 'xxx')),
      (dir) => {
        writeFileSync(`${dir}/../other`, Buffer.alloc(70_001, 'two'));
        renameSync(`${dir}/../other`, `${dir}/weights/part-2.bin`);
      },
      (dir) => writeFileSync(`${dir}/evil.py`, 'import os'),
    ];
    for (const disturb of disturbances) {
      const dir = model();
      let done = false;
      const outcome = await verifyHere(dir, {
        onEvent(event) {
          if (event.kind !== 'fileDone' || event.path !== 'weights/part-2.bin') return;
          done = true;
          disturb(dir);
        },
      });
      expect(done).toBe(true);
      expect(outcome).toMatchObject({ reason: 'SOURCE_CHANGED', exitCode: 3 });
    }
  });

  test('a claim and a file:// URI name the same model', async () => {
    const dir = model();
    expect(await verifyHere(`file://${dir}`)).toMatchObject({ reason: 'OK' });
    expect(await verifyHere(`${dir}/`)).toMatchObject({ reason: 'OK' });
    const claims = tmp.at('claims');
    mkdirSync(`${claims}/data`, { recursive: true });
    renameSync(dir, `${claims}/data/bert`);
    expect(await verifyHere('pvc://data/bert', { flags: { 'pvc-root': claims } })).toMatchObject({ reason: 'OK' });
    expect(await verifyHere('pvc://absent/bert', { flags: { 'pvc-root': claims } })).toMatchObject({
      reason: 'MODEL_NOT_FOUND',
      exitCode: 2,
      error: { message: expect.stringContaining("claim 'absent' is not mounted") },
    });
  });

  test('finds a bundle inside the model, beside it, or where --bundle says', async () => {
    const bundle = bundleOf(SMALL_MODEL);
    const dir = model({ ...SMALL_MODEL, 'model.sigstore.json': bundle });
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
    renameSync(`${dir}/model.sigstore.json`, `${dir}/release.json`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'UNSIGNED' });
    expect(await verifyHere(dir, { flags: { bundle: `${dir}/release.json` } })).toMatchObject({ reason: 'OK' });
    renameSync(`${dir}/release.json`, tmp.at('elsewhere.json'));
    expect(await verifyHere(dir, { flags: { bundle: tmp.at('elsewhere.json') } })).toMatchObject({ reason: 'OK' });
    renameSync(tmp.at('elsewhere.json'), `${dir}.sig`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
  });

  test('a single file needs nothing of its neighbours', async () => {
    const bundle = bundleOf({ 'model.bin': 'weights' });
    const dir = model({ 'model.bin': 'weights', 'model.bin.sig': bundle, 'neighbour.bin': 'x' });
    expect(await verifyHere(`${dir}/model.bin`)).toMatchObject({ reason: 'OK' });
    writeFileSync(`${dir}/model.bin`, 'Weights');
    expect(await verifyHere(`${dir}/model.bin`)).toMatchObject({ reason: 'DIGEST_MISMATCH' });
  });

  test('signed files that are ignored by git rules or by the signer still have to be there and match', async () => {
    const content = { '.gitattributes': '*.bin lfs', 'cache/x': 'signed', 'config.json': '{}' };
    const bundle = bundleOf(content, KEYS, { serialization: { ignore_paths: ['cache'] } });
    const dir = model({ ...content, 'model.sig': bundle, '.git/HEAD': 'not signed', 'cache/y': 'not signed' });
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
    writeFileSync(`${dir}/.gitattributes`, 'other');
    expect(await verifyHere(dir)).toMatchObject({ reason: 'DIGEST_MISMATCH', error: { context: { path: '.gitattributes' } } });
    writeFileSync(`${dir}/.gitattributes`, '*.bin lfs');
    rmSync(`${dir}/cache/x`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'FILE_MISSING', error: { context: { path: 'cache/x' } } });
    symlinkSync('y', `${dir}/cache/x`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'FILE_TYPE', error: { context: { path: 'cache/x' } } });
  });

  test('a part of a model needs the flags with which it was pulled', async () => {
    const { 'weights/part-2.bin': _, ...part } = files;
    const dir = model(part);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'FILE_MISSING' });
    const outcome = await verifyHere(dir, { flags: { exclude: ['part-2.bin'] } });
    expect(outcome.reason).toBe('OK');
    expect(outcome.evidence.models[0]?.notRequested).toEqual(['weights/part-2.bin']);
  });

  test('shards: a file that is longer, shorter or changed in one shard is refused', async () => {
    const content = Buffer.alloc(2500, 'shard');
    const bundle = signResources(shardsOf('model.bin', content, 1000), KEYS, { serialization: { method: 'shards', shard_size: 1000 } });
    const dir = model({ 'model.bin': content, 'empty.bin': '', 'model.sig': bundle });
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
    writeFileSync(`${dir}/model.bin`, Buffer.concat([content, Buffer.from('x')]));
    expect(await verifyHere(dir)).toMatchObject({ reason: 'SIZE_MISMATCH' });
    writeFileSync(`${dir}/model.bin`, content.subarray(0, 2000));
    expect(await verifyHere(dir)).toMatchObject({ reason: 'SIZE_MISMATCH' });
    writeFileSync(`${dir}/model.bin`, Buffer.concat([content.subarray(0, 1500), Buffer.from('X'), content.subarray(1501)]));
    expect(await verifyHere(dir)).toMatchObject({ reason: 'DIGEST_MISMATCH', error: { message: expect.stringContaining('bytes 1000 to 2000') } });
  });
});

describe('verifying in place refuses', () => {
  test.each<[string, string, (dir: string) => void, string]>([
    ['an extra file', 'FILE_UNSIGNED', (dir) => writeFileSync(`${dir}/extra.py`, 'x'), 'Extra files found in model'],
    ['an extra file in a hidden directory', 'FILE_UNSIGNED', (dir) => writeTree(dir, { 'sub/.git/x': 'x' }), 'Extra files found in model'],
    ['a missing file', 'FILE_MISSING', (dir) => rmSync(`${dir}/config.json`), 'Missing files in model'],
    ['a changed file', 'DIGEST_MISMATCH', (dir) => writeFileSync(`${dir}/config.json`, 'x'), 'Hash mismatch for'],
    ['a link, even to the right content', 'FILE_TYPE', (dir) => symlinkSync('config.json', `${dir}/alias.json`), 'Symlink not allowed'],
    ['a linked directory', 'FILE_TYPE', (dir) => symlinkSync('/etc', `${dir}/etc`), 'Symlink not allowed'],
    ['a dangling link', 'FILE_TYPE', (dir) => symlinkSync('nowhere', `${dir}/dangling`), 'Symlink not allowed'],
    ['a FIFO', 'FILE_TYPE', (dir) => void execFileSync('mkfifo', [`${dir}/pipe`]), 'Not a regular file'],
    [
      'a name that is not UTF-8',
      'FILE_UNSIGNED',
      (dir) => writeFileSync(Buffer.concat([Buffer.from(`${dir}/config`), Buffer.from([0xff])]), 'x'),
      'Extra files',
    ],
    ['a case variant', 'FILE_UNSIGNED', (dir) => writeFileSync(`${dir}/Config.json`, 'x'), 'Extra files found in model'],
    ['a Unicode variant', 'FILE_UNSIGNED', (dir) => writeFileSync(`${dir}/caf\u00e9`, 'x'), 'Extra files found in model'],
  ])('%s', async (_what, reason, change, words) => {
    const dir = model();
    change(dir);
    expect(await verifyHere(dir)).toMatchObject({ reason, exitCode: 1, error: { message: expect.stringContaining(words) } });
  });

  test('a FIFO in place of the bundle or of a signed file, without waiting for a writer', async () => {
    const dir = model();
    for (const name of ['model.sig', 'config.json']) {
      rmSync(`${dir}/${name}`);
      execFileSync('mkfifo', [`${dir}/${name}`]);
      expect(await verifyHere(dir)).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
      rmSync(`${dir}/${name}`);
      writeFileSync(`${dir}/${name}`, files[name] ?? '');
    }
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
  });

  test('an empty volume as unsigned, a missing path as a wrong request', async () => {
    const dir = tmp.at('empty');
    mkdirSync(dir);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'UNSIGNED', exitCode: 1 });
    expect(await verifyHere(`${dir}/absent`)).toMatchObject({ reason: 'MODEL_NOT_FOUND', exitCode: 2 });
    expect(await verifyHere('s3://bucket/model/')).toMatchObject({ reason: 'USAGE', exitCode: 2 });
  });

  test('more entries than --max-entries, empty directories included', async () => {
    const dir = model();
    for (let i = 0; i < 20; i++) mkdirSync(`${dir}/d${i}`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
    expect(await verifyHere(dir, { flags: { 'max-entries': '15' } })).toMatchObject({ reason: 'LIMIT_EXCEEDED' });
  });
});

describe('links', () => {
  test('that the signer allowed are read under their own names; those that lead round are reported', async () => {
    const content = { 'config.json': '{}', 'alias.json': '{}', 'sub/alias.json': '{}' };
    const dir = model({ 'config.json': '{}', 'sub/x': '' });
    rmSync(`${dir}/sub/x`);
    symlinkSync('config.json', `${dir}/alias.json`);
    symlinkSync('../config.json', `${dir}/sub/alias.json`);
    writeFileSync(`${dir}/model.sig`, bundleOf(content, KEYS, { serialization: { allow_symlinks: true } }));
    expect(await verifyHere(dir)).toMatchObject({ reason: 'OK' });
    symlinkSync('.', `${dir}/sub/round`);
    const outcome = await verifyHere(dir);
    expect(outcome).toMatchObject({ reason: 'OK' });
    expect(outcome.evidence.models[0]?.warnings).toEqual([expect.stringContaining('sub/round')]);
  });

  test('that the signer did not allow pass with --allow-symlinks only, and hide nothing', async () => {
    const dir = model({ 'model.sig': bundleOf({ 'config.json': '{}' }), 'hidden/evil.py': 'x' });
    renameSync(`${dir}/hidden`, tmp.at('hidden'));
    writeFileSync(tmp.at('target.json'), '{}');
    symlinkSync(tmp.at('target.json'), `${dir}/config.json`);
    expect(await verifyHere(dir)).toMatchObject({ reason: 'FILE_TYPE' });
    expect(await verifyHere(dir, { flags: { 'allow-symlinks': true } })).toMatchObject({ reason: 'OK' });
    symlinkSync(tmp.at('hidden'), `${dir}/hidden`);
    expect(await verifyHere(dir, { flags: { 'allow-symlinks': true } })).toMatchObject({
      reason: 'FILE_UNSIGNED',
      error: { context: { names: ['hidden/evil.py'] } },
    });
  });
});

describe.runIf(IS_ROOT)('a model that this user may not write, or not read', () => {
  const uid = 65534;

  test('is verified where it may be read', async () => {
    const dir = model();
    const ended = await runGate(['verify', dir], { env, uid, gid: uid });
    expect(ended.code).toBe(0);
  });

  test.each([
    ['config.json', 'file'],
    ['weights', 'directory'],
  ])('is an IO failure with advice, exit 4, where %s is private', async (name) => {
    const dir = model();
    chmodSync(`${dir}/${name}`, 0o700);
    const ended = await runGate(['verify', dir], { env, uid, gid: uid });
    expect([ended.code, ended.stderr]).toEqual([4, expect.stringMatching(/FAILED IO .*may not read it\n.*fsGroup/)]);
  });

  test('as a source is SOURCE_DENIED, as a destination IO or READ_ONLY', async () => {
    const open = tmp.at(`open${++count}`);
    mkdirSync(open);
    chmodSync(open, 0o777);
    const dir = model();
    chmodSync(`${dir}/weights`, 0o700);
    const denied = await runGate(['pull', dir, `${open}/models`], { env, uid, gid: uid });
    expect([denied.code, denied.stderr]).toEqual([3, expect.stringContaining('SOURCE_DENIED')]);

    const source = model();
    const standing = model();
    const there = await runGate(['pull', source, standing], { env, uid, gid: uid });
    expect([there.code, there.stderr]).toEqual([4, expect.stringContaining('READ_ONLY')]);
    chmodSync(standing, 0o777);
    chmodSync(`${standing}/config.json`, 0o600);
    const unreadable = await runGate(['pull', source, standing], { env, uid, gid: uid });
    expect([unreadable.code, unreadable.stderr]).toEqual([4, expect.stringContaining('FAILED IO')]);
  });

  test.runIf(CAN_MOUNT)('on a read-only mount passes, and is blocked when it was tampered with', async () => {
    const dir = model();
    const mount = tmp.at('ro');
    using _mounted = bindMount(dir, mount, 'ro');
    expect(await verifyHere(mount)).toMatchObject({ reason: 'OK' });
    writeFileSync(`${dir}/config.json`, 'tampered');
    expect(await verifyHere(mount)).toMatchObject({ reason: 'DIGEST_MISMATCH' });
  });
});
