// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test, vi } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import { AppError } from '../../src/base/errors.ts';
import type { ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { createConnections } from '../../src/transfer/connections.ts';
import type { HttpObject, HttpTransport } from '../../src/transfer/http.ts';
import { runTask, type Task, type TaskDeps } from '../../src/transfer/task.ts';
import { readFrom } from '../support/bodies.ts';
import { scratch } from '../support/model.ts';

const MIB = 1024 * 1024;
const fileOf = (content: Buffer): ManifestFile => ({
  path: 'weights.bin' as ModelPath,
  algorithm: 'sha256',
  parts: [{ range: 'whole', digest: createHash('sha256').update(content).digest('hex') as HexDigest }],
});

function depsOf(overrides: Partial<TaskDeps> = {}): TaskDeps {
  return {
    http: undefined,
    connections: createConnections(1),
    buffers: [],
    mayBlock: false,
    signal: new AbortController().signal,
    relocate: () => Promise.reject(new Error('not asked to')),
    admit: async () => {},
    progress: () => {},
    ...overrides,
  };
}

function transportOf(body: () => AsyncIterable<Buffer>, totalBytes?: number): HttpTransport {
  const object = (): HttpObject => ({ status: 200, totalBytes, bodyBytes: totalBytes, read: readFrom(body), discard: async () => {} });
  return { open: async () => object(), close: async () => {}, [Symbol.asyncDispose]: async () => {} };
}

const http: Task['input'] = { kind: 'http', locator: { kind: 'http', url: 'http://h/', headers: {} } };

describe('a task', () => {
  test('copies a file while hashing it, and refuses other content', async () => {
    using tmp = scratch();
    const content = Buffer.alloc(3 * MIB + 5, 'content');
    writeFileSync(tmp.at('in'), content);
    await using input = await open(tmp.at('in'));
    await using out = await open(tmp.at('out'), 'w+');
    const task = { id: 1, input: { kind: 'fd', fd: input.fd }, outputFd: out.fd, maxFileBytes: 1e9 } as const;
    expect(await runTask({ ...task, file: fileOf(content) }, depsOf())).toEqual({
      kind: 'ok',
      sizeBytes: content.length,
      parts: fileOf(content).parts,
      facts: {},
    });
    expect(readFileSync(tmp.at('out')).equals(content)).toBe(true);
    await expect(runTask({ ...task, file: fileOf(Buffer.from('other')) }, depsOf())).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('refuses a file that somebody writes to meanwhile, right as its bytes may have been', async () => {
    using tmp = scratch();
    const content = Buffer.alloc(3 * MIB, 'content');
    writeFileSync(tmp.at('in'), content);
    await using input = await open(tmp.at('in'));
    let first = true;
    const progress = (): void => {
      if (first) writeFileSync(tmp.at('in'), content);
      first = false;
    };
    const task: Task = { id: 1, file: fileOf(content), input: { kind: 'fd', fd: input.fd }, maxFileBytes: 1e9 };
    await expect(runTask(task, depsOf({ progress }))).rejects.toMatchObject({ code: expect.stringMatching(/SOURCE_CHANGED|DIGEST_MISMATCH/) });
    first = true;
    const grow = (): void => {
      if (first) appendFileSync(tmp.at('in'), 'x');
      first = false;
    };
    await expect(runTask(task, depsOf({ progress: grow }))).rejects.toMatchObject({ code: expect.stringMatching(/SOURCE_CHANGED|DIGEST_MISMATCH/) });
  });

  test('asks for room once, before the first byte, and stops at the largest size allowed', async () => {
    const content = Buffer.alloc(1000, 'x');
    const body = async function* () {
      yield content;
    };
    const sizes: number[] = [];
    const admit = async (size: number): Promise<void> => void sizes.push(size);
    const task: Task = { id: 1, file: fileOf(content), input: http, maxFileBytes: 1000 };
    expect(await runTask(task, depsOf({ http: transportOf(body, 1000), admit }))).toMatchObject({ kind: 'ok', sizeBytes: 1000 });
    expect(sizes).toEqual([1000]);
    const refused = vi.fn(async () => {});
    await expect(runTask({ ...task, maxFileBytes: 999 }, depsOf({ http: transportOf(body, 1000), admit: refused }))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    await expect(runTask({ ...task, maxFileBytes: 999 }, depsOf({ http: transportOf(body), admit: refused }))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    expect(refused).not.toHaveBeenCalled();
    const full = (): Promise<void> => Promise.reject(new AppError('NO_SPACE', 'full'));
    await expect(runTask(task, depsOf({ http: transportOf(body, 1000), admit: full }))).rejects.toMatchObject({ code: 'NO_SPACE' });
  });

  test('gives a long object back unread where it was told to', async () => {
    let read = false;
    const body = async function* () {
      read = true;
      yield Buffer.alloc(1);
    };
    const outcome = await runTask(
      { id: 1, file: fileOf(Buffer.alloc(1)), input: http, maxFileBytes: 1e9 },
      depsOf({ http: transportOf(body, 101), keeps: (sizeBytes) => sizeBytes <= 100 }),
    );
    expect(outcome).toEqual({ kind: 'handOff', sizeBytes: 101 });
    expect(read).toBe(false);
  });

  test('refuses a length that the shards rule out before it reads', async () => {
    const file: ManifestFile = { ...fileOf(Buffer.alloc(10)), sizeBytes: 10 };
    const body = async function* () {
      yield Buffer.alloc(11);
    };
    await expect(runTask({ id: 1, file, input: http, maxFileBytes: 1e9 }, depsOf({ http: transportOf(body, 11) }))).rejects.toMatchObject({
      code: 'SIZE_MISMATCH',
    });
  });
});
