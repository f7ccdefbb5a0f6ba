// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import type { Environment, ObjectRef, SourceSettings } from '../../src/source/source.ts';
import { readSmall } from '../../src/transfer/fetchSmall.ts';
import { commitOf, startHub } from '../servers/hubServer.ts';
import { type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { pullHere } from '../support/run.ts';
import { BESIDE_FILES, MODEL_FILES, SETTINGS, sourceContract } from './contract.ts';
import { codeOf, failureOf } from './errors.ts';

const signal = new AbortController().signal;
const TOKEN = 'hf_hunter2';
const tree = { ...Object.fromEntries(Object.entries(MODEL_FILES).map(([name, body]) => [`model/${name}`, body])), ...BESIDE_FILES };

sourceContract('hf', async () => {
  const hub = await startHub({ repositories: { 'org/models': { 'feature/x': tree } }, token: TOKEN, largeFrom: 7 });
  return {
    directory: parseSourceUri('hf://org/models@feature%2Fx/model/', '/'),
    single: parseSourceUri('hf://org/models@feature%2Fx/single.bin', '/'),
    settings: at(hub.origin),
    env: { HF_TOKEN: TOKEN },
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
});

function at(endpoint: string, http: Partial<SourceSettings['http']> = {}): SourceSettings {
  return { ...SETTINGS, http: { ...SETTINGS.http, ...http }, hf: { endpoint } };
}

async function locate(uri: string, ref: ObjectRef, settings = SETTINGS, env: Environment = {}) {
  await using source = await openSource(parseSourceUri(uri, '/'), settings, env);
  const locator = await source.locate(ref, signal);
  if (locator.kind !== 'http') throw new Error('not an http locator');
  return locator;
}

async function read(uri: string, path: string, settings: SourceSettings, env: Environment = {}) {
  await using source = await openSource(parseSourceUri(uri, '/'), settings, env);
  return (await readSmall(source.http, await source.locate({ kind: 'inside', path }, signal), 1000, signal)).toString();
}

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

describe('a repository', () => {
  test.each([
    ['hf://org/model', { kind: 'inside', path: 'a b.bin' }, 'https://huggingface.co/org/model/resolve/main/a%20b.bin'],
    ['hf://org/model@refs/pr/1', { kind: 'inside', path: 'c' }, 'https://huggingface.co/org/model/resolve/refs%2Fpr%2F1/c'],
    ['hf://org/model:v1/m.gguf', { kind: 'self' }, 'https://huggingface.co/org/model/resolve/v1/m.gguf'],
    ['hf://org/model/sub/', { kind: 'beside', suffix: '.sig' }, 'https://huggingface.co/org/model/resolve/main/sub.sig'],
  ] as const)('%s takes %j to %s', async (uri, ref, expected) => {
    expect((await locate(uri, ref)).url).toBe(expected);
  });

  test('may be on a mirror, below a path', async () => {
    expect((await locate('hf://o/m', { kind: 'inside', path: 'a' }, at('https://mirror.example/hf/'))).url).toBe(
      'https://mirror.example/hf/o/m/resolve/main/a',
    );
  });

  test.each(['mirror.example', 'ftp://h', 'https://user:hunter2@h', 'https://h/?token=hunter2'])('is not on %s', async (endpoint) => {
    const failure = await failureOf(locate('hf://o/m', { kind: 'inside', path: 'a' }, at(endpoint)));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.message).not.toContain('hunter2');
  });

  test('as a whole is no object and has nothing beside it', async () => {
    expect(await codeOf(locate('hf://o/m', { kind: 'self' }))).toBe('PLAN_CONTRADICTION');
    expect(await codeOf(locate('hf://o/m', { kind: 'beside', suffix: '.sig' }))).toBe('PLAN_CONTRADICTION');
  });

  test('is not asked for when the hub is to be left alone', async () => {
    expect(await codeOf(locate('hf://o/m', { kind: 'inside', path: 'a' }, SETTINGS, { HF_HUB_OFFLINE: '1' }))).toBe('CONFIG_INVALID');
  });

  test('that is absent, has no such revision, is private or gated: each is told apart from a missing file', async () => {
    await using hub = await startHub({ repositories: { 'o/m': { main: { a: 'A' } }, 'o/gated': { main: { a: 'A' } } }, token: TOKEN, gated: ['o/gated'] });
    const fail = (uri: string, path: string, env: Environment = { HF_TOKEN: TOKEN }) => failureOf(read(uri, path, at(hub.origin), env));
    expect(await fail('hf://o/m', 'b')).toMatchObject({ code: 'SOURCE_NOT_FOUND', context: { found: 'EntryNotFound' } });
    expect(await fail('hf://o/m@v9', 'a')).toMatchObject({ code: 'SOURCE_NOT_FOUND', context: { op: 'bucket' } });
    expect(await fail('hf://o/absent', 'a')).toMatchObject({ code: 'SOURCE_NOT_FOUND', context: { op: 'bucket' } });
    expect(await fail('hf://o/m', 'a', {})).toMatchObject({ code: 'SOURCE_DENIED' });
    const gated = await fail('hf://o/gated', 'a');
    expect(gated).toMatchObject({ code: 'SOURCE_DENIED', hint: expect.stringContaining('HF_TOKEN') });
  });
});

describe('the token', () => {
  const authorization = async (env: Environment, settings = SETTINGS) =>
    (await locate('hf://o/m', { kind: 'inside', path: 'a' }, settings, env)).headers['authorization'];

  test('comes from HF_TOKEN, a token file, or the login of the hub’s tools, in this order', async () => {
    mkdirSync(tmp.at('home/.cache/huggingface'), { recursive: true });
    writeFileSync(tmp.at('home/.cache/huggingface/token'), 'login\n');
    writeFileSync(tmp.at('token'), 'file\n');
    const home = { HOME: tmp.at('home') };
    expect(await authorization({ ...home, HF_TOKEN_PATH: tmp.at('token'), HF_TOKEN: 'env' })).toBe('Bearer env');
    expect(await authorization({ ...home, HF_TOKEN_PATH: tmp.at('token') })).toBe('Bearer file');
    expect(await authorization(home)).toBe('Bearer login');
    expect(await authorization({ ...home, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined();
    expect(await authorization({ HF_HOME: tmp.at('home/.cache/huggingface') })).toBe('Bearer login');
    expect(await authorization({ HOME: tmp.at('nobody') })).toBeUndefined();
    rmSync(tmp.at('home'), { recursive: true });
  });

  test('of a login for the public hub is not for a mirror', async () => {
    writeFileSync(tmp.at('token'), 'login\n');
    expect(await authorization({ HF_HOME: tmp.path }, at('https://mirror.example'))).toBeUndefined();
    expect(await authorization({ HF_HOME: tmp.path, HF_TOKEN: 'meant' }, at('https://mirror.example'))).toBe('Bearer meant');
  });

  test('gives way to credentials that are configured for this program', async () => {
    expect(await authorization({ HF_TOKEN: 'env' }, at('https://huggingface.co', { headers: { Authorization: 'Mine' } }))).toBe('Mine');
    expect(await authorization({ HF_TOKEN: 'env' }, at('https://huggingface.co', { basicAuth: 'a:b' }))).toBe(`Basic ${btoa('a:b')}`);
  });

  test('that cannot be one is CREDENTIALS_MISSING without its text', async () => {
    const failure = await failureOf(authorization({ HF_TOKEN: 'hunter2 two words' }));
    expect(failure.code).toBe('CREDENTIALS_MISSING');
    expect(failure.message).not.toContain('hunter2');
    expect(await codeOf(authorization({ HF_TOKEN_PATH: tmp.at('absent') }))).toBe('CREDENTIALS_MISSING');
  });
});

describe('pulling from a hub', () => {
  const files = signed({ ...SMALL_MODEL, 'big.safetensors': randomBytes(20 * 1024 * 1024) });

  test('gives the same tree, records the commit, and shows the token to the hub only', async () => {
    await using hub = await startHub({ repositories: { 'org/chat': { main: files } }, token: TOKEN, largeFrom: 30_000 });
    const to = tmp.at('a/models');
    const outcome = await pullHere(['hf://org/chat', to], { env: { HF_ENDPOINT: hub.origin, HF_TOKEN: TOKEN } });
    expect(outcome).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(outcome.evidence.models[0]?.source).toBe('hf://org/chat@main');
    expect(outcome.evidence.models[0]?.files.every((file) => file.versionId === commitOf('main'))).toBe(true);
    expect(hub.storeSeen.length).toBeGreaterThan(2);
    expect(hub.storeSeen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test('without a bundle is UNSIGNED, not a contradiction', async () => {
    await using hub = await startHub({ repositories: { 'org/chat': { v1: SMALL_MODEL } } });
    expect(await pullHere(['hf://org/chat:v1', tmp.at('b/models')], { env: { HF_ENDPOINT: hub.origin } })).toMatchObject({ reason: 'UNSIGNED' });
    expect(await pullHere(['hf://org/chat:v2', tmp.at('b/models')], { env: { HF_ENDPOINT: hub.origin } })).toMatchObject({ reason: 'SOURCE_NOT_FOUND' });
  });

  test('does not take whom to trust from the same hub', async () => {
    const key = 'https://hub.example/keys/raw/main/pub.pem';
    const options = { flags: { 'public-key': [key] }, env: { HF_ENDPOINT: 'https://hub.example' } };
    expect(await pullHere(['hf://org/chat', tmp.at('c/models')], options)).toMatchObject({ reason: 'ANCHORS_UNPINNED' });
  });
});
