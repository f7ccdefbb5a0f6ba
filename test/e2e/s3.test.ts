// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import type { Environment } from '../../src/source/source.ts';
import { createHttpTransport, type HttpRequest } from '../../src/transfer/http.ts';
import { startRclone } from '../servers/rclone.ts';
import { type RealS3, startVersitygw } from '../servers/versitygw.ts';
import { BESIDE_FILES, MODEL_FILES, SETTINGS, sourceContract } from '../source/contract.ts';
import { codeOf } from '../source/errors.ts';
import { bytesOf } from '../support/bodies.ts';

// Real S3 servers: not part of `npm test`, which needs nothing but Node.
describe.skipIf(process.env['MODEL_GATE_E2E'] !== '1').each([
  ['versitygw', startVersitygw, 'SOURCE_DENIED'],
  // Answers 400 for want of a signature, as to any request it does not understand.
  ['rclone', startRclone, 'SOURCE_UNAVAILABLE'],
] as const)('%s', (name, startServer, anonymous) => {
  const big = randomBytes(20 * 1024 * 1024);
  const signal = new AbortController().signal;
  let server: RealS3;

  beforeAll(async () => {
    server = await startServer('models');
    const client = new S3Client({
      endpoint: server.origin,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: server.env['AWS_ACCESS_KEY_ID'] ?? '', secretAccessKey: server.env['AWS_SECRET_ACCESS_KEY'] ?? '' },
    });
    const model = Object.entries(MODEL_FILES).map(([name, body]) => [`v1/model/${name}`, body] as const);
    const beside = Object.entries(BESIDE_FILES).map(([name, body]) => [`v1/${name}`, body] as const);
    for (const [Key, Body] of [...model, ...beside, ['v1/big.bin', big] as const])
      await client.send(new PutObjectCommand({ Bucket: 'models', Key, Body: Buffer.from(Body) }));
    client.destroy();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  sourceContract(`s3 of ${name}`, async () => ({
    directory: parseSourceUri('s3://models/v1/model/', '/'),
    single: parseSourceUri('s3://models/v1/single.bin', '/'),
    env: server.env,
    async [Symbol.asyncDispose]() {},
  }));

  async function get(uri: string, request: Partial<HttpRequest> = {}, env: Environment = server.env) {
    await using source = await openSource(parseSourceUri(uri, '/'), SETTINGS, env);
    await using transport = await createHttpTransport(source.http);
    const locator = await source.locate({ kind: 'self' }, signal);
    if (locator.kind !== 'http') throw new Error('not an http locator');
    const object = await transport.open(locator, { signal, ...request });
    return { ...object, bytes: await bytesOf(object) };
  }

  test('serves ranges pinned to a strong ETag through one presigned URL', async () => {
    const first = await get('s3://models/v1/big.bin', { range: { start: 0, end: 1000 } });
    expect(first).toMatchObject({ status: 206, totalBytes: big.length, etag: expect.stringMatching(/^"[0-9a-f]{32}"$/) });
    const { bytes } = await get('s3://models/v1/big.bin', {
      range: { start: 1000, end: big.length },
      ...(first.etag !== undefined && { ifMatch: first.etag }),
    });
    expect(Buffer.concat([first.bytes, bytes]).equals(big)).toBe(true);
    expect(await codeOf(get('s3://models/v1/big.bin', { ifMatch: '"00000000000000000000000000000000"' }))).toBe('SOURCE_CHANGED');
  });

  test('serves an empty object to a ranged request', async () => {
    expect(await get('s3://models/v1/model/empty', { range: { start: 0, end: 1000 } })).toMatchObject({ totalBytes: 0, bytes: Buffer.alloc(0) });
  });

  test('refuses wrong keys, anonymous callers and a missing bucket, each in its way', async () => {
    expect(await codeOf(get('s3://models/v1/big.bin', {}, { ...server.env, AWS_SECRET_ACCESS_KEY: 'wrong' }))).toBe('SOURCE_DENIED');
    expect(await codeOf(get('s3://models/v1/big.bin', {}, { ...server.env, awsAnonymousCredential: 'true' }))).toBe(anonymous);
    expect(await codeOf(get('s3://absent/v1/big.bin'))).toBe('SOURCE_NOT_FOUND');
  });
});
