// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listen } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { SMALL_MODEL, signed, treeFrom, treeOf } from '../support/model.ts';
import { pullHere, type RunOptions } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const METADATA = '169.254.169.254';
const SPELLINGS = [METADATA, '2852039166', '0xa9fea9fe', '[::ffff:169.254.169.254]', '[fe80::1]', '[fd00:ec2::254]', '100.100.100.200'];
const files = signed(SMALL_MODEL);

const tmp = fileScratch();

/** Nothing stands at the destination, and the refusal took no time: nobody tried to connect. */
async function refused(source: string, reason: string, exitCode: number, options: RunOptions = {}): Promise<string> {
  const parent = tmp.fresh();
  const start = performance.now();
  const outcome = await pullHere([source, `${parent}/models`], { ...options, flags: { 'connect-timeout': '20s', ...options.flags } });
  expect([source, outcome.reason, outcome.exitCode]).toEqual([source, reason, exitCode]);
  expect(existsSync(`${parent}/models`)).toBe(false);
  expect(performance.now() - start).toBeLessThan(5000);
  return outcome.error?.message ?? '';
}

describe('a link-local address', () => {
  test.each(SPELLINGS)('is refused as a source, however it is written: %s', async (host) => {
    expect(await refused(`http://${host}/latest/`, 'CONFIG_INVALID', 2)).toContain('link-local');
    await refused(`http://${host}/latest/`, 'CONFIG_INVALID', 2, { flags: { 'http-reader': 'library' } });
  });

  test('is refused as an endpoint, however that is configured', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' };
    await refused('s3://models/v1/', 'CONFIG_INVALID', 2, { env: { ...env, AWS_ENDPOINT_URL: `http://${METADATA}` } });
    await refused('s3://models/v1/', 'CONFIG_INVALID', 2, { env, flags: { 's3-endpoint': `http://${METADATA}` } });
    await refused('hf://owner/model', 'CONFIG_INVALID', 2, { env: { HF_ENDPOINT: `http://${METADATA}` } });
  });

  test('is refused as the address of a bundle', async () => {
    await using server = await serveModel(SMALL_MODEL);
    await refused(server.url, 'CONFIG_INVALID', 2, { flags: { bundle: `http://${METADATA}/model.sig` } });
  });

  test('is refused as the address of a key, a policy and a trusted root', async () => {
    await using server = await serveModel(files);
    const pin = `#sha256=${'0'.repeat(64)}`;
    for (const flags of [
      { 'public-key': [`http://${METADATA}/key.pem${pin}`] },
      { policy: `http://${METADATA}/policy.yaml${pin}` },
      { identity: ['a@example.com'], issuer: ['https://issuer.example'], 'trusted-root': `http://${METADATA}/root.json${pin}` },
    ])
      expect(await refused(server.url, 'ANCHORS_UNREACHABLE', 3, { flags })).toContain('link-local');
  });
});

describe('a redirect', () => {
  test.each(SPELLINGS)('to a link-local address is refused, of the bundle and of a file: %s', async (host) => {
    for (const name of ['model.sig', 'config.json'])
      for (const reader of ['auto', 'library']) {
        await using server = await serveModel(files);
        server.always(server.pathOf(name), { kind: 'redirect', location: `http://${host}/latest/meta-data/` });
        expect(await refused(server.url, 'SOURCE_UNAVAILABLE', 3, { flags: { 'http-reader': reader } })).toContain('link-local');
        expect(server.asked().filter((asked) => asked === name)).toHaveLength(1);
      }
  });

  test('of an S3 service and of a key’s server to a link-local address is refused', async () => {
    await using server = await startS3Server({ buckets: { models: {} }, keys: { accessKeyId: 'a', secretAccessKey: 'b' } });
    await using redirecting = await listen((_, response) => response.writeHead(307, { location: `http://${METADATA}/` }).end());
    const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' };
    await refused('s3://models/v1/', 'SOURCE_UNAVAILABLE', 3, { env: { ...env, AWS_ENDPOINT_URL: redirecting.origin } });
    const key = `${redirecting.origin}/key.pem#sha256=${'0'.repeat(64)}`;
    expect(
      await refused('s3://models/v1/', 'ANCHORS_UNREACHABLE', 3, { env: { ...env, AWS_ENDPOINT_URL: server.origin }, flags: { 'public-key': [key] } }),
    ).toContain('link-local');
  });

  test('from a server out there (behind a proxy) to this machine is refused, by address and by name', async () => {
    await using inside = await serveModel(files);
    for (const host of ['127.0.0.1', 'localhost', '0.0.0.0', '[::ffff:127.0.0.1]']) {
      const target = inside.url.replace('127.0.0.1', host);
      await using proxy = await listen((request, response) => {
        const name = new URL(request.url ?? '').pathname.slice('/m/'.length);
        response.writeHead(307, { location: `${target}${name}` }).end();
      });
      const env = { HTTP_PROXY: proxy.origin, NO_PROXY: '127.0.0.0/8,localhost,0.0.0.0,::ffff:7f00:1' };
      await refused('http://models.example/m/', 'SOURCE_UNAVAILABLE', 3, { env });
    }
    expect(inside.seen).toEqual([]);
  });
});

describe('what is not refused', () => {
  test('is a source on loopback that was named, and its redirects on loopback', async () => {
    await using elsewhere = await serveModel(files);
    await using server = await serveModel(files);
    server.always(server.pathOf('config.json'), {
      kind: 'redirect',
      location: `${elsewhere.origin.replace('127.0.0.1', 'localhost')}${elsewhere.pathOf('config.json')}`,
    });
    const to = tmp.at('allowed', 'models');
    expect(await pullHere([server.url.replace('127.0.0.1', 'localhost'), to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(elsewhere.asked()).toEqual(['config.json']);
  });

  // Needs a network namespace with that address in it.
  test.skipIf(!mayUnshare())('is the link-local address where the SDK itself looks for credentials', () => {
    const script = resolve(import.meta.dirname, 'credentialsAgent.ts');
    const commands = `ip link set lo up && ip address add 169.254.170.2/32 dev lo && exec "${process.execPath}" "${script}"`;
    expect(JSON.parse(execFileSync('unshare', ['--net', 'sh', '-c', commands], { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }))).toEqual({
      reason: 'OK',
      asked: ['/credentials'],
      published: Object.keys(treeFrom(signed(SMALL_MODEL))),
    });
  });
});

function mayUnshare(): boolean {
  return spawnSync('unshare', ['--net', 'sh', '-c', 'PATH=/usr/sbin:/sbin:$PATH ip link set lo up']).status === 0;
}
