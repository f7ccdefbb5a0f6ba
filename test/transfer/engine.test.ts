// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import { AppError } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { type Job, type TransferDeps, transfer } from '../../src/transfer/engine.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { scratch } from '../support/model.ts';

const HTTP = { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 2000 };

function depsOf(events: Event[] = [], overrides: Partial<TransferDeps> = {}): TransferDeps {
  return {
    budget: { connections: 4, workers: 0 },
    http: HTTP,
    maxFileBytes: 1e9,
    emit: (event) => void events.push(event),
    signal: new AbortController().signal,
    ...overrides,
  };
}

const fileOf = (name: string, content: Buffer | string) => ({
  path: name as ModelPath,
  algorithm: 'sha256' as const,
  parts: [{ range: 'whole' as const, digest: createHash('sha256').update(content).digest('hex') as HexDigest }] as const,
});

describe('the engine', () => {
  test('of several failures throws the gravest and stops the rest', async () => {
    const never = new Promise<never>(() => {});
    const failing = (name: string, error: AppError): Job => ({
      file: fileOf(name, ''),
      origin: 'kept',
      input: { kind: 'file', open: () => Promise.reject(error) },
    });
    let started = 0;
    const later: Job = {
      file: fileOf('later', ''),
      origin: 'kept',
      input: {
        kind: 'file',
        open() {
          started++;
          return never;
        },
      },
    };
    const { http: _, ...local } = depsOf();
    const jobs = [failing('a', new AppError('NO_SPACE', 'full')), failing('b', new AppError('FILE_TYPE', 'a link')), later];
    await expect(transfer(jobs, local)).rejects.toMatchObject({ code: expect.stringMatching(/FILE_TYPE|NO_SPACE/) });
    expect(started).toBe(0);
  });

  test('throws the reason of the caller’s abort, whatever failed because of it', async () => {
    await using server = await startHttpServer({ files: { '/f': 'x' } });
    server.always('/f', { kind: 'silence' });
    const abort = new AbortController();
    const job: Job = {
      file: fileOf('f', 'x'),
      origin: 'fetched',
      input: { kind: 'http', locate: async () => ({ kind: 'http', url: `${server.origin}/f`, headers: {} }) },
    };
    const running = transfer([job], depsOf([], { signal: abort.signal }));
    abort.abort(new AppError('CANCELLED', 'stopped'));
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('takes bytes back from the progress when a file is fetched once more, and settles every output exactly once', async () => {
    await using server = await startHttpServer({ files: { '/f': 'wrong' } });
    const events: Event[] = [];
    const settled: string[] = [];
    using tmp = scratch();
    const job: Job = {
      file: fileOf('f', 'right'),
      origin: 'fetched',
      input: {
        kind: 'http',
        async locate() {
          if (settled.length === 1) server.files.set('/f', Buffer.from('right'));
          return { kind: 'http', url: `${server.origin}/f`, headers: {} };
        },
      },
      async output() {
        const file = await open(tmp.at(`out${settled.length}`), 'w+');
        return {
          fd: file.fd,
          async settle(result) {
            settled.push(result);
            await file.close();
          },
        };
      },
    };
    const results = await transfer([job], depsOf(events));
    expect(results).toMatchObject([{ origin: 'fetched', sizeBytes: 5 }]);
    expect(settled).toEqual(['failed', 'verified']);
    expect(events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.bytes : 0), 0)).toBe(5);
    expect(events.filter(({ kind }) => kind === 'fileRetried').length).toBe(1);
  });

  test('skips candidates that are wrong, and those only', async () => {
    using tmp = scratch();
    writeFileSync(tmp.at('right'), 'right');
    writeFileSync(tmp.at('wrong'), 'wrong');
    const candidate = (name: string): Job => ({
      file: fileOf(name, 'right'),
      origin: 'kept',
      input: { kind: 'file', open: () => open(tmp.at(name)) },
    });
    const gone: Job = { ...candidate('gone'), input: { kind: 'file', open: () => Promise.reject(new AppError('SOURCE_CHANGED', 'gone')) } };
    const { http: _, ...local } = depsOf([], { mismatch: 'skip' });
    expect((await transfer([candidate('right'), candidate('wrong'), gone], local)).map(({ file }) => file.path)).toEqual(['right']);
    const special: Job = { ...candidate('x'), input: { kind: 'file', open: () => Promise.reject(new AppError('IO', 'broken disk')) } };
    await expect(transfer([candidate('right'), special], local)).rejects.toMatchObject({ code: 'IO' });
  });

  test('never has more files in flight than connections', async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`/${i}`, `content ${i}`]));
    await using server = await startHttpServer({ files });
    let running = 0;
    let most = 0;
    const jobs = Object.entries(files).map(
      ([path, content]): Job => ({
        file: fileOf(path.slice(1), content),
        origin: 'fetched',
        input: { kind: 'http', locate: async () => ({ kind: 'http', url: `${server.origin}${path}`, headers: {} }) },
        async output() {
          most = Math.max(most, ++running);
          const file = await open('/dev/null', 'w');
          return {
            fd: file.fd,
            async settle() {
              running--;
              await file.close();
            },
          };
        },
      }),
    );
    expect((await transfer(jobs, depsOf())).length).toBe(30);
    expect([most <= 4, running]).toEqual([true, 0]);
  });

  test('hands an object of more than 128 MiB to a worker thread, once', async () => {
    using tmp = scratch();
    const content = Buffer.alloc(129 * 1024 * 1024, 'long');
    await using server = await startHttpServer({ files: { '/long': content } });
    const events: Event[] = [];
    const settled: string[] = [];
    const job: Job = {
      file: fileOf('long', content),
      origin: 'fetched',
      input: { kind: 'http', locate: async () => ({ kind: 'http', url: `${server.origin}/long`, headers: {} }) },
      async output() {
        const file = await open(tmp.at('long'), 'w+');
        return {
          fd: file.fd,
          async settle(result) {
            settled.push(result);
            await file.close();
          },
        };
      },
    };
    const results = await transfer([job], depsOf(events, { budget: { connections: 4, workers: 1 } }));
    expect(results).toMatchObject([{ sizeBytes: content.length }]);
    expect(settled).toEqual(['failed', 'verified']);
    expect(events.filter(({ kind }) => kind === 'fileRetried')).toEqual([]);
    expect(events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.bytes : 0), 0)).toBe(content.length);
  });
});
