// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import { AppError } from '../../src/base/errors.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import type { Executor, TaskHooks } from '../../src/transfer/executor.ts';
import { createWorkerExecutor } from '../../src/transfer/pool.ts';
import type { Task } from '../../src/transfer/task.ts';
import { startHttpServer, type TestServer } from '../servers/httpServer.ts';
import { type Scratch, scratch } from '../support/model.ts';

const content = randomBytes(20 * 1024 * 1024);
const small = randomBytes(1024 * 1024);
const settings = { http: { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 10_000 }, connections: 4 };

let tmp: Scratch;
let server: TestServer;
let abort: AbortController;
let worker: Executor;
beforeAll(async () => {
  tmp = scratch();
  server = await startHttpServer({ files: { '/big': content, '/small': small } });
  abort = new AbortController();
  worker = createWorkerExecutor(settings, abort.signal);
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

let ids = 0;
function taskOf(outputFd: number, signed = content, name = 'big'): Task {
  const digest = createHash('sha256').update(signed).digest('hex') as HexDigest;
  return {
    id: ++ids,
    file: { path: 'big' as ModelPath, algorithm: 'sha256', parts: [{ range: 'whole', digest }] },
    input: { kind: 'http', locator: { kind: 'http', url: `${server.origin}/${name}`, headers: {} } },
    outputFd,
    maxFileBytes: 1e9,
  };
}

const hooksOf = (overrides: Partial<TaskHooks> = {}): TaskHooks => ({
  progress: () => {},
  admit: async () => {},
  relocate: async () => ({ kind: 'http', url: `${server.origin}/big`, headers: {} }),
  ...overrides,
});

// One worker for all: starting one costs more than the tests. The abort comes last.
describe('a worker thread', () => {
  test('fetches into the descriptor it is given, asks for room, tells progress, and asks for a fresh address', async () => {
    await using out = await open(tmp.at('out'), 'w+');
    server.next('/big', { kind: 'status', status: 503 });
    let [bytes, admitted, relocated] = [0, 0, 0];
    const hooks = hooksOf({
      progress(count) {
        bytes += count;
      },
      async admit(size) {
        admitted = size;
      },
      async relocate() {
        relocated++;
        return { kind: 'http', url: `${server.origin}/big`, headers: {} };
      },
    });
    expect(await worker.run(taskOf(out.fd), hooks)).toMatchObject({ kind: 'ok', sizeBytes: content.length });
    expect(readFileSync(tmp.at('out')).equals(content)).toBe(true);
    expect([bytes, admitted, relocated]).toEqual([content.length, content.length, 1]);
  });

  test('hands over failures of its own and of those it asks, with code and context', async () => {
    await using out = await open(tmp.at('failed'), 'w+');
    await expect(worker.run(taskOf(out.fd, Buffer.from('other')), hooksOf())).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', context: { path: 'big' } });
    const full = hooksOf({ admit: () => Promise.reject(new AppError('NO_SPACE', 'full')) });
    await expect(worker.run(taskOf(out.fd), full)).rejects.toMatchObject({ code: 'NO_SPACE', message: 'full' });
    expect(worker.running).toBe(0);
  });

  test('goes on with a small file while it is being found out whether there is room, and fails when there is none', async () => {
    const tell = Promise.withResolvers<void>();
    let told = 0;
    let arrived = 0;
    const hooks = hooksOf({
      admit(size) {
        told = size;
        return tell.promise;
      },
      progress(count) {
        arrived += count;
        tell.reject(new AppError('NO_SPACE', 'full'));
      },
    });
    await using out = await open(tmp.at('small'), 'w+');
    await expect(worker.run(taskOf(out.fd, small, 'small'), hooks)).rejects.toMatchObject({ code: 'NO_SPACE', message: 'full' });
    // All of it was there before anybody said anything: the descriptor is not in use any more.
    expect([told, arrived, worker.running]).toEqual([small.length, small.length, 0]);
    const full = hooksOf({ admit: () => Promise.reject(new AppError('NO_SPACE', 'full')) });
    await expect(worker.run(taskOf(out.fd, content, 'small'), full)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('stops its tasks on abort, one by one', async () => {
    await using out = await open(tmp.at('aborted'), 'w+');
    server.always('/big', { kind: 'stall', bytes: 1000 });
    const running = worker.run(
      taskOf(out.fd),
      hooksOf({ progress: () => abort.abort(new AppError('CANCELLED', 'stopped')), admit: async () => abort.abort() }),
    );
    await expect(running).rejects.toBeDefined();
    expect(worker.running).toBe(0);
  });

  test('that has ended refuses further tasks instead of leaving them without an answer', async () => {
    const ended = createWorkerExecutor(settings, new AbortController().signal);
    await ended[Symbol.asyncDispose]();
    await using out = await open(tmp.at('late'), 'w+');
    await expect(ended.run(taskOf(out.fd), hooksOf())).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
