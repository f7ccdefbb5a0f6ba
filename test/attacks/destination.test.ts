// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leftovers, type Scratch, SMALL_MODEL, scratch, signed, snapshot, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { bindMount, CAN_MOUNT, mountTmpfs } from '../support/mounts.ts';
import { pullHere } from '../support/run.ts';
import { type ModelServer, serveModel } from '../support/servers.ts';

const files = signed(SMALL_MODEL);

let tmp: Scratch;
let server: ModelServer;
beforeAll(async () => {
  tmp = scratch();
  server = await serveModel(files);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

let count = 0;
/** A parent of its own with a destination in it and a canary beside it. */
function fresh(): { parent: string; to: string; canary: string } {
  const parent = tmp.at(`t${++count}`);
  writeTree(`${parent}/canary`, { file: 'canary', 'config.json': 'canary', 'part-1.bin': 'canary' });
  return { parent, to: `${parent}/models`, canary: `${parent}/canary` };
}

describe('links planted where the model belongs', () => {
  test('the destination itself: refused, nothing written through it', async () => {
    const { parent, to, canary } = fresh();
    for (const target of ['canary', 'nowhere']) {
      symlinkSync(target, to);
      const before = snapshot(parent);
      expect(await pullHere([server.url, to])).toMatchObject({ reason: 'CONFIG_INVALID', exitCode: 2 });
      expect(snapshot(parent)).toEqual(before);
      expect(existsSync(`${parent}/nowhere`)).toBe(false);
      rmSync(to);
    }
    expect(readdirSync(canary).length).toBe(3);
  });

  test('a directory of the manifest: refused and listed; --prune removes the link, not what it leads to', async () => {
    const { to, canary } = fresh();
    mkdirSync(to);
    symlinkSync(canary, `${to}/weights`);
    const before = snapshot(canary);
    const outcome = await pullHere([server.url, to]);
    expect(outcome).toMatchObject({ reason: 'FILE_UNSIGNED', exitCode: 1, error: { context: { names: ['weights'] } } });
    expect(treeOf(to)).toEqual({ weights: `link to ${canary}` });
    expect(await pullHere([server.url, to], { flags: { 'ignore-unsigned-files': true } })).toMatchObject({ reason: 'PUBLISH_FAILED', exitCode: 4 });
    expect(snapshot(canary)).toEqual(before);
    expect(await pullHere([server.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(snapshot(canary)).toEqual(before);
  });

  test('a file of the manifest, with the right content or another: replaced by the file itself', async () => {
    const { to, canary } = fresh();
    writeTree(to, {});
    writeFileSync(`${canary}/config.json`, SMALL_MODEL['config.json'] ?? '');
    symlinkSync(`${canary}/config.json`, `${to}/config.json`);
    symlinkSync(`${canary}/nowhere`, `${to}/empty.txt`);
    const before = snapshot(canary);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(snapshot(canary)).toEqual(before);
  });

  test('the bundle: refused, or pruned, never written through', async () => {
    const { to, canary } = fresh();
    writeTree(to, {});
    symlinkSync(`${canary}/file`, `${to}/model.sig`);
    const before = snapshot(canary);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(await pullHere([server.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(snapshot(canary)).toEqual(before);
  });

  test('a hard link to somebody’s file: that file keeps its content', async () => {
    const { to, canary } = fresh();
    writeTree(to, {});
    linkSync(`${canary}/config.json`, `${to}/config.json`);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(readFileSync(`${canary}/config.json`, 'utf8')).toBe('canary');
  });

  test('a FIFO never makes the gate wait: refused as a stranger, replaced under a signed name', async () => {
    const { to } = fresh();
    writeTree(to, {});
    execFileSync('mkfifo', [`${to}/pipe`]);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'FILE_UNSIGNED', error: { context: { names: ['pipe'] } } });
    rmSync(`${to}/pipe`);
    execFileSync('mkfifo', [`${to}/config.json`]);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
  });

  test('a directory under a file’s name: emptied of nothing, refused when it holds something', async () => {
    const { to } = fresh();
    mkdirSync(`${to}/config.json`, { recursive: true });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    rmSync(`${to}/config.json`);
    writeTree(to, { 'config.json/mine': 'x' });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(readFileSync(`${to}/config.json/mine`, 'utf8')).toBe('x');
  });

  test('a file in place of the destination or of its parent: refused', async () => {
    const { parent, to } = fresh();
    writeFileSync(to, 'x');
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'CONFIG_INVALID', exitCode: 2 });
    expect(await pullHere([server.url, `${to}/below`])).toMatchObject({ exitCode: 4 });
    expect(readFileSync(to, 'utf8')).toBe('x');
    expect(readdirSync(parent).sort()).toEqual(['canary', 'models']);
  });
});

describe('files that nobody signed', () => {
  test('are refused and listed before anything is fetched; nothing of them is touched', async () => {
    const { parent, to } = fresh();
    writeTree(to, { 'evil.py': 'import os', 'weights/pytorch_model.bin': 'pickle' });
    const before = snapshot(to);
    server.seen.length = 0;
    const outcome = await pullHere([server.url, to]);
    expect(outcome).toMatchObject({ reason: 'FILE_UNSIGNED', exitCode: 1, error: { context: { names: ['evil.py', 'weights/pytorch_model.bin'], count: 2 } } });
    expect(server.asked()).toEqual(['model.sig']);
    expect(snapshot(to)).toEqual(before);
    expect(leftovers(parent)).toEqual([]);
  });

  test('are removed by --prune, those only, with directories that are empty then', async () => {
    const { to } = fresh();
    writeTree(to, { 'evil.py': 'x', 'deep/er/evil.bin': 'x', 'config.json': SMALL_MODEL['config.json'] ?? '', 'weights/evil.bin': 'x', 'with\nnewline': 'x' });
    symlinkSync('nowhere', `${to}/link\nwith newline`);
    expect(await pullHere([server.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
  });

  test('stay when pruning was asked for but the model is refused', async () => {
    await using bad = await serveModel({ ...files, 'config.json': 'tampered' });
    const { to } = fresh();
    writeTree(to, { 'mine.txt': 'x' });
    expect(await pullHere([bad.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'DIGEST_MISMATCH' });
    expect(treeOf(to)).toEqual(treeFrom({ 'mine.txt': 'x' }));
  });

  test('are refused, not pruned, under names that are not UTF-8', async () => {
    const { to } = fresh();
    mkdirSync(to);
    writeFileSync(Buffer.concat([Buffer.from(`${to}/`), Buffer.from([0xff, 0x41])]), 'x');
    expect(await pullHere([server.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(readdirSync(to).length).toBe(1);
  });

  test('may stay with --ignore-unsigned-files or --ignore-paths, which the report calls relaxations', async () => {
    const { to } = fresh();
    writeTree(to, { 'notes/mine.txt': 'x' });
    expect(await pullHere([server.url, to], { flags: { 'ignore-paths': ['notes'] } })).toMatchObject({ reason: 'OK' });
    expect(await pullHere([server.url, to], { flags: { 'ignore-unsigned-files': true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom({ ...files, 'notes/mine.txt': 'x' }));
  });

  test('a refused model leaves what stood there as it was', async () => {
    const { to } = fresh();
    await pullHere([server.url, to]);
    const before = snapshot(to);
    await using bad = await serveModel({ ...signed({ ...SMALL_MODEL, 'config.json': '{"v": 2}' }), 'config.json': 'tampered' });
    expect(await pullHere([bad.url, to])).toMatchObject({ reason: 'DIGEST_MISMATCH', exitCode: 1 });
    expect(snapshot(to)).toEqual(before);
  });
});

// Without the right to mount, "entries" is chosen for a parent that cannot be written; see test/store/destination.test.ts.
describe.runIf(CAN_MOUNT)('a destination that is a mount point', () => {
  test('takes the model between lost+found and nothing else; staging inside it goes away', async () => {
    const { to } = fresh();
    using _mount = mountTmpfs(to);
    mkdirSync(`${to}/lost+found`, 0o700);
    const outcome = await pullHere([server.url, to]);
    expect(outcome.reason).toBe('OK');
    expect(outcome.evidence.models[0]?.warnings).toEqual([expect.stringContaining('lost+found')]);
    expect(treeOf(to)).toEqual({ ...treeFrom(files), 'lost+found': 'directory' });
    server.seen.length = 0;
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(server.asked()).toEqual(['model.sig']);
  });

  test('refuses files hidden in lost+found', async () => {
    const { to } = fresh();
    using _mount = mountTmpfs(to);
    writeTree(to, { 'lost+found/evil.py': 'x' });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'FILE_UNSIGNED', error: { context: { names: ['lost+found/evil.py'] } } });
  });

  test('is recognised when it is a bind mount of the same file system', async () => {
    const { parent, to } = fresh();
    mkdirSync(`${parent}/volume`);
    using _mount = bindMount(`${parent}/volume`, to);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${parent}/volume`)).toEqual(treeFrom(files));
    writeFileSync(`${to}/config.json`, 'broken');
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${parent}/volume`)).toEqual(treeFrom(files));
  });

  test('changes to another model with --replace only', async () => {
    const next = signed({ ...SMALL_MODEL, 'config.json': '{"v": 2}' });
    await using other = await serveModel(next);
    const { to } = fresh();
    using _mount = mountTmpfs(to);
    await pullHere([server.url, to]);
    const before = snapshot(to).slice(1);
    expect(await pullHere([other.url, to])).toMatchObject({ reason: 'DESTINATION_DIFFERS', exitCode: 4, error: { context: { names: ['config.json'] } } });
    expect(snapshot(to).slice(1)).toEqual(expect.arrayContaining([...before]));
    expect(await pullHere([other.url, to], { flags: { replace: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(next));
  });

  test('inside the destination stays a mount when the model around it is healed', async () => {
    const { to } = fresh();
    await pullHere([server.url, to]);
    using _mount = mountTmpfs(`${to}/cache`);
    writeFileSync(`${to}/cache/mine`, 'x');
    writeFileSync(`${to}/config.json`, 'broken');
    const flags = { 'ignore-paths': ['cache'] };
    expect(await pullHere([server.url, to], { flags })).toMatchObject({ reason: 'OK' });
    expect(readFileSync(`${to}/cache/mine`, 'utf8')).toBe('x');
    expect(treeOf(to)).toEqual(treeFrom({ ...files, 'cache/mine': 'x' }));
  });

  test('that is full ends with NO_SPACE, exit 4, before and while writing, and holds nothing loadable', async () => {
    const { to } = fresh();
    using _mount = mountTmpfs(to, '300k');
    const large = signed({ 'a.bin': Buffer.alloc(200_000, 1), 'b.bin': Buffer.alloc(200_000, 2) });
    await using source = await serveModel(large);
    const outcome = await pullHere([source.url, to]);
    expect(outcome).toMatchObject({ reason: 'NO_SPACE', exitCode: 4 });
    source.always(source.pathOf('b.bin'), { kind: 'chunked' });
    source.always(source.pathOf('a.bin'), { kind: 'chunked' });
    expect(await pullHere([source.url, to])).toMatchObject({ reason: 'NO_SPACE', exitCode: 4 });
    expect(Object.keys(treeOf(to)).filter((name) => !name.startsWith('.model-gate-'))).toEqual([]);
  });

  test('that is read-only ends with READ_ONLY, exit 4', async () => {
    const { parent, to } = fresh();
    mkdirSync(`${parent}/volume`);
    using _mount = bindMount(`${parent}/volume`, to, 'ro');
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'READ_ONLY', exitCode: 4 });
    expect(await pullHere([server.url, `${to}/below`])).toMatchObject({ reason: 'READ_ONLY', exitCode: 4 });
    expect(readdirSync(`${parent}/volume`)).toEqual([]);
  });
});

describe('a local source', () => {
  test('with links or special files under signed names is refused, whatever they lead to', async () => {
    const { parent, canary } = fresh();
    for (const plant of [
      (from: string) => symlinkSync(`${canary}/file`, `${from}/config.json`),
      (from: string) => execFileSync('mkfifo', [`${from}/config.json`]),
      (from: string) => mkdirSync(`${from}/config.json`),
    ]) {
      const from = `${parent}/from`;
      writeTree(from, files);
      rmSync(`${from}/config.json`);
      plant(from);
      const outcome = await pullHere([from, `${parent}/models`]);
      expect(outcome).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
      expect(existsSync(`${parent}/models`)).toBe(false);
      rmSync(from, { recursive: true });
    }
  });

  test('that is a link itself is refused', async () => {
    const { parent } = fresh();
    writeTree(`${parent}/from`, files);
    symlinkSync('from', `${parent}/link`);
    expect(await pullHere([`${parent}/link`, `${parent}/models`])).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
    expect(await pullHere([`${parent}/link/`, `${parent}/models`])).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
  });

  test('with a linked directory is refused as missing its files', async () => {
    const { parent, canary } = fresh();
    const from = `${parent}/from`;
    writeTree(from, files);
    rmSync(`${from}/weights`, { recursive: true });
    symlinkSync(canary, `${from}/weights`);
    expect(await pullHere([from, `${parent}/models`])).toMatchObject({ reason: 'FILE_MISSING', exitCode: 1 });
  });

  test('may be the destination itself: everything is kept', async () => {
    const { to } = fresh();
    writeTree(to, files);
    chmodSync(to, 0o755);
    expect(await pullHere([to, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
  });
});
