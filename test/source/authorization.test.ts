// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { headersFor } from '../../src/source/authorization.ts';
import type { Environment, SourceSettings } from '../../src/source/source.ts';
import { startHttpServer } from '../servers/httpServer.ts';
import { type Scratch, SMALL_MODEL, scratch, signed } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import { SETTINGS } from './contract.ts';
import { codeOf, failureOf } from './errors.ts';

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

async function authorization(http: Partial<SourceSettings['http']>, env: Environment = {}, url = 'https://models.example/m'): Promise<string | undefined> {
  const header = (await headersFor(new URL(url), { ...SETTINGS.http, ...http }, env)())['authorization'];
  return header?.startsWith('Basic ') ? Buffer.from(header.slice('Basic '.length), 'base64').toString() : header;
}

function netrc(text: string): { readonly netrcFile: string } {
  writeFileSync(tmp.at('netrc'), text);
  return { netrcFile: tmp.at('netrc') };
}

describe('basic authentication', () => {
  test('is user and password, in UTF-8', async () => {
    expect(await authorization({ basicAuth: 'user:pass:wörd' })).toBe('user:pass:wörd');
  });

  test('reaches the server as given in the environment, and no log', async () => {
    await using server = await serveModel(signed(SMALL_MODEL));
    const env = { MODEL_GATE_BASIC_AUTH: 'user:hunter2' };
    expect(await pullHere([server.url, tmp.at('a/models')], { env })).toMatchObject({ reason: 'OK' });
    expect(server.seen.every(({ headers }) => headers.authorization === `Basic ${btoa('user:hunter2')}`)).toBe(true);
    const dry = await runGate(['pull', server.url, '/mnt/models', '--dry-run', '--public-key', '/k'], { env });
    expect(dry.code).toBe(0);
    expect(dry.stdout + dry.stderr).not.toContain('hunter2');
  });

  test('is not sent on to where the server redirects', async () => {
    await using other = await startHttpServer({ files: { '/m.sig': 'x' } });
    await using server = await serveModel({});
    server.always(server.pathOf('model.sig'), { kind: 'redirect', location: `${other.origin}/m.sig` });
    await pullHere([server.url, tmp.at('b/models')], { env: { MODEL_GATE_BASIC_AUTH: 'user:hunter2' } });
    expect(other.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test.each(['hunter2', 'user:hunter2\n'])('of another form is CONFIG_INVALID without its text: %j', async (value) => {
    const { error } = await pullHere(['https://h/m/', tmp.at('c/models')], { flags: { 'basic-auth': value } });
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('hunter2') });
  });

  test('contradicts every other way to give credentials', async () => {
    for (const other of [{ bearerTokenFile: '/t' }, { headers: { Authorization: 'x' } }, { netrcFile: '/n' }])
      expect(await codeOf(authorization({ basicAuth: 'a:b', ...other }))).toBe('PLAN_CONTRADICTION');
  });
});

describe('a netrc file', () => {
  test.each([
    ['machine models.example login u password p', 'u:p'],
    ['machine other login x password y\nmachine MODELS.example\n\tlogin u\n\tpassword p\n', 'u:p'],
    ['# a comment with machine words\nmachine models.example login u # password none\npassword p', 'u:p'],
    ['machine models.example login u password "p \\"q\\" \\\\"', 'u:p "q" \\'],
    ['machine models.example login u password #p', 'u:#p'],
    ['machine models.example account a login u', 'u:'],
    ['macdef init\nmachine models.example login x password y\n\nmachine models.example login u password p', 'u:p'],
    ['default login d password e', 'd:e'],
    ['default login d password e machine models.example login u password p', 'u:p'],
    ['machine sub.models.example login x password y', undefined],
    ['machine models.example', undefined],
    ['', undefined],
  ])('%j gives %s', async (text, expected) => {
    expect(await authorization(netrc(text))).toBe(expected);
  });

  test('knows hosts, not ports, and gives way to headers for the host', async () => {
    const file = netrc('machine models.example login u password p');
    expect(await authorization(file, {}, 'https://models.example:8443/m')).toBe('u:p');
    expect(await authorization(file, { 'models.example-headers': '{"Authorization":"Mine"}' })).toBe('Mine');
  });

  test('is read again for every request', async () => {
    const headers = headersFor(new URL('https://h/'), { ...SETTINGS.http, ...netrc('machine h login u password old') }, {});
    expect((await headers())['authorization']).toBe(`Basic ${btoa('u:old')}`);
    netrc('machine h login u password new');
    expect((await headers())['authorization']).toBe(`Basic ${btoa('u:new')}`);
  });

  test.each([
    'machine',
    'login u',
    'machine models.example hunter2 x',
    'machine models.example login a:b password hunter2',
    'machine models.example login u password "hunter\u00002"',
  ])('that is none is CONFIG_INVALID without its words: %j', async (text) => {
    const failure = await failureOf(authorization(netrc(text)));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(`${failure.message}${failure.hint}`).not.toMatch(/hunter|a:b/);
  });

  test('that is absent or a FIFO is CREDENTIALS_MISSING', async () => {
    expect(await codeOf(authorization({ netrcFile: tmp.at('absent') }))).toBe('CREDENTIALS_MISSING');
    execFileSync('mkfifo', [tmp.at('fifo')]);
    expect(await codeOf(authorization({ netrcFile: tmp.at('fifo') }))).toBe('CREDENTIALS_MISSING');
  });
});
