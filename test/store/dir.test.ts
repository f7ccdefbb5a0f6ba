// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Dir } from '../../src/store/dir.ts';
import { type Scratch, scratch, snapshot, treeFrom, treeOf, writeTree } from '../support/model.ts';

let tmp: Scratch;
beforeEach(() => {
  tmp = scratch();
  writeTree(tmp.at('root'), { 'sub/deep/file': 'inside', file: 'top' });
  writeTree(tmp.at('canary'), { file: 'canary', 'deep/file': 'canary' });
  symlinkSync('../canary', tmp.at('root', 'link'));
  symlinkSync('file', tmp.at('root', 'filelink'));
});
afterEach(() => tmp[Symbol.dispose]());

const openRoot = (): Promise<Dir> => Dir.open(tmp.at('root'));
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'none', codeOf);

describe('a directory held by descriptor', () => {
  test('leads to its entries even after somebody renamed it and put another one in its place', async () => {
    await using dir = await openRoot();
    renameSync(tmp.at('root'), tmp.at('moved'));
    symlinkSync('canary', tmp.at('root'));
    await using file = await dir.openFile('file');
    expect(await file.readFile('utf8')).toBe('top');
    await using created = await dir.createFile('new', 0o600);
    await created.writeFile('x');
    expect(readFileSync(tmp.at('moved', 'new'), 'utf8')).toBe('x');
    expect(existsSync(tmp.at('canary', 'new'))).toBe(false);
  });

  test('does not open links, not even at the end of a path', async () => {
    await using dir = await openRoot();
    expect(await failure(dir.openDir('link'))).toMatch(/ENOTDIR|ELOOP/);
    expect(await failure(dir.openFile('filelink'))).toBe('FILE_TYPE');
    expect(await failure(Dir.open(tmp.at('root', 'link')))).toMatch(/ENOTDIR|ELOOP/);
    expect(await failure(dir.parentOf('link/deep/file'))).toMatch(/ENOTDIR|ELOOP/);
    expect(await failure(dir.ensureDir('link', 0o755))).toMatch(/ENOTDIR|ELOOP/);
    expect(await failure(dir.parentOf('link/new/file', 0o755))).toMatch(/ENOTDIR|ELOOP/);
    expect(readdirSync(tmp.at('canary')).sort()).toEqual(['deep', 'file']);
  });

  test('creates files only where nothing stands, not through dangling links', async () => {
    await using dir = await openRoot();
    symlinkSync(tmp.at('canary', 'new'), tmp.at('root', 'dangling'));
    for (const name of ['file', 'sub', 'link', 'dangling']) expect([name, await failure(dir.createFile(name, 0o644))]).toEqual([name, 'EEXIST']);
    expect(existsSync(tmp.at('canary', 'new'))).toBe(false);
  });

  test('does not wait at a FIFO', async () => {
    await using dir = await openRoot();
    execFileSync('mkfifo', [tmp.at('root', 'pipe')]);
    expect(await failure(dir.openFile('pipe'))).toBe('FILE_TYPE');
    expect(await failure(dir.openFileThroughLinks('pipe'))).toBe('FILE_TYPE');
    expect(await failure(dir.openFile('sub'))).toBe('FILE_TYPE');
  });

  test('makes missing directories with exactly the modes asked for', async () => {
    await using dir = await openRoot();
    const previous = process.umask(0o077);
    try {
      const parent = await dir.parentOf('a/b/c', 0o755);
      await parent.dir[Symbol.asyncDispose]();
      expect(parent.name).toBe('c');
    } finally {
      process.umask(previous);
    }
    for (const path of ['a', 'a/b']) expect(statSync(tmp.at('root', path)).mode & 0o7777).toBe(0o755);
    expect(await failure(dir.parentOf('file/x', 0o755))).toBe('ENOTDIR');
  });

  test('is made for oneself only once', async () => {
    await using dir = await openRoot();
    expect([await dir.makeDirExclusive('mine'), await dir.makeDirExclusive('mine'), await dir.makeDirExclusive('link')]).toEqual([true, false, false]);
    expect(statSync(tmp.at('root', 'mine')).mode & 0o777).toBe(0o700);
  });

  test('removes trees without following links out of them', async () => {
    await using dir = await openRoot();
    mkdirSync(tmp.at('root', 'sub', 'more'));
    symlinkSync('../../../canary', tmp.at('root', 'sub', 'more', 'link'));
    symlinkSync('../canary/file', tmp.at('root', 'sub', 'filelink'));
    const before = snapshot(tmp.at('canary'));
    await dir.removeTree('sub');
    await dir.removeTree('link');
    await dir.removeTree('absent');
    expect(treeOf(tmp.at('root'))).toEqual({ ...treeFrom({ file: 'top' }), filelink: 'link to file' });
    expect(snapshot(tmp.at('canary'))).toEqual(before);
  });

  test('removes a path with the directories that are empty without it, and no other', async () => {
    await using dir = await openRoot();
    writeTree(tmp.at('root'), { 'a/b/c/file': 'x', 'a/other': 'x' });
    await dir.removePath('a/b/c/file');
    await dir.removePath('sub/deep/file');
    expect(Object.keys(treeOf(tmp.at('root'))).sort()).toEqual(['a', 'a/other', 'file', 'filelink', 'link']);
    expect(await failure(dir.removePath('link/file'))).toMatch(/ENOTDIR|ELOOP/);
    expect(readFileSync(tmp.at('canary', 'file'), 'utf8')).toBe('canary');
  });

  test('takes names as bytes', async () => {
    await using dir = await openRoot();
    const name = Buffer.from([0x61, 0xff, 0x62]);
    await using file = await dir.createFile(name, 0o644);
    await file.writeFile('x');
    expect((await dir.list()).some((entry) => entry.equals(name))).toBe(true);
    await dir.removeTree(name);
    expect((await dir.list()).some((entry) => entry.equals(name))).toBe(false);
  });

  test.runIf(existsSync('/dev/shm'))('knows whether it is in memory only', async () => {
    await using memory = await Dir.open('/dev/shm');
    await using kernel = await Dir.open('/proc');
    expect([await memory.isInMemory(), await kernel.isInMemory()]).toEqual([true, false]);
  });

  test('knows whether a file given by path lies in it', async () => {
    await using dir = await openRoot();
    expect(await dir.locateInside(tmp.at('root', 'sub', 'deep', 'file'))).toEqual(['sub/deep/file']);
    expect(await dir.locateInside(tmp.at('canary', 'file'))).toEqual([]);
    expect(await dir.locateInside(tmp.path)).toEqual([]);
    expect(await dir.locateInside(tmp.at('root', 'link', 'file'))).toEqual([]);
    writeFileSync(tmp.at('root', '..hidden'), 'x');
    expect(await dir.locateInside(tmp.at('root', '..hidden'))).toEqual(['..hidden']);
  });

  test('tells whether a name still leads to the directory that is open', async () => {
    await using dir = await openRoot();
    await using sub = await dir.openDir('sub');
    expect(await dir.holds('sub', sub)).toBe(true);
    renameSync(tmp.at('root', 'sub'), tmp.at('root', 'moved'));
    expect(await dir.holds('sub', sub)).toBe(false);
    mkdirSync(tmp.at('root', 'sub'));
    expect(await dir.holds('sub', sub)).toBe(false);
  });
});
