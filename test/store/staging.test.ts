// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, symlinkSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Manifest, ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { type Destination, openDestination } from '../../src/store/destination.ts';
import { Dir } from '../../src/store/dir.ts';
import { alone } from '../../src/store/lock.ts';
import { claim } from '../../src/store/owner.ts';
import { completeTree, publish } from '../../src/store/publish.ts';
import { openStaging, type Staging } from '../../src/store/staging.ts';
import { leftovers, modesOf, type Scratch, scratch, snapshot, treeFrom, treeOf, writeTree } from '../support/model.ts';

let tmp: Scratch;
let destination: Destination;
const path = (name: string): ModelPath => name as ModelPath;
const fileOf = (name: string): ManifestFile => ({ path: path(name), algorithm: 'sha256', parts: [{ range: 'whole', digest: '' as never }] });

beforeEach(async () => {
  tmp = scratch();
  destination = await openDestination(tmp.at('models'));
});
afterEach(async () => {
  await destination[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

async function stage(staging: Staging, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = await staging.create(path(name));
    writeSync(file.fd, content);
    await file.settle('verified');
  }
}

const complete = (names: readonly string[], kept: readonly string[] = []) => {
  const wanted = [...names, ...kept].map(fileOf);
  return completeTree({} as Manifest, wanted, { staged: names.map(fileOf), kept: kept.map(fileOf) });
};

/** A process of this machine that is certainly gone. */
async function deadOwner(): Promise<string> {
  const child = spawn('/bin/true');
  await once(child, 'exit');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return JSON.stringify({ boot, pidNamespace: readlinkSync('/proc/self/ns/pid'), pid: child.pid, startTime: '1' });
}

test('a scratch file has no name, can be read again, and leaves nothing behind', async () => {
  await using staging = await openStaging(destination);
  const before = treeOf(tmp.path);
  await using file = await staging.scratch();
  await file.write('archive', 0);
  expect((await file.read(Buffer.alloc(7), 0, 7, 0)).buffer.toString()).toBe('archive');
  expect(treeOf(tmp.path)).toEqual(before);
});

describe('a destination', () => {
  test('is renamed as a whole where its parent can be written; missing parents are made', async () => {
    await using deep = await openDestination(tmp.at('a', 'b', 'models'));
    expect(deep).toMatchObject({ strategy: 'rename', name: 'models' });
    expect(modesOf(tmp.path)).toMatchObject({ a: '755', 'a/b': '755' });
  });

  test('keeps the modes of parents that were there', async () => {
    mkdirSync(tmp.at('private'));
    chmodSync(tmp.at('private'), 0o711);
    await using _ = await openDestination(tmp.at('private', 'models'));
    expect(modesOf(tmp.path)['private']).toBe('711');
  });

  test('is reached through links among its parents once, and by descriptor from then on', async () => {
    mkdirSync(tmp.at('real'));
    symlinkSync('real', tmp.at('link'));
    await using linked = await openDestination(tmp.at('link', 'models'));
    expect(linked.path).toBe(tmp.at('real', 'models'));
  });

  test('cannot be the root directory, a file, or a link', async () => {
    await expect(openDestination('/')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    writeFileSync(tmp.at('file'), '');
    symlinkSync('file', tmp.at('filelink'));
    for (const name of ['file', 'filelink']) await expect(openDestination(tmp.at(name))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(openDestination(tmp.at('file', 'x'))).rejects.toMatchObject({ code: 'IO' });
  });
});

describe('staging', () => {
  test('is a private directory beside the destination, and gone when it is disposed', async () => {
    {
      await using staging = await openStaging(destination);
      await stage(staging, { 'a/b': 'x' });
      expect(leftovers(tmp.path)).toEqual([staging.name]);
      expect(modesOf(tmp.path)[staging.name]).toBe('700');
    }
    expect(readdirSync(tmp.path)).toEqual([]);
  });

  test('gives a file its name only when it is verified', async () => {
    await using staging = await openStaging(destination);
    const [good, bad] = [await staging.create(path('good')), await staging.create(path('bad'))];
    writeSync(good.fd, 'x');
    writeSync(bad.fd, 'x');
    expect((await staging.tree.list()).length).toBe(0);
    await good.settle('verified');
    await bad.settle('failed');
    expect((await staging.tree.list()).map(String)).toEqual(['good']);
    expect(treeOf(`${tmp.path}/${staging.name}/part`)).toEqual({});
  });

  test('gives all files the same mode, whatever the umask leaves of that of a new one', async () => {
    const before = process.umask(0o077);
    try {
      await using staging = await openStaging(destination);
      await stage(staging, { first: 'x', 'sub/second': 'x', third: 'x' });
      expect(modesOf(tmp.at(staging.name, 'tree'))).toMatchObject({ first: '644', 'sub/second': '644', third: '644' });
    } finally {
      process.umask(before);
    }
  });

  test('is kept on request, without what was still arriving, and found again', async () => {
    {
      await using staging = await openStaging(destination);
      await stage(staging, { kept: 'x' });
      writeFileSync(tmp.at(staging.name, 'part', '1'), 'arriving');
      staging.keepOnDispose(true);
    }
    const [name = ''] = leftovers(tmp.path);
    expect(Object.keys(treeOf(tmp.at(name)))).toEqual(['tree', 'tree/kept']);
    await using again = await openStaging(destination);
    expect([again.name, (await again.tree.list()).map(String)]).toEqual([name, ['kept']]);
  });

  test('of a living process is left alone: the next one gets a directory of its own', async () => {
    await using first = await openStaging(destination);
    await using second = await openStaging(destination);
    expect(second.name).toBe(`${first.name}-2`);
  });

  test('is removed although a process that came too late marks the directory once more', async () => {
    const staging = await openStaging(destination);
    await using late = await Dir.open(tmp.at(staging.name));
    const original = Dir.prototype.removeTree;
    let marked = false;
    vi.spyOn(Dir.prototype, 'removeTree').mockImplementation(async function (this: Dir, name) {
      await original.call(this, name);
      // The owner's mark is gone, the directory is not yet: exactly then the other one makes its own, and takes it back on seeing the move.
      if (String(name) !== 'owner' || marked) return;
      marked = true;
      const owner = await claim(late);
      setTimeout(() => void owner?.[Symbol.asyncDispose](), 30);
    });
    try {
      await staging[Symbol.asyncDispose]();
    } finally {
      vi.restoreAllMocks();
    }
    expect([marked, leftovers(tmp.path)]).toEqual([true, []]);
  });

  test('of another destination has another name', async () => {
    await using other = await openDestination(tmp.at('other'));
    await using first = await openStaging(destination);
    await using second = await openStaging(other);
    expect(second.name).not.toContain(first.name);
  });

  test('of a dead process is taken over at once', async () => {
    let name = '';
    {
      await using staging = await openStaging(destination);
      await stage(staging, { kept: 'x' });
      name = staging.name;
      staging.keepOnDispose(true);
    }
    writeFileSync(tmp.at(name, 'owner'), await deadOwner(), { mode: 0o600 });
    const start = performance.now();
    await using again = await openStaging(destination);
    expect([again.name, performance.now() - start < 2000]).toEqual([name, true]);
  });

  test('of a process whose PID belongs to another one now is taken over too', async () => {
    mkdirSync(tmp.at('claimed'), { mode: 0o700 });
    const dead = JSON.parse(await deadOwner()) as Record<string, unknown>;
    writeFileSync(tmp.at('claimed', 'owner'), JSON.stringify({ ...dead, pid: process.pid, startTime: '1' }));
    await using dir = await Dir.open(tmp.at('claimed'));
    await using owner = await claim(dir);
    expect(owner).toBeDefined();
  });

  test('of a process in another container is taken over when its heartbeat has stopped', async () => {
    mkdirSync(tmp.at('claimed'), { mode: 0o700 });
    writeFileSync(tmp.at('claimed', 'owner'), JSON.stringify({ boot: 'another', pidNamespace: 'pid:[1]', pid: 1, startTime: '1' }));
    const then = new Date(Date.now() - 60_000);
    utimesSync(tmp.at('claimed', 'owner'), then, then);
    await using dir = await Dir.open(tmp.at('claimed'));
    await using owner = await claim(dir);
    expect(owner).toBeDefined();
  });

  test('is taken over by one of several only', async () => {
    mkdirSync(tmp.at('claimed'), { mode: 0o700 });
    writeFileSync(tmp.at('claimed', 'owner'), await deadOwner());
    await using dir = await Dir.open(tmp.at('claimed'));
    const claims = await Promise.all(Array.from({ length: 8 }, () => claim(dir)));
    const owners = claims.filter((owner) => owner !== undefined);
    expect(owners.length).toBe(1);
    for (const owner of owners) await owner[Symbol.asyncDispose]();
  });

  test('shows a heartbeat while it is in use', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await using staging = await openStaging(destination);
      const owner = tmp.at(staging.name, 'owner');
      const then = new Date(Date.now() - 3_600_000);
      utimesSync(owner, then, then);
      vi.advanceTimersByTime(2500);
      await vi.waitFor(() => expect(snapshot(owner.slice(0, -'/owner'.length)).length).toBeGreaterThan(0));
      await vi.waitFor(async () => {
        await using dir = await Dir.open(tmp.at(staging.name));
        expect(Date.now() - (await dir.lstat('owner')).mtimeMs).toBeLessThan(60_000);
      });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('publishing', () => {
  test('puts a new tree in place as a whole', async () => {
    await using staging = await openStaging(destination);
    await stage(staging, { 'a/b': 'x', c: 'y' });
    await publish(complete(['a/b', 'c']), destination, staging, { prune: [], way: 'fill' });
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ 'a/b': 'x', c: 'y' }));
  });

  test('does not take the place of a tree that appeared meanwhile', async () => {
    await using staging = await openStaging(destination);
    await stage(staging, { a: 'ours' });
    const rename = staging.root.moveTo.bind(staging.root);
    vi.spyOn(staging.root, 'moveTo').mockImplementationOnce((...args) => {
      writeTree(tmp.at('models'), { b: 'theirs' });
      return rename(...args);
    });
    await expect(publish(complete(['a']), destination, staging, { prune: [], way: 'fill' })).rejects.toMatchObject({ code: 'DESTINATION_DIFFERS' });
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ b: 'theirs' }));
  });

  test('swaps whole trees and removes the old one', async () => {
    writeTree(tmp.at('models'), { a: 'old', stale: 'old' });
    await using staging = await openStaging(destination);
    await stage(staging, { a: 'new' });
    await publish(complete(['a']), destination, staging, { prune: [], way: 'swap' });
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ a: 'new' }));
    expect(treeOf(tmp.at(staging.name))).toEqual({ owner: expect.anything(), part: 'directory' });
  });

  test('fills in what is missing beside what is kept, and prunes first what stands in the way', async () => {
    writeTree(tmp.at('models'), { kept: 'kept', 'sub/mine': 'x', 'other/x': 'x' });
    symlinkSync('/etc', tmp.at('models', 'dir'));
    await using staging = await openStaging(destination);
    await stage(staging, { sub: 'a file', 'dir/new': 'x' });
    await publish(complete(['sub', 'dir/new'], ['kept']), destination, staging, { prune: ['sub/mine', 'dir', 'other/x'], way: 'fill' });
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ kept: 'kept', sub: 'a file', 'dir/new': 'x' }));
  });

  test('of many files moves no more of them after one could not be moved, and ends when none is under way', async () => {
    const names = Array.from({ length: 100 }, (_, n) => `file-${n}`);
    writeTree(tmp.at('models'), { 'file-20/full': 'x' });
    await using staging = await openStaging(destination);
    await stage(staging, Object.fromEntries(names.map((name) => [name, 'x'])));
    await expect(publish(complete(names), destination, staging, { prune: [], way: 'fill' })).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    const moved = readdirSync(tmp.at('models')).length;
    expect(moved).toBeLessThan(40);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(readdirSync(tmp.at('models')).length).toBe(moved);
  });

  test('of less than every wanted file is a defect, not a model', () => {
    expect(() => completeTree({} as Manifest, [fileOf('a'), fileOf('b')], { staged: [fileOf('a')], kept: [] })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
  });

  test('never writes through a link planted among the directories', async () => {
    writeTree(tmp.at('canary'), { file: 'canary' });
    writeTree(tmp.at('models'), { kept: 'x' });
    symlinkSync('../canary', tmp.at('models', 'sub'));
    await using staging = await openStaging(destination);
    await stage(staging, { 'sub/file': 'ours' });
    await expect(publish(complete(['sub/file'], ['kept']), destination, staging, { prune: [], way: 'fill' })).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    expect(readFileSync(tmp.at('canary', 'file'), 'utf8')).toBe('canary');
  });
});

describe('a start that died while two trees changed places', () => {
  async function died(between: 'first and second rename' | 'second rename and removal'): Promise<void> {
    writeTree(tmp.at('models'), { a: 'old' });
    let name = '';
    {
      await using staging = await openStaging(destination);
      await stage(staging, { a: 'new' });
      name = staging.name;
      staging.keepOnDispose(true);
    }
    renameSync(tmp.at('models'), tmp.at(name, 'old'));
    if (between === 'second rename and removal') renameSync(tmp.at(name, 'tree'), tmp.at('models'));
    writeFileSync(tmp.at(name, 'owner'), await deadOwner());
  }

  test('before the new one was in place: the old one goes back', async () => {
    await died('first and second rename');
    await using staging = await openStaging(destination);
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ a: 'old' }));
    expect((await staging.tree.list()).map(String)).toEqual(['a']);
  });

  test('after that: the old one goes away', async () => {
    await died('second rename and removal');
    await using staging = await openStaging(destination);
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom({ a: 'new' }));
    expect(treeOf(tmp.at(staging.name))['old']).toBeUndefined();
  });
});

describe('the lock for publishing', () => {
  const signal = new AbortController().signal;

  test('lets one in at a time, and leaves nothing behind', async () => {
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 6 }, () =>
        alone(destination, signal, async () => {
          most = Math.max(most, ++inside);
          await new Promise((turn) => setImmediate(turn));
          inside--;
        }),
      ),
    );
    expect([most, leftovers(tmp.path)]).toEqual([1, []]);
  });

  test('of a dead process is taken over', async () => {
    let name = '';
    await alone(destination, signal, async () => {
      name = leftovers(tmp.path)[0] ?? '';
    });
    mkdirSync(tmp.at(name), { mode: 0o700 });
    writeFileSync(tmp.at(name, 'owner'), await deadOwner());
    expect(await alone(destination, signal, async () => 'done')).toBe('done');
  });

  test('is given back when the work fails', async () => {
    await expect(alone(destination, signal, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(leftovers(tmp.path)).toEqual([]);
  });

  test('is not waited for after an abort', async () => {
    const abort = new AbortController();
    await alone(destination, signal, async () => {
      const waiting = alone(destination, abort.signal, async () => 'in');
      abort.abort();
      await expect(waiting).rejects.toBeDefined();
    });
  });
});
