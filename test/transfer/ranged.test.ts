// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import type { HttpObject, HttpRequest, HttpTransport } from '../../src/transfer/http.ts';
import { createWindow, readObject, SEGMENT_BYTES, type Window } from '../../src/transfer/ranged.ts';

// No real pauses between attempts.
vi.mock('node:timers/promises', () => ({
  setTimeout: async (_ms: number, _value: unknown, options?: { signal?: AbortSignal }) => options?.signal?.throwIfAborted(),
}));

const content = randomBytes(3 * SEGMENT_BYTES + 1000);
const locator = { kind: 'http', url: 'http://h/o', headers: {} } as const;
const broken = (): AppError => new AppError('SOURCE_UNAVAILABLE', 'the connection broke', { context: { retry: 'again' } });

type Fault = 'refuse' | { readonly breakAfter: number };

/** An honest object behind a connection with the given faults, one per request, in order of requests. */
function transportWith(faults: readonly (Fault | undefined)[], options: { readonly etag?: string; readonly ranges?: boolean } = { etag: '"v1"' }) {
  const requests: HttpRequest[] = [];
  let open = 0;
  let mostOpen = 0;
  const transport: HttpTransport = {
    async open(_locator, request) {
      const fault = faults[requests.length];
      requests.push(request);
      if (fault === 'refuse') throw broken();
      const honours = options.ranges !== false && request.range !== undefined;
      const range = honours ? request.range : undefined;
      const start = range?.start ?? 0;
      const slice = content.subarray(start, range?.end);
      return {
        status: honours ? 206 : 200,
        totalBytes: content.length,
        bodyBytes: slice.length,
        ...(options.etag !== undefined && { etag: options.etag }),
        body: bodyOf(slice, fault),
        discard: async () => {},
      } satisfies HttpObject;
    },
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  async function* bodyOf(slice: Buffer, fault: Fault | undefined): AsyncIterable<Buffer> {
    mostOpen = Math.max(mostOpen, ++open);
    try {
      const end = typeof fault === 'object' ? fault.breakAfter : slice.length;
      for (let at = 0; at < end; at += 1024 * 1024) {
        await new Promise((turn) => setImmediate(turn));
        yield slice.subarray(at, Math.min(at + 1024 * 1024, end));
      }
      if (typeof fault === 'object') throw broken();
    } finally {
      open--;
    }
  }
  return { transport, requests, mostOpen: () => mostOpen, stillOpen: () => open };
}

let window: Window;
let taken = 0;
beforeEach(() => {
  taken = 0;
  const real = createWindow(2);
  window = {
    take: () => {
      const ok = real.take();
      if (ok) taken++;
      return ok;
    },
    give: () => {
      taken--;
      real.give();
    },
  };
});

const read = async (server: ReturnType<typeof transportWith>, signal = new AbortController().signal): Promise<Buffer> => {
  const object = await readObject(server.transport, locator, { window, signal, relocate: async () => locator });
  try {
    return await buffer(object.body);
  } finally {
    await object.close();
  }
};

describe('an object read in ranges', () => {
  test('arrives whole and in order, several ranges at once, never more ahead than the window allows', async () => {
    const server = transportWith([]);
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.map(({ range }) => range?.start)).toEqual([0, SEGMENT_BYTES, 2 * SEGMENT_BYTES, 3 * SEGMENT_BYTES]);
    expect(server.requests.slice(1).every(({ ifMatch }) => ifMatch === '"v1"')).toBe(true);
    expect(server.mostOpen()).toBeGreaterThan(1);
    expect(server.mostOpen()).toBeLessThanOrEqual(3);
    expect(taken).toBe(0);
  });

  test('goes on where it broke, in every range', async () => {
    const server = transportWith([{ breakAfter: 100 }, { breakAfter: 2_000_000 }, 'refuse', { breakAfter: 0 }]);
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.map(({ range }) => range?.start)).toContain(100);
    expect(server.requests.map(({ range }) => range?.start)).toContain(SEGMENT_BYTES + 2_000_000);
    expect(taken).toBe(0);
  });

  test('is given up after five attempts at one range, with nothing left open, and says that no one need try again', async () => {
    const server = transportWith(Array.from({ length: 40 }, () => 'refuse' as const));
    await expect(read(server)).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringContaining('after 5 attempts'),
      context: { retry: 'no' },
    });
    expect(server.requests.length).toBe(5);
    const later = transportWith([undefined, ...Array.from({ length: 40 }, () => 'refuse' as const)]);
    await expect(read(later)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect([later.stillOpen(), taken]).toEqual([0, 0]);
  });

  test('without a strong ETag is read in one answer: nothing would tell whether ranges belong together', async () => {
    const server = transportWith([], {});
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.map(({ range }) => range)).toEqual([{ start: 0, end: SEGMENT_BYTES }, undefined]);
    const interrupted = transportWith([undefined, { breakAfter: 5_000_000 }], {});
    await expect(read(interrupted)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
  });

  test('from a server without ranges is read in one answer', async () => {
    const server = transportWith([], { etag: '"v1"', ranges: false });
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.length).toBe(1);
  });

  test('stops at once on abort', async () => {
    const abort = new AbortController();
    const server = transportWith([undefined, { breakAfter: 100 }, { breakAfter: 100 }]);
    const object = await readObject(server.transport, locator, { window, signal: abort.signal, relocate: async () => locator });
    const reading = buffer(object.body);
    abort.abort(new AppError('CANCELLED', 'stopped'));
    await expect(reading).rejects.toBeDefined();
    await object.close();
    expect(server.requests.length).toBeLessThanOrEqual(3);
    expect(taken).toBe(0);
  });
});
