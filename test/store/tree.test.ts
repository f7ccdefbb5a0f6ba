// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import type { Manifest, ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { compareTree, refusal } from '../../src/store/completeness.ts';
import { Dir } from '../../src/store/dir.ts';
import { readTree, type Tree, type WalkOptions } from '../../src/store/tree.ts';
import { type Scratch, scratch, writeTree } from '../support/model.ts';

let tmp: Scratch;
beforeEach(() => {
  tmp = scratch();
});
afterEach(() => tmp[Symbol.dispose]());

async function walk(options: Partial<WalkOptions> = {}): Promise<Tree> {
  await using root = await Dir.open(tmp.path);
  return await readTree(root, { ignored: [], symlinks: 'reject', maxEntries: 1000, ...options });
}

const names = (tree: Tree): string[] => [...tree.files.keys()].sort();
const odd = (tree: Tree): string[] => tree.odd.map(({ display, problem }) => `${problem}: ${display}`).sort();

describe('a walk', () => {
  test('finds regular files by their whole names and everything else by what it is', async () => {
    writeTree(tmp.path, { 'a/b': '1', c: '22', 'new\nline': '' });
    mkdirSync(tmp.at('empty'));
    symlinkSync('c', tmp.at('link'));
    execFileSync('mkfifo', [tmp.at('pipe')]);
    writeFileSync(Buffer.concat([Buffer.from(`${tmp.path}/a/`), Buffer.from([0xe9])]), 'x');
    const tree = await walk();
    expect(names(tree)).toEqual(['a/b', 'c', 'new\nline']);
    expect(tree.files.get('c')).toMatchObject({ sizeBytes: 2, via: 'name' });
    expect(odd(tree)).toEqual(['name: a/é', 'special: pipe', 'symlink: link']);
  });

  test('leaves ignored paths out before it looks at links, whole components only', async () => {
    writeTree(tmp.path, { 'cache/x': '', cache2: '', 'sub/cache/x': '' });
    symlinkSync('nowhere', tmp.at('cache', 'link'));
    expect(names(await walk({ ignored: ['cache'] }))).toEqual(['cache2', 'sub/cache/x']);
    expect(odd(await walk({ ignored: ['cache'] }))).toEqual([]);
  });

  test('looks for listed names even where they are ignored, and for nothing else there', async () => {
    writeTree(tmp.path, { 'cache/x': 'listed', 'cache/y': '', 'real/z': '' });
    symlinkSync('../real', tmp.at('cache', 'linked'));
    symlinkSync('x', tmp.at('cache', 'alias'));
    const tree = await walk({ ignored: ['cache', 'real'], listed: ['cache/x', 'cache/absent', 'cache/linked/z', 'cache/alias', 'cache'] });
    expect(names(tree)).toEqual(['cache/x']);
    expect(odd(tree)).toEqual(['symlink: cache/alias']);
  });

  test('gives up above the largest number of entries or depth', async () => {
    for (let i = 0; i < 5; i++) mkdirSync(tmp.at(`d${i}`));
    await expect(walk({ maxEntries: 4 })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(names(await walk({ maxEntries: 5 }))).toEqual([]);
    mkdirSync(tmp.at(...Array.from({ length: 300 }, () => 'd')), { recursive: true });
    await expect(walk()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  test('follows links only when told to: files under the link’s name, directories searched, circles reported', async () => {
    writeTree(tmp.path, { 'real/file': 'x' });
    symlinkSync('real/file', tmp.at('alias'));
    symlinkSync('real', tmp.at('dir'));
    symlinkSync('..', tmp.at('real', 'up'));
    symlinkSync('nowhere', tmp.at('dangling'));
    const tree = await walk({ symlinks: 'follow' });
    expect(names(tree)).toEqual(['alias', 'dir/file', 'real/file']);
    expect(tree.files.get('alias')?.via).toBe('link');
    expect(odd(tree)).toEqual(['dangling: dangling']);
    expect(tree.warnings.length).toBe(2);
  });

  test('takes links that lead to each other, or through a file, for links to nothing', async () => {
    writeTree(tmp.path, { file: 'x' });
    symlinkSync('itself', tmp.at('itself'));
    symlinkSync('file/below', tmp.at('through'));
    const tree = await walk({ symlinks: 'follow' });
    expect(names(tree)).toEqual(['file']);
    expect(odd(tree).toSorted()).toEqual(['dangling: itself', 'dangling: through']);
  });
});

describe('a link that leads out of the model', () => {
  test('is followed when links are, and reported once for all of them', async () => {
    writeTree(tmp.path, { 'model/file': 'x', 'elsewhere/file': 'y', 'model-2/file': 'z' });
    symlinkSync('file', tmp.at('model', 'inside'));
    const follow = async () => {
      await using root = await Dir.open(tmp.at('model'));
      return await readTree(root, { ignored: [], symlinks: 'follow', maxEntries: 100 });
    };
    expect((await follow()).warnings).toEqual([]);
    symlinkSync('../elsewhere', tmp.at('model', 'dir'));
    expect((await follow()).warnings).toEqual(['link dir leads out of the model']);
    symlinkSync('../model-2/file', tmp.at('model', 'alias'));
    symlinkSync(tmp.at('elsewhere', 'file'), tmp.at('model', 'absolute'));
    const tree = await follow();
    expect(names(tree)).toEqual(['absolute', 'alias', 'dir/file', 'file', 'inside']);
    expect(tree.warnings).toEqual([expect.stringMatching(/^link \w+ leads out of the model, and so do 2 more$/)]);
  });
});

describe('a comparison with the manifest', () => {
  const file = (path: string, sizeBytes?: number): ManifestFile => ({
    path: path as ModelPath,
    algorithm: 'sha256',
    parts: [{ range: 'whole', digest: '' as HexDigest }],
    ...(sizeBytes !== undefined && { sizeBytes }),
  });
  const manifestOf = (files: readonly ManifestFile[], method: 'files' | 'shards' = 'files') => ({ files, method }) as unknown as Manifest;
  const compare = async (files: readonly ManifestFile[], unsigned: 'refuse' | 'ignore' = 'refuse', method: 'files' | 'shards' = 'files') =>
    compareTree(manifestOf(files, method), files, await walk(), unsigned);

  test('finds nothing where names and kinds agree', async () => {
    writeTree(tmp.path, { a: '', 'b/c': '' });
    expect(await compare([file('a'), file('b/c')])).toEqual([]);
    expect(refusal([], 'here')).toBeUndefined();
  });

  test.each<[string, Record<string, string>, string]>([
    ['Missing files in model', { a: '' }, 'FILE_MISSING'],
    ['Extra files found in model', { a: '', 'b/c': '', extra: '' }, 'FILE_UNSIGNED'],
  ])('words its refusal as people grep for it: %s', async (words, tree, code) => {
    writeTree(tmp.path, tree);
    const error = refusal(await compare([file('a'), file('b/c')]), '/models');
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
  });

  test('tells missing, extra, linked and special files apart', async () => {
    writeTree(tmp.path, { extra: '' });
    symlinkSync('extra', tmp.at('signed'));
    symlinkSync('extra', tmp.at('unsigned'));
    expect((await compare([file('signed'), file('absent')])).map(({ code, name }) => `${code} ${name}`)).toEqual([
      'FILE_TYPE signed',
      'FILE_MISSING absent',
      'FILE_UNSIGNED extra',
      'FILE_TYPE unsigned',
    ]);
    expect((await compare([file('signed'), file('absent')], 'ignore')).map(({ code }) => code)).toEqual(['FILE_TYPE', 'FILE_MISSING']);
  });

  test('counts a file that is signed but not wanted as signed', async () => {
    writeTree(tmp.path, { a: '', b: '' });
    const all = [file('a'), file('b')];
    expect(compareTree(manifestOf(all), [file('a')], await walk(), 'refuse')).toEqual([]);
  });

  test('compares lengths that shards give, and lets empty files be that shards cannot name', async () => {
    writeTree(tmp.path, { a: 'xx', empty: '' });
    expect(await compare([file('a', 3)], 'refuse', 'shards')).toMatchObject([{ code: 'SIZE_MISMATCH', name: 'a' }]);
    expect(await compare([file('a', 2)], 'refuse', 'shards')).toEqual([]);
    expect(await compare([file('a')])).toMatchObject([{ code: 'FILE_UNSIGNED', name: 'empty' }]);
  });

  test('lists ten names and counts the rest', async () => {
    writeTree(tmp.path, Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`extra-${i}`, ''])));
    const error = refusal(await compare([]), '/models');
    expect(error?.context).toMatchObject({ count: 15 });
    expect(error?.context.names?.length).toBe(10);
    expect(error?.message).toContain('and 5 more');
  });
});
