// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import type { Environment, ObjectRef, SourceSettings } from '../../src/source/source.ts';
import { readSmall } from '../../src/transfer/fetchSmall.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { BESIDE_FILES, MODEL_FILES, SETTINGS, sourceContract } from './contract.ts';
import { codeOf, failureOf } from './errors.ts';

const signal = new AbortController().signal;
const encoded = (name: string): string => name.split('/').map(encodeURIComponent).join('/');
const served = {
  ...Object.fromEntries(Object.entries(MODEL_FILES).map(([name, body]) => [`/models/model/${encoded(name)}`, body])),
  ...Object.fromEntries(Object.entries(BESIDE_FILES).map(([name, body]) => [`/models/${name}`, body])),
};

sourceContract('http', async () => {
  const server = await startHttpServer({ files: served });
  return {
    directory: parseSourceUri(`${server.origin}/models/model/`, '/'),
    single: parseSourceUri(`${server.origin}/models/single.bin?sv=2026&sig=secret`, '/'),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

const withHttp = (http: Partial<SourceSettings['http']>): SourceSettings => ({ ...SETTINGS, http: { ...SETTINGS.http, ...http } });
const open = (uri: string, settings = SETTINGS, env: Environment = {}) => openSource(parseSourceUri(uri, '/'), settings, env);
async function locate(uri: string, ref: ObjectRef, settings?: SourceSettings, env?: Environment) {
  const locator = await (await open(uri, settings, env)).locate(ref, signal);
  if (locator.kind !== 'http') throw new Error('not an http locator');
  return locator;
}

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'model-gate-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('a base URL', () => {
  test.each([
    ['https://h/m', { kind: 'inside', path: 'a b/c' }, 'https://h/m/a%20b/c'],
    ['https://h/m/', { kind: 'inside', path: 'a' }, 'https://h/m/a'],
    ['https://h', { kind: 'inside', path: 'a' }, 'https://h/a'],
    ['https://h/m/?sig=x%2By', { kind: 'inside', path: 'a?b' }, 'https://h/m/a%3Fb?sig=x%2By'],
    ['https://h/m.bin?sig=x', { kind: 'beside', suffix: '.sig' }, 'https://h/m.bin.sig?sig=x'],
    ['https://h/m.bin?sig=x', { kind: 'self' }, 'https://h/m.bin?sig=x'],
  ] as const)('%s takes %j to %s', async (uri, ref, expected) => {
    expect((await locate(uri, ref)).url).toBe(expected);
  });

  test('never shows its query string', async () => {
    const source = await open('https://h/models/m%20x/?sig=secret');
    expect(source).toMatchObject({ displayUri: 'https://h/models/m%20x/?<redacted>', basename: 'm x' });
  });

  test('that is presigned is one object and nothing else', async () => {
    const presigned = 'https://h/m.bin?X-Amz-Signature=00';
    expect((await locate(presigned, { kind: 'self' })).url).toBe(presigned);
    const failure = await failureOf(locate(presigned, { kind: 'beside', suffix: '.sig' }));
    expect(failure.code).toBe('PLAN_CONTRADICTION');
    expect(failure.hint).toContain('--bundle');
  });
});

describe('headers', () => {
  test('come from <host>-headers, by host name or with the port, and the configured ones win', async () => {
    const env = { 'models.example.com-headers': '{"X-A":"env","X-B":"env"}', 'models.example.com:8443-headers': '{"x-b":"port"}' };
    const { headers } = await locate('https://models.example.com:8443/m', { kind: 'self' }, withHttp({ headers: { 'X-a': 'flag' } }), env);
    expect({ ...headers }).toEqual({ 'x-a': 'flag', 'x-b': 'port' });
  });

  test('of another host are not taken', async () => {
    const { headers } = await locate('https://example.com/m', { kind: 'self' }, SETTINGS, { 'models.example.com-headers': '{"X-A":"env"}' });
    expect({ ...headers }).toEqual({});
  });

  test.each([
    '{"authorization":"hunter2"',
    '["hunter2"]',
    '"hunter2"',
    '{"x":["hunter2"]}',
    '{"x":"hunter2\\r\\ny: z"}',
    '{"bad name":"hunter2"}',
    '{"Host":"hunter2"}',
  ])('that are not usable are CONFIG_INVALID without their value: %j', async (text) => {
    const failure = await failureOf(open('https://h/m', SETTINGS, { 'h-headers': text }));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(`${failure.message}${failure.hint}${JSON.stringify(failure.context)}${failure.cause}`).not.toContain('hunter2');
  });

  test('carry the bearer token as the file has it at that moment', async () => {
    const file = join(dir, 'token');
    await writeFile(file, 'first\n');
    const source = await open('https://h/m', withHttp({ bearerTokenFile: file }));
    expect(await source.locate({ kind: 'self' }, signal)).toMatchObject({ headers: { authorization: 'Bearer first' } });
    await writeFile(file, 'second');
    expect(await source.locate({ kind: 'self' }, signal)).toMatchObject({ headers: { authorization: 'Bearer second' } });
  });

  test.each(['', 'two words', 'line\nbreak'])('cannot carry the token file %j', async (text) => {
    const file = join(dir, 'token');
    await writeFile(file, text);
    expect(await codeOf(locate('https://h/m', { kind: 'self' }, withHttp({ bearerTokenFile: file })))).toBe('CREDENTIALS_MISSING');
  });

  test('and token file contradict each other', async () => {
    const settings = withHttp({ headers: { Authorization: 'x' }, bearerTokenFile: join(dir, 'token') });
    expect(await codeOf(open('https://h/m', settings))).toBe('PLAN_CONTRADICTION');
  });
});

describe('TLS', () => {
  test('trusts a private CA that is given as a file, and nothing else unknown', async () => {
    const authority = await makeAuthority();
    await using server = await startHttpServer({ tls: await issueServer(authority), files: { '/m': 'model' } });
    const file = join(dir, 'ca.crt');
    await writeFile(file, `# a comment\n${authority.certPem}`);
    const read = async (settings: SourceSettings, env: Environment = {}) => {
      const source = await open(`${server.origin}/m`, settings, env);
      return (await readSmall(source.http, await source.locate({ kind: 'self' }, signal), 1000, signal)).toString();
    };
    expect(await codeOf(read(SETTINGS))).toBe('TLS_FAILED');
    expect(await read(withHttp({ caBundle: file }))).toBe('model');
    await writeFile(join(dir, 'cabundle.crt'), authority.certPem);
    expect(await read(SETTINGS, { CA_BUNDLE_CONFIGMAP_NAME: 'cas', CA_BUNDLE_VOLUME_MOUNT_POINT: dir })).toBe('model');
    expect(await read(withHttp({ verifyTls: false }))).toBe('model');
  });

  test('needs the CA bundle of one’s own to be there, but not the cluster’s', async () => {
    expect(await codeOf(open('https://h/m', withHttp({ caBundle: join(dir, 'absent') })))).toBe('CONFIG_INVALID');
    const source = await open('https://h/m', SETTINGS, { CA_BUNDLE_CONFIGMAP_NAME: 'cas', CA_BUNDLE_VOLUME_MOUNT_POINT: dir });
    expect(source.http.caPem).toBeUndefined();
  });

  test.each(['', 'no certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])('refuses the CA bundle %j', async (text) => {
    await writeFile(join(dir, 'ca.crt'), text);
    expect(await codeOf(open('https://h/m', withHttp({ caBundle: join(dir, 'ca.crt') })))).toBe('CONFIG_INVALID');
  });
});

describe('proxies', () => {
  test('come from the environment, lower case first, blank as unset', async () => {
    const env = { HTTPS_PROXY: 'http://upper:1', https_proxy: 'lower:3128', HTTP_PROXY: ' ', NO_PROXY: '.svc' };
    expect((await open('https://h/m', SETTINGS, env)).http.proxy).toEqual({ https: 'http://lower:3128/', none: '.svc' });
    expect((await open('https://h/m', SETTINGS, { NO_PROXY: '.svc' })).http.proxy).toBeUndefined();
  });

  test('of a kind we do not speak are CONFIG_INVALID, without their password', async () => {
    const failure = await failureOf(open('https://h/m', SETTINGS, { HTTPS_PROXY: 'socks5://user:hunter2@p:1' }));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.message).not.toContain('hunter2');
  });
});
