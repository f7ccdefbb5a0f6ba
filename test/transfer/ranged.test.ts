// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import type { Connections } from '../../src/transfer/connections.ts';
import type { HttpObject, HttpRequest, HttpTransport } from '../../src/transfer/http.ts';
import { FIRST_BYTES, RANGE_BYTES, readObject, type Sink } from '../../src/transfer/ranged.ts';
import { readFrom } from '../support/bodies.ts';

// No real pauses between attempts.
vi.mock('node:timers/promises', () => ({
  setTimeout: async (_ms: number, _value: unknown, options?: { signal?: AbortSignal }) => options?.signal?.throwIfAborted(),
}));

const content = randomBytes(FIRST_BYTES + 2 * RANGE_BYTES + 1000);
const locator = { kind: 'http', url: 'http://h/o', headers: {} } as const;
const broken = (): AppError => new AppError('SOURCE_UNAVAILABLE', 'the connection broke', { context: { retry: 'again' } });

type Fault = 'refuse' | { readonly breakAfter: number };

/** An honest object behind a connection with the given faults, one per request, in order of requests. */
function transportWith(
  faults: readonly (Fault | undefined)[],
  options: { readonly etag?: string; readonly ranges?: boolean; readonly pauseMs?: number } = { etag: '"v1"' },
) {
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
        read: readFrom(() => bodyOf(slice, fault)),
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
        await new Promise((turn) => setTimeout(turn, options.pauseMs ?? 0));
        yield slice.subarray(at, Math.min(at + 1024 * 1024, end));
      }
      if (typeof fault === 'object') throw broken();
    } finally {
      open--;
    }
  }
  return { transport, requests, mostOpen: () => mostOpen, stillOpen: () => open };
}

/** Connections that may always be had, up to a limit; how many are in use. */
function connectionsOf(limit: number): Connections & { readonly used: () => number } {
  let used = 0;
  return {
    use: () => void used++,
    tryUse() {
      if (used >= limit) return false;
      used++;
      return true;
    },
    release: () => void used--,
    used: () => used,
  };
}

/** Takes bytes at any place, or only in order. */
function memory(anyOrder: boolean): Sink & { readonly bytes: Buffer } {
  const bytes = Buffer.alloc(content.length);
  let end = 0;
  return {
    anyOrder,
    bytes,
    put(chunk, position) {
      if (!anyOrder) expect(position).toBe(end);
      end = position + chunk.length;
      chunk.copy(bytes, position);
    },
  };
}

async function read(
  server: ReturnType<typeof transportWith>,
  options: { readonly sink?: Sink & { readonly bytes: Buffer }; readonly connections?: Connections } = {},
) {
  const { sink = memory(false), connections = connectionsOf(0) } = options;
  const object = await readObject(server.transport, locator, { connections, signal: new AbortController().signal, relocate: async () => locator });
  try {
    await object.copyTo(sink);
    return sink.bytes;
  } finally {
    await object.close();
  }
}

describe('an object read in ranges', () => {
  test('arrives whole and in order over one connection, each range pinned to the ETag of the first', async () => {
    const server = transportWith([]);
    expect((await read(server)).equals(content)).toBe(true);
    // Half of what is left at a time, but no less than a range.
    const half = FIRST_BYTES + RANGE_BYTES + 500;
    expect(server.requests.map(({ range }) => range?.start)).toEqual([0, FIRST_BYTES, half, half + RANGE_BYTES]);
    expect(server.requests.slice(1).every(({ ifMatch }) => ifMatch === '"v1"')).toBe(true);
    expect(server.mostOpen()).toBe(1);
  });

  test('comes over further connections while they may be had and the order does not matter, and gives them back', async () => {
    const server = transportWith([], { etag: '"v1"', pauseMs: 20 });
    const connections = connectionsOf(2);
    expect((await read(server, { sink: memory(true), connections })).equals(content)).toBe(true);
    expect(server.mostOpen()).toBeGreaterThan(1);
    expect(server.mostOpen()).toBeLessThanOrEqual(3);
    expect(connections.used()).toBe(0);
  });

  test('goes on where it broke, in every range', async () => {
    const server = transportWith([{ breakAfter: 100 }, { breakAfter: 2_000_000 }, 'refuse', { breakAfter: 0 }]);
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.slice(0, 5).map(({ range }) => range?.start)).toEqual([0, 100, 2_000_100, 2_000_100, 2_000_100]);
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
    expect(later.stillOpen()).toBe(0);
  });

  test('that fails in one range stops all others before it ends', async () => {
    const server = transportWith([undefined, undefined, ...Array.from({ length: 40 }, () => 'refuse' as const)], { etag: '"v1"', pauseMs: 20 });
    const connections = connectionsOf(3);
    await expect(read(server, { sink: memory(true), connections })).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect([server.stillOpen(), connections.used()]).toEqual([0, 0]);
  });

  test('ends with what its sink throws, at once and as it is', async () => {
    const server = transportWith([]);
    const refusal = new AppError('NO_SPACE', 'full');
    const full: Sink & { readonly bytes: Buffer } = {
      ...memory(true),
      put() {
        throw refusal;
      },
    };
    await expect(read(server, { sink: full })).rejects.toBe(refusal);
    expect(server.requests.length).toBe(1);
  });

  test('without a strong ETag is read in one answer: nothing would tell whether ranges belong together', async () => {
    const server = transportWith([], {});
    expect((await read(server)).equals(content)).toBe(true);
    expect(server.requests.map(({ range }) => range)).toEqual([{ start: 0, end: FIRST_BYTES }, undefined]);
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
    const object = await readObject(server.transport, locator, { connections: connectionsOf(0), signal: abort.signal, relocate: async () => locator });
    const reading = object.copyTo(memory(false));
    abort.abort(new AppError('CANCELLED', 'stopped'));
    await expect(reading).rejects.toBeDefined();
    await object.close();
    expect(server.requests.length).toBeLessThanOrEqual(3);
  });
});
