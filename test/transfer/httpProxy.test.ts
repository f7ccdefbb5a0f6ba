// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { HttpSettings } from '../../src/source/source.ts';
import { createHttpTransport } from '../../src/transfer/http.ts';
import { bypassesProxy } from '../../src/transfer/noProxy.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { startProxy } from '../servers/proxyServer.ts';
import { failureOf } from '../source/errors.ts';
import { bytesOf } from '../support/bodies.ts';

const SETTINGS: HttpSettings = { verifyTls: true, connectTimeoutMs: 2000, stallTimeoutMs: 2000 };

async function get(url: string, settings: HttpSettings): Promise<string> {
  await using transport = await createHttpTransport(settings);
  const object = await transport.open({ kind: 'http', url, headers: {} }, { signal: new AbortController().signal });
  return (await bytesOf(object)).toString();
}

describe('a proxy', () => {
  test('for http is asked for the absolute URL, with its own credentials', async () => {
    await using server = await startHttpServer({ files: { '/file': 'x' } });
    await using proxy = await startProxy('user:pass word');
    const http = `${proxy.origin.replace('://', '://user:pass%20word@')}/`;
    expect(await get(`${server.origin}/file`, { ...SETTINGS, proxy: { http } })).toBe('x');
    expect(proxy.seen).toMatchObject([{ method: 'GET', url: `${server.origin}/file` }]);
  });

  test('for https is a tunnel, in which the server’s certificate is verified', async () => {
    const authority = await makeAuthority();
    await using server = await startHttpServer({ tls: await issueServer(authority), files: { '/file': 'x' } });
    await using proxy = await startProxy();
    const settings = { ...SETTINGS, proxy: { https: proxy.origin } };
    expect(await get(`${server.origin}/file`, { ...settings, caPem: authority.certPem })).toBe('x');
    expect(proxy.seen).toMatchObject([{ method: 'CONNECT', url: server.origin.replace('https://', '') }]);
    expect((await failureOf(get(`${server.origin}/file`, settings))).code).toBe('TLS_FAILED');
  });

  test('for http is not used for https', async () => {
    const authority = await makeAuthority();
    await using server = await startHttpServer({ tls: await issueServer(authority), files: { '/file': 'x' } });
    await using proxy = await startProxy();
    expect(await get(`${server.origin}/file`, { ...SETTINGS, caPem: authority.certPem, proxy: { http: proxy.origin } })).toBe('x');
    expect(proxy.seen).toEqual([]);
  });

  test('is left out for NO_PROXY', async () => {
    await using server = await startHttpServer({ files: { '/file': 'x' } });
    await using proxy = await startProxy();
    expect(await get(`${server.origin}/file`, { ...SETTINGS, proxy: { http: proxy.origin, none: '10.0.0.0/8,127.0.0.0/8' } })).toBe('x');
    expect(proxy.seen).toEqual([]);
  });

  test('that wants another password is SOURCE_DENIED, and the password is not repeated', async () => {
    await using server = await startHttpServer({ files: { '/file': 'x' } });
    await using proxy = await startProxy('user:right');
    const http = proxy.origin.replace('://', '://user:wrong@');
    const failure = await failureOf(get(`${server.origin}/file`, { ...SETTINGS, proxy: { http } }));
    expect(failure).toMatchObject({ code: 'SOURCE_DENIED', context: { retry: 'no' } });
    expect(failure.message).not.toContain('wrong');
  });

  test('that is down is SOURCE_UNAVAILABLE', async () => {
    const proxy = await startProxy();
    await proxy[Symbol.asyncDispose]();
    for (const url of ['http://h.invalid/x', 'https://h.invalid/x']) {
      const failure = await failureOf(get(url, { ...SETTINGS, proxy: { http: proxy.origin, https: proxy.origin } }));
      expect(failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'again' } });
      expect(failure.message).toContain('through the proxy');
    }
  });
});

describe('NO_PROXY', () => {
  test.each([
    ['https://minio.ns.svc/x', '.svc,.cluster.local'],
    ['https://example.com/x', 'example.com'],
    ['https://a.example.com/x', 'Example.COM'],
    ['https://example.com./x', 'example.com'],
    ['https://a.example.com/x', '*.example.com'],
    ['https://anything/x', ' * '],
    ['http://h:8080/x', 'h:8080'],
    ['https://h/x', 'h:443'],
    ['https://10.1.2.3/x', '10.0.0.0/8'],
    ['https://10.1.2.3/x', '192.168.0.0/16 10.1.2.3'],
    ['http://[fd00::1]:9000/x', 'fd00::/8'],
    ['http://[::1]:9000/x', '[::1]:9000'],
    ['http://[::1]/x', '::1'],
  ])('exempts %s by %s', (url, none) => {
    expect(bypassesProxy(new URL(url), none)).toBe(true);
  });

  test.each([
    ['https://notexample.com/x', 'example.com'],
    ['https://example.com.evil.test/x', 'example.com'],
    ['https://h/x', 'h:8443'],
    ['https://11.1.2.3/x', '10.0.0.0/8'],
    ['https://10.1.2.3/x', '10.0.0.0/33,10.0.0.0/,/8,x/8'],
    ['https://10.1.2.3/x', '2.3'],
    ['https://h/x', ''],
    ['https://h/x', '.,,'],
  ])('does not exempt %s by %s', (url, none) => {
    expect(bypassesProxy(new URL(url), none)).toBe(false);
  });
});
