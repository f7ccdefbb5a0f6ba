// SPDX-License-Identifier: Apache-2.0
import { existsSync, fsyncSync, mkdirSync, readdirSync, readlinkSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Manifest, ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { openDestination } from '../../src/store/destination.ts';
import { Dir } from '../../src/store/dir.ts';
import { AT_ONCE, VIA_THREADS } from '../../src/store/fileCalls.ts';
import { completeTree, publish } from '../../src/store/publish.ts';
import { openStaging } from '../../src/store/staging.ts';
import { modesOf, type Scratch, scratch, treeFrom, treeOf, writeTree } from '../support/model.ts';

const MEMORY = '/dev/shm';
const PLACES = [['a disk', tmpdir()] as const, ...(existsSync(MEMORY) ? [['memory', MEMORY] as const] : [])];

let tmp: Scratch | undefined;
afterEach(() => {
  tmp?.[Symbol.dispose]();
  tmp = undefined;
});

const path = (name: string): ModelPath => name as ModelPath;
const fileOf = (name: string): ManifestFile => ({ path: path(name), algorithm: 'sha256', parts: [{ range: 'whole', digest: '' as never }] });

describe.each([
  ['by way of threads', VIA_THREADS],
  ['at once', AT_ONCE],
] as const)('calls for each file, %s', (_, calls) => {
  let dir: Dir;
  beforeEach(async () => {
    tmp = scratch();
    dir = await Dir.open(tmp.path);
  });
  afterEach(() => dir[Symbol.asyncDispose]());

  test('make a file that was not there, set its mode, move and close it', async () => {
    const fd = await dir.createDescriptor('new', 0o600, calls);
    writeSync(fd, 'content');
    await calls.fchmod(fd, 0o640);
    expect(((await calls.fstat(fd)).mode & 0o7777).toString(8)).toBe('640');
    await calls.fsync(fd);
    await dir.moveTo('new', dir, 'final', calls);
    await calls.close(fd);
    expect(treeOf(dir.display)).toEqual(treeFrom({ final: 'content' }));
    expect(() => fsyncSync(fd)).toThrow('EBADF');
  });

  test('refuse what is there already, whatever it is, and what is not there', async () => {
    writeTree(dir.display, { file: 'theirs' });
    mkdirSync(`${dir.display}/dir`);
    for (const name of ['file', 'dir']) await expect(dir.createDescriptor(name, 0o600, calls)).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(dir.moveTo('missing', dir, 'file', calls)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(dir.moveTo('file', dir, 'dir', calls)).rejects.toMatchObject({ code: 'EISDIR' });
    expect(treeOf(dir.display)).toMatchObject(treeFrom({ file: 'theirs' }));
  });
});

describe.each(PLACES)('staging on %s', (_, below) => {
  const openHere = (): readonly string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        return target.startsWith(tmp?.path ?? '/') ? [target] : [];
      } catch {
        return [];
      }
    });

  test('gives files their names only when they are verified, with one mode, and closes them either way', async () => {
    tmp = scratch(below);
    const before = process.umask(0o077);
    try {
      await using destination = await openDestination(tmp.at('models'));
      await using staging = await openStaging(destination);
      expect(staging.calls).toBe(below === MEMORY ? AT_ONCE : VIA_THREADS);
      const [good, bad] = [await staging.create(path('sub/good')), await staging.create(path('bad'))];
      for (const { fd } of [good, bad]) writeSync(fd, 'x');
      expect(await staging.tree.list()).toEqual([]);
      await Promise.all([good.settle('verified'), bad.settle('failed')]);
      expect(modesOf(tmp.at(staging.name, 'tree'))).toEqual(expect.objectContaining({ sub: '755', 'sub/good': '644' }));
      expect(treeOf(tmp.at(staging.name, 'part'))).toEqual({});
      expect(openHere().filter((target) => statSync(target, { throwIfNoEntry: false })?.isDirectory() !== true)).toEqual([tmp.at(staging.name, 'owner')]);
    } finally {
      process.umask(before);
    }
    expect(openHere()).toEqual([]);
  });

  test('is published file by file into a directory that cannot be replaced, over empty directories, the bundle last', async () => {
    tmp = scratch(below);
    writeTree(tmp.at('models'), { 'a/old.bin': 'stays' });
    mkdirSync(tmp.at('models', 'b.bin'));
    await using destination = await openDestination(tmp.at('models'));
    await using staging = await openStaging(destination);
    const names = ['a/x.bin', 'b.bin', 'c/d/e.bin'];
    for (const name of names) {
      const file = await staging.create(path(name));
      writeSync(file.fd, name);
      await file.settle('verified');
    }
    await staging.write('model.sig', Buffer.from('bundle'));
    const moved = vi.spyOn(Dir.prototype, 'moveTo');
    try {
      await publish(completeTree({} as Manifest, names.map(fileOf), { staged: names.map(fileOf), kept: [] }), destination, staging, {
        prune: [],
        bundleName: 'model.sig',
        way: 'fill',
      });
      expect(moved.mock.calls.at(-1)?.[0]).toBe('model.sig');
    } finally {
      vi.restoreAllMocks();
    }
    expect(Object.keys(treeOf(tmp.at('models'))).sort()).toEqual(['a', 'a/old.bin', 'a/x.bin', 'b.bin', 'c', 'c/d', 'c/d/e.bin', 'model.sig']);
  });

  test('says what could not be done: a file that nobody can make, a name that is taken', async () => {
    tmp = scratch(below);
    await using destination = await openDestination(tmp.at('models'));
    await using staging = await openStaging(destination);
    writeTree(tmp.at(staging.name, 'tree'), { 'taken/by': 'a directory that is not empty' });
    const file = await staging.create(path('taken'));
    await expect(file.settle('verified')).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('staging taken') });
    writeTree(tmp.at(staging.name, 'part'), { '2': 'somebody else was here' });
    await expect(staging.create(path('next'))).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('creating next') });
  });
});
