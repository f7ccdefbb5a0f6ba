// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { type Files, leftovers, SMALL_MODEL, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { pauses } from '../support/pauses.ts';
import { pullHere, type RunOptions } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

vi.mock('node:timers/promises', async () => (await import('../support/pauses.ts')).timersWithoutWaiting);

const MIB = 1024 * 1024;
const files = signed(SMALL_MODEL);
const BIG: Files = signed({ 'big.bin': Buffer.alloc(20 * MIB, 'block') });

const tmp = fileScratch();
const fresh = (): { parent: string; to: string } => {
  const parent = tmp.fresh();
  return { parent, to: `${parent}/models` };
};

/** Nothing loadable stands at the destination, whatever was kept for the next start. */
async function fails(source: string, reason: string, exitCode: number, options: RunOptions = {}) {
  const { parent, to } = fresh();
  const outcome = await pullHere([source, to], options);
  expect([outcome.reason, outcome.exitCode]).toEqual([reason, exitCode]);
  expect(existsSync(to)).toBe(false);
  if (exitCode === 1) expect(existsSync(parent) ? readdirSync(parent) : []).toEqual([]);
  return outcome;
}

async function passes(source: string, expected: Files, options: RunOptions = {}) {
  const { parent, to } = fresh();
  const outcome = await pullHere([source, to], options);
  expect(outcome).toMatchObject({ reason: 'OK' });
  expect(treeOf(to)).toEqual(treeFrom(expected));
  expect(leftovers(parent)).toEqual([]);
  return outcome;
}

describe('a server that breaks off', () => {
  test('once is taken up again; what arrived is not asked for twice', async () => {
    await using server = await serveModel(BIG);
    server.next(server.pathOf('big.bin'), { kind: 'truncate', bytes: 3 * MIB }, { kind: 'reset' });
    await passes(server.url, BIG);
    const starts = server.seen.flatMap(({ headers }) => /^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? []).map(Number);
    expect(starts).toContain(3 * MIB);
  });

  test('and cannot take up a range is asked from the start again', async () => {
    await using server = await serveModel(BIG);
    server.next(server.pathOf('big.bin'), { kind: 'lie', contentLength: 21 * MIB }, { kind: 'ignoreRange' });
    await passes(server.url, BIG);
  });

  test('always is given up: SOURCE_UNAVAILABLE, exit 3', async () => {
    await using server = await serveModel(files);
    server.always(server.pathOf('config.json'), { kind: 'truncate', bytes: 3 });
    await fails(server.url, 'SOURCE_UNAVAILABLE', 3);
    expect(server.asked().filter((name) => name === 'config.json').length).toBe(5);
  });
});

describe('a server that lies about lengths', () => {
  test.each([5, 1_000_000])('by a Content-Length of %i for a longer or shorter body never gets a wrong file through', async (contentLength) => {
    await using server = await serveModel(files);
    server.always(server.pathOf('config.json'), { kind: 'lie', contentLength });
    const { to } = fresh();
    const outcome = await pullHere([server.url, to]);
    expect([1, 3]).toContain(outcome.exitCode);
    expect(existsSync(to)).toBe(false);
  });

  test('by sending none is stopped at --max-file-size', async () => {
    await using server = await serveModel(BIG);
    server.always(server.pathOf('big.bin'), { kind: 'chunked' });
    await fails(server.url, 'LIMIT_EXCEEDED', 1, { flags: { 'max-file-size': '1MiB' } });
    await passes(server.url, BIG);
  });

  test('by announcing too much is stopped before the first byte is written', async () => {
    await using server = await serveModel(BIG);
    const outcome = await fails(server.url, 'LIMIT_EXCEEDED', 1, { flags: { 'max-file-size': '1MiB' } });
    expect(outcome.events.some(({ kind }) => kind === 'bytes')).toBe(false);
  });
});

describe('a server that changes an object', () => {
  test('between ranges is told so: SOURCE_CHANGED, exit 3', async () => {
    await using server = await serveModel(BIG);
    const path = server.pathOf('big.bin');
    const changed = (etag: string) => ({ kind: 'etag', etag }) as const;
    server.next(path, changed('"one"'), ...Array.from({ length: 20 }, (_, i) => changed(`"v${i}"`)));
    await fails(server.url, 'SOURCE_CHANGED', 3);
  });

  test('once, while it is being read, gets another chance, from the start', async () => {
    await using server = await serveModel(BIG);
    server.next(server.pathOf('big.bin'), { kind: 'etag', etag: '"older"' });
    const outcome = await passes(server.url, BIG);
    expect(outcome.events).toContainEqual(
      expect.objectContaining({ kind: 'fileRetried', path: 'big.bin', error: expect.objectContaining({ code: 'SOURCE_CHANGED' }) }),
    );
  });

  test('and answers a range with another one is not believed', async () => {
    await using server = await serveModel(BIG);
    server.always(server.pathOf('big.bin'), { kind: 'wrongRange', contentRange: `bytes 8388608-16777215/${20 * MIB}` });
    await fails(server.url, 'SOURCE_UNAVAILABLE', 3);
  });

  test('ignores ranges altogether is still served from', async () => {
    await using server = await serveModel(BIG);
    server.always(server.pathOf('big.bin'), { kind: 'ignoreRange' });
    await passes(server.url, BIG);
  });
});

describe('a server that cannot or will not', () => {
  test('is down: SOURCE_UNAVAILABLE, exit 3', async () => {
    const { origin } = await startHttpServer().then(async (server) => {
      await server[Symbol.asyncDispose]();
      return server;
    });
    await fails(`${origin}/models/m/`, 'SOURCE_UNAVAILABLE', 3);
  });

  test('denies the bundle: SOURCE_DENIED, exit 3, with both readings', async () => {
    await using server = await serveModel(SMALL_MODEL);
    for (const name of ['model.sig', 'm.sig', 'model.sigstore.json', 'm.sigstore.json']) server.always(server.pathOf(name), { kind: 'status', status: 403 });
    const { error } = await fails(server.url, 'SOURCE_DENIED', 3);
    expect(error?.hint).toMatch(/no bundle.*credentials/);
  });

  test('denies a file: SOURCE_DENIED; misses a signed one: FILE_MISSING', async () => {
    await using server = await serveModel(files);
    server.always(server.pathOf('config.json'), { kind: 'status', status: 403 });
    await fails(server.url, 'SOURCE_DENIED', 3);
    server.always(server.pathOf('config.json'), { kind: 'status', status: 410 });
    await fails(server.url, 'FILE_MISSING', 1);
  });

  test('asks for patience with 503 and Retry-After is asked again, not sooner', async () => {
    await using server = await serveModel(files);
    server.next(server.pathOf('config.json'), { kind: 'status', status: 503, headers: { 'retry-after': '7' } });
    pauses.length = 0;
    await passes(server.url, files);
    expect(pauses.some((ms) => ms === 7000)).toBe(true);
  });
});

describe('limits', () => {
  test('a bundle above --max-bundle-size is not read: LIMIT_EXCEEDED', async () => {
    await using server = await serveModel(files);
    await fails(server.url, 'LIMIT_EXCEEDED', 1, { flags: { 'max-bundle-size': '100' } });
    server.always(server.pathOf('model.sig'), { kind: 'chunked' });
    await fails(server.url, 'LIMIT_EXCEEDED', 1, { flags: { 'max-bundle-size': '100' } });
  });

  test('more entries than --max-entries: LIMIT_EXCEEDED before any file is fetched', async () => {
    await using server = await serveModel(files);
    await fails(server.url, 'LIMIT_EXCEEDED', 1, { flags: { 'max-entries': '3' } });
    expect(server.asked()).toEqual(['model.sig']);
  });
});

describe('redirects and credentials', () => {
  test('go along within the origin, and never across origins', async () => {
    await using elsewhere = await serveModel(files);
    await using server = await serveModel(files);
    for (const name of Object.keys(files)) server.always(server.pathOf(name), { kind: 'redirect', location: `${elsewhere.origin}${elsewhere.pathOf(name)}` });
    await passes(server.url, files, { flags: { header: ['Authorization: Bearer s3cr3t', 'X-Api-Key: s3cr3t'] } });
    expect(server.seen.every(({ headers }) => headers.authorization === 'Bearer s3cr3t' && headers['x-api-key'] === 's3cr3t')).toBe(true);
    expect(new Set(elsewhere.asked())).toEqual(new Set(Object.keys(files)));
    expect(elsewhere.seen.some(({ headers }) => headers.authorization !== undefined || headers['x-api-key'] !== undefined)).toBe(false);
  });

  test('from https to http are refused', async () => {
    const authority = await makeAuthority();
    using keys = scratch();
    writeFileSync(keys.at('ca.pem'), authority.certPem);
    await using plain = await serveModel(files);
    await using secure = await serveModel(files, { tls: await issueServer(authority) });
    secure.always(secure.pathOf('config.json'), { kind: 'redirect', location: `${plain.origin}${plain.pathOf('config.json')}` });
    await fails(secure.url, 'SOURCE_UNAVAILABLE', 3, { flags: { 'ca-bundle': keys.at('ca.pem') } });
    expect(plain.seen).toEqual([]);
    await fails(secure.url, 'TLS_FAILED', 3);
  });

  test('that go round in circles end', async () => {
    await using server = await serveModel(files);
    server.always(server.pathOf('config.json'), { kind: 'redirect', location: server.pathOf('config.json') });
    await fails(server.url, 'SOURCE_UNAVAILABLE', 3);
  });
});

describe('an S3 service', () => {
  const env = (origin: string) => ({ AWS_ENDPOINT_URL: origin, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 's3cr3t' });
  const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's3cr3t' };
  const objects = (model: Files) => Object.fromEntries(Object.entries(model).map(([name, body]) => [`v1/${name}`, body]));

  test('blocks a tampered, an incomplete and an unsigned model like any other source', async () => {
    await using server = await startS3Server({ buckets: { models: objects({ ...files, 'config.json': 'tampered' }) }, keys });
    const options = { env: env(server.origin) };
    await fails('s3://models/v1/', 'DIGEST_MISMATCH', 1, options);
    server.objects.delete('models/v1/config.json');
    await fails('s3://models/v1/', 'FILE_MISSING', 1, options);
    server.objects.delete('models/v1/model.sig');
    await fails('s3://models/v1/', 'UNSIGNED', 1, options);
    await fails('s3://absent/v1/', 'SOURCE_NOT_FOUND', 3, options);
  });

  test('that answers 403 for missing keys: SOURCE_DENIED, exit 3, with both readings', async () => {
    await using server = await startS3Server({ buckets: { models: objects(SMALL_MODEL) }, keys, missingKey: 'denied' });
    const { error } = await fails('s3://models/v1/', 'SOURCE_DENIED', 3, { env: env(server.origin) });
    expect(error?.hint).toMatch(/no bundle.*ListBucket/);
  });

  test('puts ETags into the evidence', async () => {
    await using server = await startS3Server({ buckets: { models: objects(files) }, keys });
    const outcome = await passes('s3://models/v1/', files, { env: env(server.origin) });
    expect(outcome.evidence.models[0]?.files.every(({ etag }) => /^"[0-9a-f]{32}"$/.test(etag ?? ''))).toBe(true);
  });
});
