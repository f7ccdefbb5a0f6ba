// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HttpSettings } from '../../src/source/source.ts';
import { readSmall } from '../../src/transfer/fetchSmall.ts';
import { startHttpServer, type TestServer } from '../servers/httpServer.ts';
import { codeOf } from '../source/errors.ts';

const SETTINGS: HttpSettings = { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 2000 };

let server: TestServer;
let pauses: number[];
beforeEach(async () => {
  server = await startHttpServer({ files: { '/model.sig': '0123456789' } });
  pauses = [];
});
afterEach(() => server[Symbol.asyncDispose]());

async function read(path = '/model.sig', maxBytes = 10): Promise<string> {
  const locator = { kind: 'http', url: server.origin + path, headers: {} } as const;
  const bytes = await readSmall(SETTINGS, locator, maxBytes, new AbortController().signal, async (ms) => void pauses.push(ms));
  return bytes.toString();
}

describe('a small object', () => {
  test('is read whole, up to the limit', async () => {
    expect(await read()).toBe('0123456789');
    expect(await codeOf(read('/model.sig', 9))).toBe('LIMIT_EXCEEDED');
  });

  test('is capped while it arrives when it tells no length', async () => {
    server.next('/model.sig', { kind: 'chunked' });
    expect(await codeOf(read('/model.sig', 9))).toBe('LIMIT_EXCEEDED');
  });

  test('is tried four times, waiting as long as the server asks', async () => {
    server.next('/model.sig', { kind: 'status', status: 503, headers: { 'retry-after': '9' } }, { kind: 'reset' }, { kind: 'truncate', bytes: 3 });
    expect(await read()).toBe('0123456789');
    expect(pauses).toHaveLength(3);
    expect(pauses[0]).toBeGreaterThanOrEqual(9000);
  });

  test('is given up after that', async () => {
    server.always('/model.sig', { kind: 'status', status: 500 });
    expect(await codeOf(read())).toBe('SOURCE_UNAVAILABLE');
    expect(server.seen).toHaveLength(4);
  });

  test.each([404, 403, 400])('is not tried again after %i', async (status) => {
    server.always('/model.sig', { kind: 'status', status });
    await codeOf(read());
    expect(server.seen).toHaveLength(1);
  });

  test('stops waiting when aborted, with the reason', async () => {
    const abort = new AbortController();
    server.always('/model.sig', { kind: 'status', status: 503, headers: { 'retry-after': '60' } });
    const locator = { kind: 'http', url: `${server.origin}/model.sig`, headers: {} } as const;
    const reading = readSmall(SETTINGS, locator, 10, abort.signal);
    setTimeout(() => abort.abort(new Error('enough')), 300);
    await expect(reading).rejects.toThrow('enough');
  });
});
