// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HttpSettings } from '../../src/source/source.ts';
import { createHttpTransport, type HttpLocator, type HttpObject, type HttpRequest } from '../../src/transfer/http.ts';
import { isObjectMissing, isRangeIgnored } from '../../src/transfer/httpErrors.ts';
import { type Authority, issueServer, makeAuthority } from '../servers/certificates.ts';
import { type Behaviour, listen, startHttpServer, type TestServer } from '../servers/httpServer.ts';
import { codeOf, failureOf } from '../source/errors.ts';
import { bytesOf } from '../support/bodies.ts';

let SETTINGS: HttpSettings = { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 2000 };
const BODY = randomBytes(300_000);
const never = new AbortController().signal;

let server: TestServer;
beforeEach(async () => {
  server = await startHttpServer({ files: { '/file': BODY, '/empty': '' } });
});
afterEach(() => server[Symbol.asyncDispose]());

type Opened = { readonly object: Omit<HttpObject, 'read' | 'discard'>; readonly bytes: Buffer };

/** Opens and reads to the end, with a transport of its own. */
async function get(locator: HttpLocator | string, request: Partial<HttpRequest> = {}, settings = SETTINGS): Promise<Opened> {
  await using transport = await createHttpTransport(settings);
  const { read, discard, ...object } = await transport.open(typeof locator === 'string' ? to(locator) : locator, { signal: never, ...request });
  return { object, bytes: await bytesOf({ read }) };
}

function to(url: string, headers: Record<string, string> = {}): HttpLocator {
  return { kind: 'http', url, headers };
}

/** The error of a GET of /file (or a range of it) that the server answers so. */
function failureWhen(behaviour: Behaviour, request: Partial<HttpRequest> = {}, settings = SETTINGS) {
  // Always: what our own reader leaves to the library is asked for again.
  server.always('/file', behaviour);
  return failureOf(get(`${server.origin}/file`, request, settings));
}

describe.each(['auto', 'library'] as const)('read by %s:', (reader) => {
  beforeEach(() => {
    SETTINGS = { ...SETTINGS, reader };
  });

  describe('a whole object', () => {
    test('comes with its length, strong ETag and date', async () => {
      const { object, bytes } = await get(`${server.origin}/file`);
      expect(bytes.equals(BODY)).toBe(true);
      expect(object).toEqual({
        status: 200,
        totalBytes: BODY.length,
        bodyBytes: BODY.length,
        etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
        lastModified: 'Wed, 21 Oct 2026 07:28:00 GMT',
      });
    });

    test('may have no length', async () => {
      server.always('/file', { kind: 'chunked' });
      const { object, bytes } = await get(`${server.origin}/file`);
      expect(object.totalBytes).toBeUndefined();
      expect(bytes.equals(BODY)).toBe(true);
    });

    test('is asked for without compression, with the headers of its locator', async () => {
      await get(to(`${server.origin}/file?sig=1`, { authorization: 'Bearer x' }));
      expect(server.seen).toMatchObject([{ method: 'GET', url: '/file?sig=1', headers: { 'accept-encoding': 'identity', authorization: 'Bearer x' } }]);
    });

    test('stays as stored when it bears a content encoding', async () => {
      server.next('/file', { kind: 'headers', headers: { 'content-encoding': 'gzip' } });
      expect((await get(`${server.origin}/file`)).bytes.equals(BODY)).toBe(true);
    });

    test('with a weak ETag has none, with a version has it', async () => {
      server.next('/file', { kind: 'headers', headers: { etag: 'W/"x"', 'x-amz-version-id': 'v1' } });
      const { object } = await get(`${server.origin}/file`);
      expect(object.etag).toBeUndefined();
      expect(object.versionId).toBe('v1');
    });

    test.each(['http', 'https'])('over %s is whole although the connection was closed after it, before anybody read it', async (scheme) => {
      const authority = await makeAuthority();
      await using closing = await startHttpServer({ ...(scheme === 'https' && { tls: await issueServer(authority) }), files: { '/file': 'small' } });
      closing.always('/file', { kind: 'headers', headers: { connection: 'close' } });
      await using transport = await createHttpTransport({ ...SETTINGS, caPem: authority.certPem });
      const object = await transport.open(to(`${closing.origin}/file`), { signal: never });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect((await bytesOf(object)).toString()).toBe('small');
    });

    test('waits for its reader longer than for its server', async () => {
      await using transport = await createHttpTransport({ ...SETTINGS, stallTimeoutMs: 50 });
      const object = await transport.open(to(`${server.origin}/file`), { signal: never });
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect((await bytesOf(object)).equals(BODY)).toBe(true);
    });

    test('can be given up, and the transport goes on', async () => {
      await using transport = await createHttpTransport(SETTINGS);
      const locator = to(`${server.origin}/file`);
      const first = await transport.open(locator, { signal: never });
      await first.discard();
      await first.discard();
      server.next('/file', { kind: 'chunked' });
      const second = await transport.open(locator, { signal: never });
      const enough = new Error('enough');
      const refuse = (): never => {
        throw enough;
      };
      await expect(second.read({ take: refuse })).rejects.toBe(enough);
      await second.discard();
      await expect((await transport.open(locator, { signal: never })).read({ take: refuse })).rejects.toBe(enough);
      const last = await transport.open(locator, { signal: never });
      expect((await bytesOf(last)).equals(BODY)).toBe(true);
    });

    test('that was read cannot be given up any more: its connection is the next one’s', async () => {
      await using transport = await createHttpTransport(SETTINGS);
      const locator = to(`${server.origin}/file`);
      const first = await transport.open(locator, { signal: never });
      await bytesOf(first);
      const second = await transport.open(locator, { signal: never });
      await first.discard();
      expect((await bytesOf(second)).equals(BODY)).toBe(true);
      expect(server.seen.length).toBe(2);
    });
  });

  describe('a range', () => {
    test('is exactly the bytes asked for', async () => {
      const { object, bytes } = await get(`${server.origin}/file`, { range: { start: 1000, end: 2500 } });
      expect(bytes.equals(BODY.subarray(1000, 2500))).toBe(true);
      expect(object).toMatchObject({ status: 206, totalBytes: BODY.length, bodyBytes: 1500 });
    });

    test('may reach past the end', async () => {
      const { object, bytes } = await get(`${server.origin}/file`, { range: { start: 0, end: 8 << 20 } });
      expect(bytes.equals(BODY)).toBe(true);
      expect(object).toMatchObject({ status: 206, totalBytes: BODY.length, bodyBytes: BODY.length });
    });

    test('from 0 may be answered by the whole object', async () => {
      server.next('/file', { kind: 'ignoreRange' });
      const { object, bytes } = await get(`${server.origin}/file`, { range: { start: 0, end: 10 } });
      expect(object.status).toBe(200);
      expect(bytes.equals(BODY)).toBe(true);
    });

    test.each([0, 1000])('from %d that comes under the status 200 is taken for the range it says it is', async (start) => {
      server.next('/file', { kind: 'rangeAs200' });
      const { object, bytes } = await get(`${server.origin}/file`, { range: { start, end: start + 500 } });
      expect(bytes.equals(BODY.subarray(start, start + 500))).toBe(true);
      expect(object).toMatchObject({ status: 206, totalBytes: BODY.length, bodyBytes: 500 });
    });

    test('from elsewhere may not, and the caller can tell', async () => {
      const failure = await failureWhen({ kind: 'ignoreRange' }, { range: { start: 10, end: 20 } });
      expect(failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no' } });
      expect(isRangeIgnored(failure)).toBe(true);
    });

    test.each([
      'bytes 0-9/300000',
      'bytes 11-20/300000',
      'bytes 10-18/300000',
      'bytes 10-20/300000',
      'bytes 10-19/15',
      'bytes 10-19',
      'items 10-19/300000',
      '',
    ])('answered by the range %j is refused', async (contentRange) => {
      const failure = await failureWhen({ kind: 'wrongRange', contentRange }, { range: { start: 10, end: 20 } });
      expect(failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no', expected: 'bytes 10-19' } });
    });

    test.each(['bytes 5-19/100', 'bytes 10-15/100', 'bytes 10-25/100'])('answered by the range %j without Content-Length is refused', async (contentRange) => {
      await using chunked = await startChunked(contentRange, 'x'.repeat(10));
      expect(await failureOf(get(`${chunked.origin}/x`, { range: { start: 10, end: 20 } }))).toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        context: { retry: 'no' },
      });
    });

    test('that nobody asked for is refused', async () => {
      expect(await failureWhen({ kind: 'status', status: 206, body: 'x' })).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no' } });
    });

    test('of an empty object is the empty object', async () => {
      const { object, bytes } = await get(`${server.origin}/empty`, { range: { start: 0, end: 10 } });
      expect(object).toMatchObject({ status: 200, totalBytes: 0, bodyBytes: 0 });
      expect(bytes).toHaveLength(0);
      server.next('/empty', { kind: 'status', status: 416, body: '<Error><Code>InvalidRange</Code></Error>' });
      expect((await get(`${server.origin}/empty`, { range: { start: 0, end: 10 } })).object.totalBytes).toBe(0);
    });

    test('beyond the end is SOURCE_CHANGED', async () => {
      const failure = await failureOf(get(`${server.origin}/file`, { range: { start: 300_000, end: 300_001 } }));
      expect(failure).toMatchObject({ code: 'SOURCE_CHANGED', context: { status: 416, retry: 'no' } });
    });
  });

  describe('a pinned object', () => {
    test('is sent while it is the same', async () => {
      const etag = (await get(`${server.origin}/file`)).object.etag ?? '';
      expect((await get(`${server.origin}/file`, { ifMatch: etag, range: { start: 5, end: 9 } })).bytes.equals(BODY.subarray(5, 9))).toBe(true);
      server.files.set('/file', Buffer.from('another'));
      expect(await failureOf(get(`${server.origin}/file`, { ifMatch: etag }))).toMatchObject({ code: 'SOURCE_CHANGED', context: { status: 412, retry: 'no' } });
    });

    test('is SOURCE_CHANGED by its ETag where the server does not honour If-Match', async () => {
      const failure = await failureWhen({ kind: 'etag', etag: '"new"' }, { ifMatch: '"old"' });
      expect(failure).toMatchObject({ code: 'SOURCE_CHANGED', context: { expected: '"old"', found: '"new"' } });
      expect((await failureWhen({ kind: 'etag', etag: 'W/"old"' }, { ifMatch: '"old"' })).code).toBe('SOURCE_CHANGED');
    });
  });

  describe('a body that is not whole', () => {
    const range = { start: 100, end: 200_000 };

    test.each([
      ['cut off', { kind: 'truncate', bytes: 70_000 }],
      ['shorter than its Content-Length', { kind: 'lie', contentLength: 300_001 }],
    ] as const)('because it was %s never ends normally', async (_, behaviour) => {
      expect(await failureWhen(behaviour)).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
    });

    test('because it was cut off within a range never ends normally', async () => {
      expect(await failureWhen({ kind: 'truncate', bytes: 70_000 }, { range })).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
    });

    test('because the chunked encoding broke off never ends normally', async () => {
      await using broken = await listen((request, response) => void response.write('part', () => request.socket.end()));
      expect(await codeOf(get(`${broken.origin}/x`))).toBe('SOURCE_UNAVAILABLE');
    });

    test('because the server fell silent is SOURCE_TIMEOUT', async () => {
      const impatient = { ...SETTINGS, stallTimeoutMs: 100 };
      expect(await failureWhen({ kind: 'stall', bytes: 10 }, {}, impatient)).toMatchObject({ code: 'SOURCE_TIMEOUT', context: { retry: 'again' } });
      expect(await failureWhen({ kind: 'silence' }, {}, impatient)).toMatchObject({ code: 'SOURCE_TIMEOUT', context: { retry: 'again' } });
    });

    test('because we read slowly is not: waiting for the reader is no stall', async () => {
      await using transport = await createHttpTransport({ ...SETTINGS, stallTimeoutMs: 100 });
      server.files.set('/big', Buffer.alloc(8 << 20));
      const object = await transport.open(to(`${server.origin}/big`), { signal: never });
      let received = 0;
      await object.read({
        take(bytes) {
          // A volume that blocks.
          if (received === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
          received += bytes.length;
        },
      });
      expect(received).toBe(8 << 20);
    });

    test.each([
      ['bytes 0-3/100', '12345'],
      ['bytes 0-3/100', '123'],
    ])('because the range %s, sent without Content-Length, is %j never ends normally', async (contentRange, body) => {
      await using server = await startChunked(contentRange, body);
      expect(await codeOf(get(`${server.origin}/x`, { range: { start: 0, end: 4 } }))).toBe('SOURCE_UNAVAILABLE');
    });
  });

  /** Answers any range with this one, in chunked encoding. */
  function startChunked(contentRange: string, body: string) {
    return listen((_, response) => void response.writeHead(206, { 'content-range': contentRange, 'transfer-encoding': 'chunked' }).end(body));
  }

  describe('an abort', () => {
    const reason = new Error('enough');

    test('before, while waiting, and within the body throws its reason', async () => {
      await expect(get(`${server.origin}/file`, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

      const waiting = new AbortController();
      await using silent = await listen(() => waiting.abort(reason));
      await expect(get(`${silent.origin}/x`, { signal: waiting.signal })).rejects.toBe(reason);

      const reading = new AbortController();
      server.next('/file', { kind: 'stall', bytes: 10 });
      await using transport = await createHttpTransport(SETTINGS);
      const object = await transport.open(to(`${server.origin}/file`), { signal: reading.signal });
      setTimeout(() => reading.abort(reason), 50);
      await expect(object.read({ take() {} })).rejects.toBe(reason);
    });

    test('with bodies that nobody reads harms nothing', async () => {
      const abort = new AbortController();
      await using transport = await createHttpTransport(SETTINGS);
      const object = await transport.open(to(`${server.origin}/file`), { signal: abort.signal });
      abort.abort(reason);
      await object.discard();
    });

    test('is not needed to close the transport', async () => {
      const transport = await createHttpTransport(SETTINGS);
      server.next('/file', { kind: 'stall', bytes: 10 });
      const object = await transport.open(to(`${server.origin}/file`), { signal: never });
      await transport.close();
      expect(await codeOf(bytesOf(object))).toBe('SOURCE_UNAVAILABLE');
    });
  });

  describe('a status', () => {
    const xml = (code: string, more = ''): string => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>secret text</Message>${more}</Error>`;

    test.each([
      [404, '', 'SOURCE_NOT_FOUND', 'no'],
      [410, '', 'SOURCE_NOT_FOUND', 'no'],
      [401, '', 'SOURCE_DENIED', 'no'],
      [403, xml('AccessDenied'), 'SOURCE_DENIED', 'no'],
      [403, xml('AccessDenied', '<Expires>2026-01-01T00:00:00Z</Expires>'), 'SOURCE_DENIED', 'relocate'],
      [403, xml('RequestExpired'), 'SOURCE_DENIED', 'relocate'],
      [400, xml('ExpiredToken'), 'SOURCE_DENIED', 'relocate'],
      [400, xml('InvalidToken'), 'SOURCE_DENIED', 'no'],
      [403, xml('RequestTimeTooSkewed'), 'SOURCE_DENIED', 'no'],
      [412, '', 'SOURCE_CHANGED', 'no'],
      [408, '', 'SOURCE_UNAVAILABLE', 'relocate'],
      [400, xml('RequestTimeout'), 'SOURCE_UNAVAILABLE', 'relocate'],
      [429, '', 'SOURCE_UNAVAILABLE', 'relocate'],
      [500, '', 'SOURCE_UNAVAILABLE', 'relocate'],
      [503, xml('SlowDown'), 'SOURCE_UNAVAILABLE', 'relocate'],
      [400, xml('InvalidRequest'), 'SOURCE_UNAVAILABLE', 'no'],
      [204, '', 'SOURCE_UNAVAILABLE', 'no'],
      [301, xml('PermanentRedirect'), 'CONFIG_INVALID', 'no'],
      [400, xml('AuthorizationHeaderMalformed', '<Region>eu-west-1</Region>'), 'CONFIG_INVALID', 'no'],
    ] as const)('%i %s is %s', async (status, body, code, retry) => {
      const failure = await failureWhen({ kind: 'status', status, body });
      expect(failure).toMatchObject({ code, context: { status, retry } });
      expect(failure.message).toContain(`HTTP ${status}`);
      expect(failure.message).not.toContain('secret text');
    });

    test('404 for a bucket is told from 404 for an object', async () => {
      expect(isObjectMissing(await failureWhen({ kind: 'status', status: 404, body: xml('NoSuchKey') }))).toBe(true);
      expect(isObjectMissing(await failureWhen({ kind: 'status', status: 404, body: xml('NoSuchBucket') }))).toBe(false);
    });

    test.each([
      ['7', 7000],
      ['86400', 60_000],
      ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
      ['soon', undefined],
    ] as const)('429 with Retry-After %s asks for %s ms', async (retryAfter, expected) => {
      const failure = await failureWhen({ kind: 'status', status: 429, headers: { 'retry-after': retryAfter } });
      expect(failure.context.retryAfterMs).toBe(expected);
    });

    test('with an endless body is answered after 4 KiB', async () => {
      await using endless = await listen((_, response) => {
        response.writeHead(403);
        const more = (): void => void (response.destroyed || response.write('x'.repeat(65_536), () => setImmediate(more)));
        more();
      });
      expect(await codeOf(get(`${endless.origin}/x`))).toBe('SOURCE_DENIED');
    });

    test('never shows the query string', async () => {
      server.next('/file', { kind: 'status', status: 403 });
      const failure = await failureOf(get(`${server.origin}/file?X-Amz-Signature=secret`));
      expect(JSON.stringify([failure.message, failure.context])).not.toContain('secret');
    });

    test('with headers without end is refused', async () => {
      const failure = await failureWhen({
        kind: 'status',
        status: 200,
        headers: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, 'y'.repeat(1000)])),
      });
      expect(failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no' } });
    });
  });

  describe('a connection', () => {
    test('that is refused or reset may be tried again', async () => {
      const gone = await startHttpServer();
      await gone[Symbol.asyncDispose]();
      expect(await failureOf(get(`${gone.origin}/x`))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
      expect(await failureWhen({ kind: 'reset' })).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
    });

    test('to a name that nobody knows may be tried again', async () => {
      expect(await failureOf(get('http://nobody.invalid/x'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
    });

    test('that TLS cannot be spoken on is SOURCE_UNAVAILABLE or TLS_FAILED, never a success', async () => {
      expect(await codeOf(get(`${server.origin.replace('http:', 'https:')}/file`))).toMatch(/^(TLS_FAILED|SOURCE_UNAVAILABLE)$/);
    });
  });

  describe('TLS', () => {
    let authority: Authority;
    beforeEach(async () => {
      authority = await makeAuthority();
    });

    test('takes the private CA and refuses every other', async () => {
      await using secure = await startHttpServer({ tls: await issueServer(authority), files: { '/file': 'x' } });
      const other = await makeAuthority('Other CA');
      expect((await get(`${secure.origin}/file`, {}, { ...SETTINGS, caPem: other.certPem + authority.certPem })).bytes.toString()).toBe('x');
      expect(await failureOf(get(`${secure.origin}/file`))).toMatchObject({ code: 'TLS_FAILED', context: { retry: 'no' } });
      expect(await codeOf(get(`${secure.origin}/file`, {}, { ...SETTINGS, caPem: other.certPem }))).toBe('TLS_FAILED');
    });

    test('refuses an expired certificate and another host’s', async () => {
      const settings = { ...SETTINGS, caPem: authority.certPem };
      await using expired = await startHttpServer({ tls: await issueServer(authority, 'expired') });
      expect(await codeOf(get(`${expired.origin}/x`, {}, settings))).toBe('TLS_FAILED');
      await using foreign = await startHttpServer({ tls: await issueServer(authority, 'valid', 'elsewhere.example') });
      expect(await codeOf(get(`${foreign.origin}/x`, {}, settings))).toBe('TLS_FAILED');
    });
  });
});
