// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import { readSmall, readSmallFile } from '../../src/transfer/fetchSmall.ts';
import { BESIDE_FILES, MODEL_FILES, SETTINGS, sourceContract } from './contract.ts';
import { codeOf, failureOf } from './errors.ts';

const signal = new AbortController().signal;
let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'model-gate-'));
  const files = { ...BESIDE_FILES, ...Object.fromEntries(Object.entries(MODEL_FILES).map(([name, body]) => [`model/${name}`, body])) };
  for (const [name, body] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), body);
  }
});

afterEach(() => rm(root, { recursive: true }));

const open = (uri: string) => openSource(parseSourceUri(uri, root), SETTINGS, {});

sourceContract('file', async () => ({
  directory: parseSourceUri(`${root}/model/`, '/'),
  single: parseSourceUri(`file://${root}/single.bin`, '/'),
  async [Symbol.asyncDispose]() {},
}));

describe('a path of this machine', () => {
  test('that does not exist is MODEL_NOT_FOUND', async () => {
    expect(await codeOf(open(`${root}/absent`))).toBe('MODEL_NOT_FOUND');
    expect(await codeOf(open(`${root}/single.bin/below`))).toBe('MODEL_NOT_FOUND');
  });

  test.each(['link', 'link/', './link//'])('that is a symbolic link is refused, also written %s', async (name) => {
    await symlink(join(root, 'model'), join(root, 'link'));
    expect(await codeOf(open(`${root}/${name}`))).toBe('FILE_TYPE');
  });

  test('may lead through a link: only the model itself must not be one', async () => {
    await symlink(root, join(root, 'up'));
    expect((await open(`${root}/up/model`)).shape).toBe('directory');
  });

  test('that is a FIFO is refused', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')]);
    expect(await codeOf(open(`${root}/fifo`))).toBe('FILE_TYPE');
  });
});

describe('a claim', () => {
  test('is looked for below the root of claims', async () => {
    const source = await open('pvc://model/deep');
    expect(source).toMatchObject({ shape: 'directory', displayUri: join(root, 'model/deep') });
  });

  test('that is not mounted is told from a model that is not in it', async () => {
    const unmounted = await failureOf(open('pvc://other/other/v1'));
    expect(unmounted.code).toBe('MODEL_NOT_FOUND');
    expect(unmounted.message).toBe(`claim 'other' is not mounted (expected at ${join(root, 'other')})`);
    const absent = await failureOf(open('pvc://model/v1'));
    expect(absent).toMatchObject({ code: 'MODEL_NOT_FOUND', message: `there is no model at '${join(root, 'model/v1')}'` });
  });
});

describe('a small file', () => {
  const readInside = async (path: string) => {
    const source = await open(`${root}/model`);
    return readSmall(source.http, await source.locate({ kind: 'inside', path }, signal), 1000, signal);
  };

  test('that is a link is refused in a model, and followed where the caller says so', async () => {
    await symlink('config.json', join(root, 'model/model.sig'));
    expect(await codeOf(readInside('model.sig'))).toBe('FILE_TYPE');
    expect((await readSmallFile(join(root, 'model/model.sig'), 1000, 'follow')).toString()).toBe('{}');
  });

  test('that is a FIFO or a directory is refused without waiting', async () => {
    execFileSync('mkfifo', [join(root, 'model/model.sig')]);
    expect(await codeOf(readInside('model.sig'))).toBe('FILE_TYPE');
    expect(await codeOf(readInside('deep'))).toBe('FILE_TYPE');
  });

  test('that claims no length is still capped', async () => {
    expect(await codeOf(readSmallFile('/proc/self/maps', 100, 'refuse'))).toBe('LIMIT_EXCEEDED');
  });
});
