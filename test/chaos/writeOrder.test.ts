// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { readTrace } from './trace.ts';
import { findUnsafeWrites } from './writeOrder.ts';

const create = '7 openat(AT_FDCWD, "/proc/self/fd/3/1", O_RDWR|O_CREAT|O_EXCL, 0600) = 5</v/.model-gate-h/part/1>';
const write = '7 pwrite64(5</v/.model-gate-h/part/1>, ""..., 9, 0) = 9';
const sync = '7 fsync(5</v/.model-gate-h/part/1>) = 0';
const open = ['7 openat(AT_FDCWD, "/v/.model-gate-h/part", O_RDONLY) = 3</v/.model-gate-h/part>', '7 openat(AT_FDCWD, "/v", O_RDONLY) = 4</v>'];
const rename = '7 rename("/proc/self/fd/3/1", "/proc/self/fd/4/w.bin") = 0';
const syncDir = '7 fsync(4</v>) = 0';

const unsafe = (...lines: readonly string[]): readonly string[] => findUnsafeWrites(readTrace([...open, ...lines].join('\n')), '/v', 'model.sig');

describe('the order of writes', () => {
  test('is safe when a file is synced, then named, and its directory synced', () => {
    expect(unsafe(create, write, sync, rename, syncDir)).toEqual([]);
  });

  test('is unsafe when a file gets its name without a sync, or with one before its last write', () => {
    const problem = '/v/.model-gate-h/part/1 got the name /v/w.bin before it was synced';
    expect(unsafe(create, write, rename, syncDir)).toEqual([problem]);
    expect(unsafe(create, sync, write, rename, syncDir)).toEqual([problem]);
  });

  test('is unsafe when the sync failed, was still running, or began before the write had ended', () => {
    const problem = '/v/.model-gate-h/part/1 got the name /v/w.bin before it was synced';
    expect(unsafe(create, write, '7 fsync(5</v/.model-gate-h/part/1>) = -1 EIO (Input/output error)', rename, syncDir)).toEqual([problem]);
    const [begun, done] = ['8 fsync(5</v/.model-gate-h/part/1> <unfinished ...>', '8 <... fsync resumed>) = 0'];
    expect(unsafe(create, write, begun, `${rename.replace(') = 0', ' <unfinished ...>')}`, done, '7 <... rename resumed>) = 0', syncDir)).toEqual([problem]);
    expect(unsafe(create, begun, write, done, rename, syncDir)).toEqual([problem]);
  });

  test('is unsafe when the directory is not synced after the entry was made', () => {
    expect(unsafe(create, write, sync, syncDir, rename)).toEqual(['the entries of /v were never synced']);
  });

  test('is unsafe when a directory is named before what is in it was synced', () => {
    const inTree = ['7 mkdir("/v/.model-gate-h/tree/a", 0755) = 0', '7 rename("/v/.model-gate-h/tree", "/v/models") = 0', syncDir];
    expect(unsafe(...inTree)).toEqual(['/v/.model-gate-h/tree got the name /v/models before it was synced']);
  });

  test('is unsafe when the bundle gets its name before the other entries are there for good', () => {
    const bundle = [create, write, sync, '7 rename("/proc/self/fd/3/1", "/proc/self/fd/4/model.sig") = 0', syncDir];
    expect(unsafe('7 mkdir("/v/a", 0755) = 0', ...bundle)).toEqual(['the bundle got its name before the entries of /v were synced']);
    expect(unsafe('7 mkdir("/v/a", 0755) = 0', syncDir, ...bundle)).toEqual([]);
  });
});
