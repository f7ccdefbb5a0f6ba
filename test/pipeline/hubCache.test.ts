// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blobOf } from '../../src/base/hubCache.ts';
import { bundleOf, type Files, KEYS, type Scratch, SMALL_MODEL, scratch, signed, snapshot, treeOf, writeTree } from '../support/model.ts';
import { pullHere, runGate, verifyHere } from '../support/run.ts';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const HUB = { flags: { 'hub-cache': true } };

let tmp: Scratch;
let model = '';
beforeEach(() => {
  tmp = scratch();
  model = makeCache(signed(SMALL_MODEL));
});
afterEach(() => tmp[Symbol.dispose]());

/** models--org--chat as the hub's tools lay it out; returns the snapshot. */
function makeCache(files: Files, blobName: (digest: string) => string = (digest) => digest): string {
  const root = tmp.at('hub/models--org--chat');
  const at = join(root, 'snapshots', COMMIT);
  for (const [name, content] of Object.entries(files)) {
    const blob = blobName(createHash('sha256').update(content).digest('hex'));
    writeTree(join(root, 'blobs'), { [blob]: content });
    mkdirSync(dirname(join(at, name)), { recursive: true });
    symlinkSync(`${'../'.repeat(name.split('/').length + 1)}blobs/${blob}`, join(at, name));
  }
  writeTree(join(root, 'refs'), { main: COMMIT });
  return at;
}

function writeKey(): string {
  writeFileSync(tmp.at('key.pem'), KEYS.publicPem);
  return tmp.at('key.pem');
}

function relink(name: string, target: string): void {
  unlinkSync(join(model, name));
  symlinkSync(target, join(model, name));
}

describe('verify --hub-cache', () => {
  test('takes a snapshot whose files and bundle are links into blobs, says so in the report, and changes nothing', async () => {
    const before = snapshot(tmp.path);
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'OK' });
    expect(snapshot(tmp.path)).toEqual(before);
    const ended = await runGate(['verify', model, '--hub-cache', '--public-key', writeKey()]);
    expect(ended).toMatchObject({ code: 0, termination: { relaxations: ['--hub-cache'] } });
  });

  test('is needed for that: without it links are refused', async () => {
    expect(await verifyHere(model)).toMatchObject({ reason: 'FILE_TYPE' });
  });

  test('takes blobs in sub-directories, real files among the links, and a cache that is reached through a link', async () => {
    renameSync(tmp.at('hub'), tmp.at('old'));
    model = makeCache(signed(SMALL_MODEL), (digest) => `${digest.slice(0, 2)}/${digest}`);
    unlinkSync(join(model, 'config.json'));
    writeFileSync(join(model, 'config.json'), SMALL_MODEL['config.json'] ?? '');
    symlinkSync(tmp.at('hub'), tmp.at('link'));
    expect(await verifyHere(tmp.at('link/models--org--chat/snapshots', COMMIT, '/'), HUB)).toMatchObject({ reason: 'OK' });
  });

  test('sees changed, missing and unsigned files', async () => {
    const blob = createHash('sha256')
      .update(SMALL_MODEL['config.json'] ?? '')
      .digest('hex');
    writeFileSync(join(model, '../../blobs', blob), '{"hidden_size": 9}');
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'DIGEST_MISMATCH' });
    unlinkSync(join(model, '../../blobs', blob));
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'FILE_TYPE' });
    unlinkSync(join(model, 'config.json'));
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'FILE_MISSING' });
  });

  test('does not pass over links that nobody signed', async () => {
    symlinkSync(`../../blobs/${createHash('sha256').update('').digest('hex')}`, join(model, 'extra.py'));
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'FILE_UNSIGNED' });
  });

  test.each([
    ['an absolute path', () => join(model, '../../blobs/copy')],
    ['another place of the cache', () => '../../refs/copy'],
    ['a place outside the cache', () => '../../../../outside/copy'],
    ['a file beside it', () => 'copy'],
    ['blobs of another repository', () => '../../../models--org--other/blobs/copy'],
    ['a link in blobs', () => '../../blobs/link'],
    ['a path through a link in blobs', () => '../../blobs/dir/copy'],
    ['blobs itself', () => '../../blobs'],
    ['nothing', () => '../../blobs/absent'],
  ])('refuses a link to %s, whatever it holds', async (_, target) => {
    const content = SMALL_MODEL['config.json'] ?? '';
    const here = target() === 'copy' ? [`snapshots/${COMMIT}`] : [];
    for (const place of ['blobs', 'refs', '../models--org--other/blobs', '../../outside', ...here])
      writeTree(tmp.at('hub/models--org--chat', place), { copy: content });
    symlinkSync('copy', join(model, '../../blobs/link'));
    symlinkSync(tmp.at('outside'), join(model, '../../blobs/dir'));
    relink('config.json', target());
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'FILE_TYPE' });
  });

  test('refuses a linked directory, and a bundle that is a link to elsewhere', async () => {
    const bundle = bundleOf(SMALL_MODEL);
    writeTree(tmp.at('outside'), { 'model.sig': bundle });
    relink('model.sig', tmp.at('outside/model.sig'));
    expect(await verifyHere(model, HUB)).toMatchObject({ reason: 'FILE_TYPE' });
    relink('model.sig', `../../blobs/${createHash('sha256').update(bundle).digest('hex')}`);
    symlinkSync('../../blobs', join(model, 'all'));
    expect(await verifyHere(model, { flags: { ...HUB.flags, bundle: tmp.at('outside/model.sig') } })).toMatchObject({ reason: 'FILE_TYPE' });
  });

  test('is for snapshots of a cache, and for nothing wider at the same time', async () => {
    writeTree(tmp.at('plain'), signed(SMALL_MODEL));
    expect(await verifyHere(tmp.at('plain'), HUB)).toMatchObject({ reason: 'CONFIG_INVALID', exitCode: 2 });
    expect(await verifyHere(model, { flags: { 'hub-cache': true, 'allow-symlinks': true } })).toMatchObject({ reason: 'PLAN_CONTRADICTION' });
  });
});

test.each([
  ['config.json', '../../blobs/aa', 'aa'],
  ['deep/er/w.bin', '../../../../blobs/aa/bb', 'aa/bb'],
  ['config.json', './..//../blobs/./aa', 'aa'],
  ['config.json', '../../blobs/x/../aa', 'aa'],
  ['config.json', '../../blobs/', undefined],
  ['config.json', '../../blobs/../refs/main', undefined],
  ['config.json', '../blobs/aa', undefined],
  ['config.json', '../../../blobs/aa', undefined],
  ['config.json', '../../../../../../blobs/aa', undefined],
  ['config.json', '/blobs/aa', undefined],
  ['blobs/config.json', '../../../blobs/aa', 'aa'],
  ['blobs/config.json', 'aa', undefined],
])('a link %s to %s leads to the blob %s', (path, target, expected) => {
  expect(blobOf(path, target)).toBe(expected);
});

describe('--ignore-hub-metadata', () => {
  const metadata = { '.cache/huggingface/download/config.json.metadata': 'x', '.cache/huggingface/.gitignore': '*' };

  test('leaves out what downloads from the hub leave behind, and nothing else of .cache', async () => {
    writeTree(tmp.at('local'), { ...signed(SMALL_MODEL), ...metadata });
    expect(await verifyHere(tmp.at('local'))).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(await verifyHere(tmp.at('local'), { flags: { 'ignore-hub-metadata': true } })).toMatchObject({ reason: 'OK' });
    writeTree(tmp.at('local'), { '.cache/other': 'x' });
    expect(await verifyHere(tmp.at('local'), { flags: { 'ignore-hub-metadata': true } })).toMatchObject({ reason: 'FILE_UNSIGNED' });
  });

  test('lets pull put a model where the hub’s tools had downloaded it', async () => {
    writeTree(tmp.at('from'), signed(SMALL_MODEL));
    writeTree(tmp.at('to/models'), metadata);
    expect(await pullHere([tmp.at('from'), tmp.at('to/models')])).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(await pullHere([tmp.at('from'), tmp.at('to/models')], { flags: { 'ignore-hub-metadata': true } })).toMatchObject({ reason: 'OK' });
    expect(Object.keys(treeOf(tmp.at('to/models')))).toEqual(expect.arrayContaining(['config.json', '.cache/huggingface/.gitignore']));
  });
});
