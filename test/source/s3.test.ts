// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import type { Environment, ObjectRef, SourceSettings } from '../../src/source/source.ts';
import { readSmall } from '../../src/transfer/fetchSmall.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { listen } from '../servers/httpServer.ts';
import { startProxy } from '../servers/proxyServer.ts';
import { type S3Options, startS3Server } from '../servers/s3Server.ts';
import { BESIDE_FILES, MODEL_FILES, SETTINGS, sourceContract } from './contract.ts';
import { codeOf, failureOf } from './errors.ts';

const signal = new AbortController().signal;
const KEYS = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret/key+with=signs' };
const KEY_ENV = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };
const buckets = {
  models: { ...Object.fromEntries(Object.entries(MODEL_FILES).map(([name, body]) => [`v1/model/${name}`, body])), ...prefixed('v1/', BESIDE_FILES) },
};

function prefixed(prefix: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, body]) => [prefix + name, body]));
}

sourceContract('s3', async () => {
  const server = await startS3Server({ buckets, keys: KEYS });
  return {
    directory: parseSourceUri('s3://models/v1/model/', '/'),
    single: parseSourceUri('s3://models/v1/single.bin', '/'),
    env: { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

const withS3 = (s3: Partial<SourceSettings['s3']>): SourceSettings => ({ ...SETTINGS, s3: { ...SETTINGS.s3, ...s3 } });
const SINGLE = 's3://models/v1/single.bin';

async function urlOf(uri: string, env: Environment, settings = SETTINGS, ref: ObjectRef = { kind: 'self' }): Promise<URL> {
  await using source = await openSource(parseSourceUri(uri, '/'), settings, env);
  const locator = await source.locate(ref, signal);
  if (locator.kind !== 'http') throw new Error('not an http locator');
  return new URL(locator.url);
}

async function read(uri: string, env: Environment, settings = SETTINGS): Promise<string> {
  await using source = await openSource(parseSourceUri(uri, '/'), settings, env);
  return (await readSmall(source.http, await source.locate({ kind: 'self' }, signal), 1000, signal)).toString();
}

const start = (options: Partial<S3Options> = {}) => startS3Server({ buckets, keys: KEYS, ...options });

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'model-gate-'));
  // The provider chain reads the process environment: nothing of this machine may leak in.
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_CONFIG_FILE', join(dir, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(dir, 'credentials'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

describe('addresses', () => {
  test.each([
    ['AWS itself: virtual-hosted', {}, SETTINGS, 'https://models.s3.us-east-1.amazonaws.com/v1/single.bin'],
    ['the region as KServe names it', { AWS_DEFAULT_REGION: 'eu-west-1' }, SETTINGS, 'https://models.s3.eu-west-1.amazonaws.com/v1/single.bin'],
    [
      'AWS_REGION before AWS_DEFAULT_REGION',
      { AWS_REGION: 'eu-west-2', AWS_DEFAULT_REGION: 'eu-west-1' },
      SETTINGS,
      'https://models.s3.eu-west-2.amazonaws.com/v1/single.bin',
    ],
    [
      'blank values as unset',
      { AWS_REGION: '', AWS_ENDPOINT_URL: '', AWS_SESSION_TOKEN: '' },
      SETTINGS,
      'https://models.s3.us-east-1.amazonaws.com/v1/single.bin',
    ],
    [
      'the flag before the environment',
      { AWS_REGION: 'eu-west-1' },
      withS3({ region: 'eu-west-3' }),
      'https://models.s3.eu-west-3.amazonaws.com/v1/single.bin',
    ],
    ['an endpoint of one’s own: path style', { AWS_ENDPOINT_URL: 'http://minio:9000' }, SETTINGS, 'http://minio:9000/models/v1/single.bin'],
    ['the endpoint for S3 only first', { AWS_ENDPOINT_URL: 'http://all', AWS_ENDPOINT_URL_S3: 'http://s3' }, SETTINGS, 'http://s3/models/v1/single.bin'],
    ['virtual-hosted on demand', { AWS_ENDPOINT_URL: 'http://minio:9000', S3_USER_VIRTUAL_BUCKET: 'true' }, SETTINGS, 'http://models.minio:9000/v1/single.bin'],
    ['path style on demand', {}, withS3({ addressing: 'path' }), 'https://s3.us-east-1.amazonaws.com/models/v1/single.bin'],
    [
      'AWS written as an endpoint',
      { AWS_ENDPOINT_URL: 'https://s3.amazonaws.com', AWS_DEFAULT_REGION: 'eu-west-1' },
      SETTINGS,
      'https://models.s3.amazonaws.com/v1/single.bin',
    ],
    ['transfer acceleration', { S3_USE_ACCELERATE: 'true' }, SETTINGS, 'https://models.s3-accelerate.amazonaws.com/v1/single.bin'],
  ])('%s', async (_, env, settings, expected) => {
    const url = await urlOf(SINGLE, { ...KEY_ENV, ...env }, settings);
    expect(url.origin + url.pathname).toBe(expected);
    expect([...url.searchParams.keys()].filter((key) => /checksum/i.test(key))).toEqual([]);
    expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('host');
  });

  test('take the region of the profile where no variable says one', async () => {
    await writeFile(join(dir, 'config'), '[default]\nregion = ap-south-1\n');
    expect((await urlOf(SINGLE, KEY_ENV)).host).toBe('models.s3.ap-south-1.amazonaws.com');
  });

  test.each(['minio:9000', 'ftp://minio', 'http://user:hunter2@minio', 'http://minio/?x=hunter2'])('of the endpoint %s are refused', async (endpoint) => {
    const failure = await failureOf(urlOf(SINGLE, { ...KEY_ENV, AWS_ENDPOINT_URL: endpoint }));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.message).not.toContain('hunter2');
  });

  test('that the SDK excludes are CONFIG_INVALID', async () => {
    expect(await codeOf(urlOf(SINGLE, KEY_ENV, withS3({ accelerate: true, addressing: 'path' })))).toBe('CONFIG_INVALID');
  });

  test('never list a bucket, and never lose components of a key', async () => {
    expect(await codeOf(urlOf('s3://models', KEY_ENV))).toBe('PLAN_CONTRADICTION');
    expect(await codeOf(urlOf('s3://models/', KEY_ENV, SETTINGS, { kind: 'beside', suffix: '.sig' }))).toBe('PLAN_CONTRADICTION');
    expect(await codeOf(urlOf('s3://models/a/../b', KEY_ENV))).toBe('CONFIG_INVALID');
    expect((await urlOf('s3://models', KEY_ENV, SETTINGS, { kind: 'inside', path: 'x' })).pathname).toBe('/x');
    expect((await urlOf('s3://models/a//b', KEY_ENV)).pathname).toBe('/a//b');
  });
});

describe('credentials', () => {
  test('of the environment sign the URL, session token included, without any request of the SDK', async () => {
    const keys = { ...KEYS, sessionToken: 'session/token==' };
    await using server = await start({ keys, region: 'eu-central-1' });
    const env = { ...KEY_ENV, AWS_SESSION_TOKEN: keys.sessionToken, AWS_DEFAULT_REGION: 'eu-central-1', AWS_ENDPOINT_URL: server.origin };
    expect(await read(SINGLE, env)).toBe('single');
    expect(server.seen).toHaveLength(1);
  });

  test('go before AWS_PROFILE', async () => {
    await using server = await start();
    vi.stubEnv('AWS_PROFILE', 'absent');
    expect(await read(SINGLE, { ...KEY_ENV, AWS_PROFILE: 'absent', AWS_ENDPOINT_URL: server.origin })).toBe('single');
  });

  test('that are only half there are named', async () => {
    const failure = await failureOf(urlOf(SINGLE, { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: '' }));
    expect(failure).toMatchObject({ code: 'CREDENTIALS_MISSING', message: 'AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not' });
  });

  test('that are nowhere are CREDENTIALS_MISSING', async () => {
    expect(await codeOf(urlOf(SINGLE, {}))).toBe('CREDENTIALS_MISSING');
  });

  test.each([{ awsAnonymousCredential: 'True' }, { awsAnonymousCredential: 'true', ...KEY_ENV }])('are not used when anonymous: %j', async (env) => {
    await using server = await startS3Server({ buckets });
    expect(await read(SINGLE, { ...env, AWS_ENDPOINT_URL: server.origin })).toBe('single');
    expect(server.seen.map((request) => request.url)).toEqual(['/models/v1/single.bin']);
  });

  test('come from a profile', async () => {
    await using server = await start();
    await writeFile(join(dir, 'credentials'), `[prod]\naws_access_key_id=${KEYS.accessKeyId}\naws_secret_access_key=${KEYS.secretAccessKey}\n`);
    vi.stubEnv('AWS_PROFILE', 'prod');
    expect(await read(SINGLE, { AWS_ENDPOINT_URL: server.origin })).toBe('single');
  });

  test('come from EKS Pod Identity', async () => {
    await using agent = await listen((request, response) => {
      response.end(
        request.headers.authorization === 'pod-token'
          ? JSON.stringify({ AccessKeyId: KEYS.accessKeyId, SecretAccessKey: KEYS.secretAccessKey, Token: 'pod', Expiration: '2099-01-01T00:00:00Z' })
          : '{}',
      );
    });
    await using server = await start({ keys: { ...KEYS, sessionToken: 'pod' } });
    await writeFile(join(dir, 'token'), 'pod-token');
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${agent.origin}/v1/credentials`);
    vi.stubEnv('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', join(dir, 'token'));
    expect(await read(SINGLE, { AWS_ENDPOINT_URL: server.origin })).toBe('single');
  });

  describe('of a web identity (IRSA)', () => {
    const assumed = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${KEYS.accessKeyId}</AccessKeyId><SecretAccessKey>${KEYS.secretAccessKey}</SecretAccessKey><SessionToken>irsa</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
    const refused = '<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>';
    const keys = { ...KEYS, sessionToken: 'irsa' };

    async function useIdentity(endpoint: string): Promise<void> {
      await writeFile(join(dir, 'web-token'), 'header.payload.signature');
      vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/models');
      vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(dir, 'web-token'));
      vi.stubEnv('AWS_ENDPOINT_URL_STS', endpoint);
    }

    test('are asked from STS', async () => {
      await using sts = await listen((_, response) => response.setHeader('content-type', 'text/xml').end(assumed));
      await using server = await start({ keys });
      await useIdentity(sts.origin);
      expect(await read(SINGLE, { AWS_ENDPOINT_URL: server.origin })).toBe('single');
    });

    test('are asked through the proxy and with the private CA', async () => {
      const authority = await makeAuthority();
      await using sts = await listen((_, response) => response.setHeader('content-type', 'text/xml').end(assumed), await issueServer(authority));
      await using server = await start({ keys });
      await using proxy = await startProxy();
      await useIdentity(sts.origin);
      await writeFile(join(dir, 'ca.crt'), authority.certPem);
      const env = { AWS_ENDPOINT_URL: server.origin, AWS_CA_BUNDLE: join(dir, 'ca.crt'), HTTPS_PROXY: proxy.origin };
      expect(await read(SINGLE, env)).toBe('single');
      expect(proxy.seen.map((request) => `${request.method} https://${request.url}`)).toEqual([`CONNECT ${sts.origin}`]);
    });

    test('never reach an STS that TLS does not vouch for, even when verification is off for S3', async () => {
      const asked: string[] = [];
      await using sts = await listen(
        (request, response) => {
          asked.push(request.url ?? '');
          response.end(assumed);
        },
        await issueServer(await makeAuthority()),
      );
      await useIdentity(sts.origin);
      expect(await codeOf(urlOf(SINGLE, { S3_VERIFY_SSL: '0' }))).toMatch(/^(CREDENTIALS_MISSING|SOURCE_UNAVAILABLE)$/);
      expect(asked).toEqual([]);
    });

    test('that STS refuses are CREDENTIALS_MISSING, and the token is not repeated', async () => {
      await using sts = await listen((_, response) => response.writeHead(400, { 'content-type': 'text/xml' }).end(refused));
      await useIdentity(sts.origin);
      const failure = await failureOf(urlOf(SINGLE, {}));
      expect(failure.code).toBe('CREDENTIALS_MISSING');
      expect(failure.message).toContain('InvalidIdentityToken');
      expect(failure.message).not.toContain('payload');
    });

    test('are SOURCE_UNAVAILABLE while STS is down', async () => {
      const sts = await listen(() => {});
      await sts[Symbol.asyncDispose]();
      vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
      await useIdentity(sts.origin);
      expect(await failureOf(urlOf(SINGLE, {}))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', context: { retry: 'relocate' } });
    });
  });
});

describe('answers of S3', () => {
  test('403 for a missing key without ListBucket is SOURCE_DENIED, 404 is SOURCE_NOT_FOUND', async () => {
    await using server = await start({ missingKey: 'denied' });
    expect(await codeOf(read('s3://models/absent', { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin }))).toBe('SOURCE_DENIED');
    await using open = await start();
    expect(await codeOf(read('s3://models/absent', { ...KEY_ENV, AWS_ENDPOINT_URL: open.origin }))).toBe('SOURCE_NOT_FOUND');
  });

  test('a missing bucket is told from a missing object', async () => {
    await using server = await start();
    const failure = await failureOf(read('s3://other/x', { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin }));
    expect(failure).toMatchObject({ code: 'SOURCE_NOT_FOUND', context: { op: 'bucket', status: 404 } });
  });

  test('a wrong region names the right one', async () => {
    await using server = await start({ region: 'eu-west-1' });
    const failure = await failureOf(read(SINGLE, { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin }));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.message).toContain('is in region eu-west-1');
  });

  test('another secret is SOURCE_DENIED, and the signature is not repeated', async () => {
    await using server = await start();
    const failure = await failureOf(read(SINGLE, { ...KEY_ENV, AWS_SECRET_ACCESS_KEY: 'other', AWS_ENDPOINT_URL: server.origin }));
    expect(failure).toMatchObject({ code: 'SOURCE_DENIED', context: { found: 'SignatureDoesNotMatch', retry: 'no' } });
    expect(failure.message).toContain('?<redacted>');
    expect(failure.message).not.toContain('X-Amz');
  });

  test('an expired URL may be located again', async () => {
    await using server = await start({ now: () => Date.now() + 3_601_000 });
    const failure = await failureOf(read(SINGLE, { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin, AWS_MAX_ATTEMPTS: '1' }));
    expect(failure).toMatchObject({ code: 'SOURCE_DENIED', context: { retry: 'relocate' } });
  });
});

describe('TLS', () => {
  test('takes AWS_CA_BUNDLE before the cluster’s bundle, and S3_VERIFY_SSL', async () => {
    const authority = await makeAuthority();
    await using server = await start({ tls: await issueServer(authority) });
    const env = { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin };
    await writeFile(join(dir, 'ca.crt'), authority.certPem);
    expect(await codeOf(read(SINGLE, env))).toBe('TLS_FAILED');
    expect(await read(SINGLE, { ...env, AWS_CA_BUNDLE: join(dir, 'ca.crt'), CA_BUNDLE_CONFIGMAP_NAME: 'cas', CA_BUNDLE_VOLUME_MOUNT_POINT: '/absent' })).toBe(
      'single',
    );
    expect(await read(SINGLE, { ...env, S3_VERIFY_SSL: '0' })).toBe('single');
    expect(await read(SINGLE, { ...env, S3_VERIFY_SSL: 'False' })).toBe('single');
    expect(await read(SINGLE, env, withS3({ verifyTls: false }))).toBe('single');
  });

  test.each([{ AWS_CA_BUNDLE: '/absent/ca.crt' }, { CA_BUNDLE_CONFIGMAP_NAME: 'cas', CA_BUNDLE_VOLUME_MOUNT_POINT: '/absent' }])(
    'with a configured but missing CA bundle fails at once: %j',
    async (env) => {
      expect(await codeOf(urlOf(SINGLE, { ...KEY_ENV, ...env }))).toBe('CONFIG_INVALID');
    },
  );
});

describe('one version of an object', () => {
  const uri = `${SINGLE}?versionId=3L4k+x.y`;

  test('is asked for by its id, signed or not; its bundle is not', async () => {
    await using server = await start();
    const env = { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin };
    expect((await urlOf(uri, env)).searchParams.get('versionId')).toBe('3L4k+x.y');
    expect(await read(uri, env)).toBe('single');
    expect((await urlOf(uri, env, SETTINGS, { kind: 'beside', suffix: '.sig' })).searchParams.has('versionId')).toBe(false);
    expect((await urlOf(uri, { AWS_ENDPOINT_URL: server.origin }, withS3({ anonymous: true }))).search).toBe('?versionId=3L4k%2Bx.y');
  });

  test('is no directory', async () => {
    expect(await codeOf(urlOf(uri, KEY_ENV, SETTINGS, { kind: 'inside', path: 'a' }))).toBe('PLAN_CONTRADICTION');
  });
});

describe('requester pays', () => {
  test('is said in the signed URL', async () => {
    await using server = await start();
    const env = { ...KEY_ENV, AWS_ENDPOINT_URL: server.origin };
    const url = await urlOf(SINGLE, env, withS3({ requesterPays: true }));
    expect(url.searchParams.get('x-amz-request-payer')).toBe('requester');
    expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('host');
    expect(await read(SINGLE, env, withS3({ requesterPays: true }))).toBe('single');
  });

  test('contradicts anonymous requests', async () => {
    expect(await codeOf(read(SINGLE, {}, withS3({ requesterPays: true, anonymous: true })))).toBe('PLAN_CONTRADICTION');
  });
});
