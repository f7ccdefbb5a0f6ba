// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { makeToken, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { KEYS, SMALL_MODEL, signed, writeTree } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const tmp = fileScratch();
beforeAll(() => {
  // Every socket of every thread goes through this function of Node, whatever library opens it.
  const recorder = `import { appendFileSync } from 'node:fs'; import { Socket } from 'node:net';
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  appendFileSync(process.env.CONNECTIONS, (options.path ?? options.host + ':' + options.port) + '\\n');
  return connect.apply(this, args);
};`;
  writeTree(tmp.path, {
    'recorder.mjs': recorder,
    'key.pem': KEYS.publicPem,
    ...Object.fromEntries(Object.entries(signed(SMALL_MODEL)).map(([name, body]) => [`model/${name}`, body])),
  });
});

type Connections = { readonly code: unknown; readonly to: readonly string[] };

async function connectionsOf(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Connections> {
  const log = tmp.fresh();
  const { code } = await runGate(args, { env: { NODE_OPTIONS: `--import=${tmp.at('recorder.mjs')}`, CONNECTIONS: log, ...env } });
  return { code, to: existsSync(log) ? [...new Set(readFileSync(log, 'utf8').trim().split('\n'))] : [] };
}

const hostOf = (server: { readonly origin: string }): string => new URL(server.origin).host;

test('a pull connects to its source and to nothing else', async () => {
  await using server = await serveModel(signed(SMALL_MODEL));
  const found = await connectionsOf(['pull', server.url, tmp.at('to'), '--public-key', tmp.at('key.pem')]);
  expect(found).toEqual({ code: 0, to: [new URL(server.url).host] });
});

test('a verify, also of a keyless identity with the embedded root, connects to nothing', async () => {
  expect(await connectionsOf(['verify', tmp.at('model'), '--public-key', tmp.at('key.pem')])).toEqual({ code: 0, to: [] });
  const keyless = ['verify', tmp.at('model'), '--identity', 'a@example.com', '--issuer', 'https://issuer.example.com'];
  expect(await connectionsOf(keyless)).toEqual({ code: 1, to: [] });
});

describe('a pull from S3', () => {
  const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's3cr3t', sessionToken: 'token' };
  const json = { AccessKeyId: keys.accessKeyId, SecretAccessKey: keys.secretAccessKey, Token: keys.sessionToken, Expiration: '2099-01-01T00:00:00Z' };
  const assumed = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>${keys.accessKeyId}</AccessKeyId><SecretAccessKey>${keys.secretAccessKey}</SecretAccessKey><SessionToken>${keys.sessionToken}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
  const objects = Object.fromEntries(Object.entries(signed(SMALL_MODEL)).map(([name, body]) => [`v1/${name}`, body]));
  const startS3 = () => startS3Server({ buckets: { models: objects }, keys });
  const pull = (s3: { readonly origin: string }, env: Readonly<Record<string, string>>): Promise<Connections> =>
    connectionsOf(['pull', 's3://models/v1/', `${tmp.fresh()}/models`, '--public-key', tmp.at('key.pem')], {
      AWS_ENDPOINT_URL_S3: s3.origin,
      AWS_REGION: 'us-east-1',
      ...env,
    });

  test('with keys connects to S3 alone', async () => {
    await using s3 = await startS3();
    const env = { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey, AWS_SESSION_TOKEN: keys.sessionToken };
    expect(await pull(s3, env)).toEqual({ code: 0, to: [hostOf(s3)] });
  });

  test('with a web identity (IRSA) connects to STS before, and to nothing else', async () => {
    await using s3 = await startS3();
    await using sts = await listen((_, response) => response.setHeader('content-type', 'text/xml').end(assumed));
    writeTree(tmp.path, { token: 'a token' });
    const role = { AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/models', AWS_WEB_IDENTITY_TOKEN_FILE: tmp.at('token') };
    expect(await pull(s3, { ...role, AWS_ENDPOINT_URL_STS: sts.origin })).toEqual({ code: 0, to: [hostOf(sts), hostOf(s3)] });
  });

  test('with an agent (EKS Pod Identity) connects to it before, and to nothing else', async () => {
    await using s3 = await startS3();
    await using agent = await listen((_, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(json)));
    expect(await pull(s3, { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${agent.origin}/credentials` })).toEqual({ code: 0, to: [hostOf(agent), hostOf(s3)] });
  });

  test('with an instance role connects to the metadata service before, and to nothing else', async () => {
    await using s3 = await startS3();
    await using metadata = await listen(({ method, url }, response) => {
      const path = url?.replace('/latest/', '');
      if (method === 'PUT') response.end('a token');
      else response.end(path === 'meta-data/iam/security-credentials/' ? 'role' : JSON.stringify({ Code: 'Success', ...json }));
    });
    expect(await pull(s3, { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.origin })).toEqual({ code: 0, to: [hostOf(metadata), hostOf(s3)] });
  });

  test('with no credentials at all looks for them at the metadata service, and goes nowhere else', async () => {
    await using s3 = await startS3();
    await using nobody = await listen((_, response) => response.writeHead(404).end());
    expect(await pull(s3, { AWS_EC2_METADATA_SERVICE_ENDPOINT: nobody.origin })).toEqual({ code: 3, to: [hostOf(nobody)] });
  });
});

test('--tuf-refresh connects to its repository and to nothing else', async () => {
  await using mirror = await listen((_, response) => response.writeHead(404).end());
  const { 'https://tuf-repo-cdn.sigstore.dev': seed } = createRequire(import.meta.url)('@sigstore/tuf/seeds.json') as Record<string, { 'root.json': string }>;
  writeTree(tmp.path, { 'root.json': Buffer.from(seed?.['root.json'] ?? '', 'base64') });
  const identity = ['--identity', 'a@example.com', '--issuer', 'https://issuer.example.com'];
  const tuf = ['--tuf-refresh', '--tuf-mirror', mirror.origin, '--tuf-root', tmp.at('root.json')];
  expect(await connectionsOf(['verify', tmp.at('model'), ...identity, ...tuf])).toEqual({ code: 3, to: [hostOf(mirror)] });
});

test('signing keyless connects to the services of its trust configuration and to nothing else', async () => {
  await using services = await startSigstoreServer();
  writeTree(tmp.path, { 'new/a': 'a', 'trust.json': JSON.stringify(services.trustConfig()), 'id-token': makeToken() });
  const args = ['sign', 'sigstore', tmp.at('new'), '--trust-config', tmp.at('trust.json'), '--identity-token-file', tmp.at('id-token')];
  expect(await connectionsOf(args)).toEqual({ code: 0, to: [hostOf(services)] });
});
