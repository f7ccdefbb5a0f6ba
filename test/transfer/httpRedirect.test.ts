// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HttpSettings } from '../../src/source/source.ts';
import { createHttpTransport, type HttpRequest } from '../../src/transfer/http.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { startHttpServer, type TestServer } from '../servers/httpServer.ts';
import { codeOf, failureOf } from '../source/errors.ts';
import { bytesOf } from '../support/bodies.ts';

const SETTINGS: HttpSettings = { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 2000 };
const CREDENTIALS = { authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'secret' };

let home: TestServer;
let elsewhere: TestServer;
beforeEach(async () => {
  home = await startHttpServer({ files: { '/file': 'home' } });
  elsewhere = await startHttpServer({ files: { '/file': 'elsewhere' } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await elsewhere[Symbol.asyncDispose]();
});

async function get(url: string, request: Partial<HttpRequest> = {}, settings = SETTINGS): Promise<string> {
  await using transport = await createHttpTransport(settings);
  const object = await transport.open({ kind: 'http', url, headers: CREDENTIALS }, { signal: new AbortController().signal, ...request });
  return (await bytesOf(object)).toString();
}

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('by %i within the origin keeps credentials and range', async (status) => {
    home.next('/start', { kind: 'redirect', status, location: '/file#part' });
    expect(await get(`${home.origin}/start`, { range: { start: 1, end: 3 } })).toBe('om');
    expect(home.seen[1]).toMatchObject({ method: 'GET', url: '/file', headers: { ...CREDENTIALS, range: 'bytes=1-2' } });
  });

  test('to another origin takes no credentials along, in whatever header, but range and pin', async () => {
    home.next('/start', { kind: 'redirect', location: `${elsewhere.origin}/file` });
    expect(await get(`${home.origin}/start?sig=secret`, { range: { start: 0, end: 4 } })).toBe('else');
    expect(elsewhere.seen[0]?.headers).toMatchObject({ range: 'bytes=0-3' });
    expect(JSON.stringify(elsewhere.seen)).not.toContain('secret');
  });

  test('back to the first origin does not bring the credentials back', async () => {
    home.next('/start', { kind: 'redirect', location: `${elsewhere.origin}/back` });
    elsewhere.next('/back', { kind: 'redirect', location: `${home.origin}/file` });
    expect(await get(`${home.origin}/start`)).toBe('home');
    expect(JSON.stringify(home.seen[1])).not.toContain('secret');
  });

  test('is followed five times, not six', async () => {
    for (let i = 0; i < 6; i++) home.always(`/${i}`, { kind: 'redirect', location: i === 5 ? '/file' : `/${i + 1}` });
    expect(await get(`${home.origin}/1`)).toBe('home');
    expect(await failureOf(get(`${home.origin}/0`))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no' } });
  });

  test('in a circle ends', async () => {
    home.always('/circle', { kind: 'redirect', location: '/circle' });
    expect(await codeOf(get(`${home.origin}/circle`))).toBe('SOURCE_UNAVAILABLE');
    expect(home.seen).toHaveLength(6);
  });

  test.each(['file:///etc/passwd', 'ftp://h/x', 'data:text/plain,x', 'http://user:secret@127.0.0.1/x', 'http://[', 'javascript:0'])(
    'to %s is refused',
    async (location) => {
      home.next('/start', { kind: 'redirect', location });
      const failure = await failureOf(get(`${home.origin}/start`));
      expect(failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'no' } });
      expect(JSON.stringify([failure.message, failure.context])).not.toContain('secret');
    },
  );

  test('from https to http is refused, from http to https followed', async () => {
    const authority = await makeAuthority();
    await using secure = await startHttpServer({ tls: await issueServer(authority), files: { '/file': 'secure' } });
    const settings = { ...SETTINGS, caPem: authority.certPem };
    secure.next('/start', { kind: 'redirect', location: `${elsewhere.origin}/file` });
    const failure = await failureOf(get(`${secure.origin}/start`, {}, settings));
    expect(failure.message).toContain('from https to http');
    expect(elsewhere.seen).toHaveLength(0);
    home.next('/start', { kind: 'redirect', location: `${secure.origin}/file` });
    expect(await get(`${home.origin}/start`, {}, settings)).toBe('secure');
  });

  test('of a presigned URL to the bucket’s region names the region instead', async () => {
    home.next('/b/k', { kind: 'status', status: 307, headers: { location: `${elsewhere.origin}/b/k`, 'x-amz-bucket-region': 'eu-north-1' } });
    const failure = await failureOf(get(`${home.origin}/b/k?X-Amz-Signature=secret`));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.message).toContain('region eu-north-1');
    expect(elsewhere.seen).toHaveLength(0);
  });
});
