// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AppError, asAppError, type ErrorCode } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import { digest } from '../../src/pipeline/digest.ts';
import { inspect } from '../../src/pipeline/inspect.ts';
import type { ToolDeps } from '../../src/pipeline/measure.ts';
import { sign } from '../../src/pipeline/sign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makeDigestPlan, makeInspectPlan, makeSignPlan } from '../../src/plan/makeTool.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, snapshot, writeTree } from '../support/model.ts';
import { type Flags, verifyHere } from '../support/run.ts';
import { makeKeys, rootDigestOf } from '../support/signer.ts';
import { type KeyKind, keyPair, leaf, pem, root } from '../trust/pki.ts';

const PRIVATE_KEY = KEYS.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
let told: Event[];
const DEPS: ToolDeps = { emit: (event) => void told.push(event), signal: new AbortController().signal, now: () => new Date(), env: {} };

let space: Scratch;
let model: string;

beforeEach(() => {
  told = [];
  space = scratch();
  model = space.at('model');
  writeTree(model, SMALL_MODEL);
});
afterEach(() => space[Symbol.dispose]());

async function signHere(path = model, flags: Flags = {}, method = 'key', env: Record<string, string> = {}): Promise<'OK' | ErrorCode> {
  return (await trySign(path, flags, method, env))?.code ?? 'OK';
}

async function trySign(path: string, flags: Flags, method: string, env: Record<string, string> = {}): Promise<AppError | undefined> {
  try {
    const { values } = resolveOptions('sign', { flags: { 'private-key': PRIVATE_KEY, ...flags }, env, file: undefined });
    await sign(makeSignPlan([method, path], values), DEPS);
    return undefined;
  } catch (error) {
    return asAppError(error);
  }
}

const bundle = (path = join(model, 'model.sig')) => JSON.parse(readFileSync(path, 'utf8')) as { dsseEnvelope: { payload: string } };
type Statement = {
  subject: { name: string }[];
  predicate: { resources: { name: string }[]; serialization: { ignore_paths?: string[]; allow_symlinks: boolean } };
};
const statement = (path?: string): Statement => JSON.parse(Buffer.from(bundle(path).dsseEnvelope.payload, 'base64').toString()) as Statement;
const signedNames = (path?: string) => statement(path).predicate.resources.map((resource) => resource.name);

describe('signing', () => {
  test.each([
    ['whole files', {}],
    ['blake2b', { hash: 'blake2b' }],
    ['blake3', { hash: 'blake3' }],
    ['shards', { 'shard-size': '30000' }],
    ['shards with blake3', { 'shard-size': '70001', hash: 'blake3' }],
  ])('writes a bundle with %s that verifies, beside the files it signs', async (_what, flags) => {
    expect(await signHere(model, flags)).toBe('OK');
    expect((await verifyHere(model)).reason).toBe('OK');
    writeFileSync(join(model, 'weights/part-2.bin'), Buffer.alloc(70_001, 'too'));
    expect((await verifyHere(model)).reason).toBe('DIGEST_MISMATCH');
  });

  test('with a certificate writes one that verifies below its CA', async () => {
    const ca = await root({ from: new Date(Date.now() - 1e9), to: new Date(Date.now() + 1e9) });
    const signer = await leaf(ca, { from: new Date(Date.now() - 1e8), to: new Date(Date.now() + 1e8) });
    const flags = { 'private-key': signer.privateKey.export({ type: 'sec1', format: 'pem' }).toString(), 'signing-certificate': pem(signer) };
    expect(await signHere(model, flags, 'certificate')).toBe('OK');
    expect((await verifyHere(model, { flags: { ca: [pem(ca)] } })).reason).toBe('OK');
    // The same key under a certificate of another one.
    expect(await signHere(model, { 'signing-certificate': pem(signer) }, 'certificate')).toBe('SIGNING_KEY_INVALID');
  });

  test('twice gives the same payload, byte for byte', async () => {
    await signHere(model, { 'ignore-paths': ['weights/part-1.bin', 'x'] });
    const first = bundle().dsseEnvelope.payload;
    await signHere(model, { 'ignore-paths': ['x', 'weights/part-1.bin'] });
    expect(bundle().dsseEnvelope.payload).toBe(first);
  });

  test('records what it leaves out relative to the model: ignored paths, git files, the bundle itself', async () => {
    writeTree(model, { '.gitignore': 'x', '.git/HEAD': 'ref', 'sub/.gitignore': 'y', 'cache/x': '1', cache2: '2' });
    await signHere(model, { 'ignore-paths': ['cache/'], signature: join(model, 'sub', '..', 'bundle.json') });
    expect(signedNames(join(model, 'bundle.json'))).toEqual([...Object.keys(SMALL_MODEL), 'cache2', 'sub/.gitignore'].sort());
    expect(statement(join(model, 'bundle.json')).predicate.serialization.ignore_paths).toEqual(
      ['.git', '.gitattributes', '.github', '.gitignore', 'bundle.json', 'cache'].sort(),
    );
    expect((await verifyHere(model, { flags: { 'public-key': [KEYS.publicPem], bundle: join(model, 'bundle.json') } })).reason).toBe('OK');
  });

  test('signs git files when told to, and records nothing when nothing is left out', async () => {
    writeTree(model, { '.gitignore': 'x' });
    await signHere(model, { 'ignore-git-paths': false, signature: space.at('out.sig') });
    expect(signedNames(space.at('out.sig'))).toContain('.gitignore');
    expect(statement(space.at('out.sig')).predicate.serialization.ignore_paths).toBeUndefined();
  });

  test.each(['model', 'model/', 'model//', 'model/weights/..'])('names the model after its folder when it is called %s', async (name) => {
    await signHere(`${space.path}/${name}`);
    expect(statement().subject[0]?.name).toBe('model');
  });

  test('replaces an older bundle in one step: who reads it meanwhile has all of the old one', async () => {
    await signHere();
    const before = readFileSync(join(model, 'model.sig'));
    const names = readdirSync(model);
    await using reader = await open(join(model, 'model.sig'));
    writeFileSync(join(model, 'config.json'), '{"changed": true}');
    expect(await signHere()).toBe('OK');
    expect(await reader.readFile()).toEqual(before);
    expect(readFileSync(join(model, 'model.sig'))).not.toEqual(before);
    expect(readdirSync(model)).toEqual(names);
  });

  test('lists a single file under its name, with the bundle beside it', async () => {
    const file = join(model, 'weights/part-1.bin');
    expect(await signHere(file)).toBe('OK');
    expect(signedNames(`${file}.sig`)).toEqual(['part-1.bin']);
    expect((await verifyHere(file)).reason).toBe('OK');
  });

  test('takes names as they are, in code point order', async () => {
    const odd = ['a b', 'a:0:1', 'back\\slash', '-rf', 'new\nline', '\u{1f600}', '\ufb01', 'nfc-\u00e9', 'nfc-e\u0301', 'a/x', 'a-b', 'a.txt', '__proto__'];
    writeTree(space.at('odd'), Object.fromEntries(odd.map((name) => [name, name])));
    expect(await signHere(space.at('odd'))).toBe('OK');
    const names = signedNames(space.at('odd', 'model.sig'));
    expect(names).toEqual([...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect((await verifyHere(space.at('odd'))).reason).toBe('OK');
  });

  test('follows links when told to, under their own names, and records that it did', async () => {
    symlinkSync('config.json', join(model, 'link.json'));
    expect(await signHere(model, { 'allow-symlinks': true })).toBe('OK');
    expect(signedNames()).toContain('link.json');
    expect(statement().predicate.serialization.allow_symlinks).toBe(true);
    expect((await verifyHere(model)).reason).toBe('OK');
    writeFileSync(space.at('outside.json'), '{}');
    symlinkSync(space.at('outside.json'), join(model, 'out.json'));
    expect(await signHere(model, { 'allow-symlinks': true })).toBe('OK');
    expect(told).toContainEqual({ kind: 'warning', message: 'link out.json leads out of the model' });
  });

  test('reads an encrypted key with the password from a file or the environment, never from a flag', async () => {
    const key = KEYS.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
    writeFileSync(space.at('key.pem'), key);
    writeFileSync(space.at('password'), 'secret\n');
    expect(await signHere(model, { 'private-key': space.at('key.pem'), 'password-file': space.at('password') })).toBe('OK');
    expect(await signHere(model, { 'private-key': space.at('key.pem') }, 'key', { MODEL_GATE_PASSWORD: 'secret' })).toBe('OK');
    expect(await signHere(model, { 'private-key': space.at('key.pem'), password: 'secret' })).toBe('USAGE');
    const both = await trySign(model, { 'private-key': key, 'password-file': space.at('password') }, 'key', { MODEL_GATE_PASSWORD: 'secret' });
    expect(both?.code).toBe('PLAN_CONTRADICTION');
  });
});

describe('signing fails and leaves no bundle', () => {
  const pkcs8 = (kind: KeyKind) => keyPair(kind).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const encrypted = KEYS.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();

  test.each<[string, ErrorCode, Flags]>([
    ['when everything is ignored', 'MODEL_EMPTY', { 'ignore-paths': ['config.json', 'weights', 'empty.txt'] }],
    ['when only files of zero bytes are left for shards', 'MODEL_EMPTY', { 'ignore-paths': ['config.json', 'weights'], 'shard-size': '10' }],
    ['with an RSA key', 'SIGNING_KEY_INVALID', { 'private-key': pkcs8('rsa-2048') }],
    ['with an Ed25519 key', 'SIGNING_KEY_INVALID', { 'private-key': pkcs8('ed25519') }],
    ['with a secp256k1 key', 'SIGNING_KEY_INVALID', { 'private-key': pkcs8('secp256k1') }],
    ['with a key file that is not there', 'SIGNING_KEY_INVALID', { 'private-key': '/nowhere/key.pem' }],
    ['with a key from a server', 'CONFIG_INVALID', { 'private-key': 'https://keys.example.com/key.pem' }],
    ['with an encrypted key and no password', 'SIGNING_KEY_INVALID', { 'private-key': encrypted }],
    ['with an encrypted key and an empty password file', 'SIGNING_KEY_INVALID', { 'private-key': encrypted, 'password-file': '/dev/null' }],
    ['when the bundle’s folder does not exist', 'CONFIG_INVALID', { signature: '/nowhere/model.sig' }],
    ['when the bundle’s name is a folder', 'CONFIG_INVALID', { signature: '/tmp' }],
    ['when there are more entries than allowed', 'LIMIT_EXCEEDED', { 'max-entries': '2' }],
    ['when a file is larger than allowed', 'LIMIT_EXCEEDED', { 'max-file-size': '50K' }],
  ])('%s (%s)', async (_what, code, flags) => {
    const before = snapshot(model);
    expect(await signHere(model, flags)).toBe(code);
    expect(snapshot(model)).toEqual(before);
  });

  test.each<[string, ErrorCode, () => void]>([
    ['a link that was not allowed', 'FILE_TYPE', () => symlinkSync('config.json', join(model, 'link'))],
    ['a linked folder that was not allowed', 'FILE_TYPE', () => symlinkSync('weights', join(model, 'link'))],
    ['a FIFO', 'FILE_TYPE', () => execFileSync('mkfifo', [join(model, 'pipe')])],
    ['a name that is not UTF-8', 'NAME_INVALID', () => writeFileSync(Buffer.concat([Buffer.from(`${model}/x-`), Buffer.from([0xff, 0xfe])]), 'x')],
  ])('for %s (%s)', async (_what, code, spoil) => {
    spoil();
    const before = readdirSync(model);
    expect(await signHere()).toBe(code);
    expect(readdirSync(model)).toEqual(before);
  });

  test('for a link to nowhere, also where links are allowed', async () => {
    symlinkSync('nowhere', join(model, 'link'));
    expect(await signHere(model, { 'allow-symlinks': true })).toBe('FILE_TYPE');
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('for a model without files, or without a model', async () => {
    mkdirSync(space.at('empty/folders'), { recursive: true });
    expect(await signHere(space.at('empty'))).toBe('MODEL_EMPTY');
    expect(readdirSync(space.at('empty'))).toEqual(['folders']);
    expect(await signHere(space.at('nowhere'))).toBe('MODEL_NOT_FOUND');
  });

  test('and leaves the old bundle alone, if there is one', async () => {
    await signHere();
    const before = snapshot(model).filter((line) => line.startsWith('model.sig'));
    symlinkSync('config.json', join(model, 'link'));
    expect(await signHere()).toBe('FILE_TYPE');
    expect(snapshot(model).filter((line) => line.startsWith('model.sig'))).toEqual(before);
  });

  test('rather than overwrite a file of the model by a slip in --signature', async () => {
    const before = snapshot(join(model, 'weights'));
    expect(await signHere(model, { signature: join(model, 'weights/part-1.bin') })).toBe('CONFIG_INVALID');
    expect(snapshot(join(model, 'weights'))).toEqual(before);
  });

  test('when certificates or a key are given to a method that has none, or are missing where they belong', async () => {
    expect(await signHere(model, { 'certificate-chain': ['x.pem'] })).toBe('PLAN_CONTRADICTION');
    expect(await signHere(model, {}, 'certificate')).toBe('USAGE');
    expect(await signHere(model, {}, 'sigstore')).toBe('PLAN_CONTRADICTION');
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });
});

describe('digest', () => {
  test('is what signing would sign, and writes nothing', async () => {
    const before = snapshot(model);
    const { values } = resolveOptions('digest', { flags: {}, env: {}, file: undefined });
    const found = await digest(makeDigestPlan([model], values), DEPS);
    expect(snapshot(model)).toEqual(before);
    await signHere();
    expect(`${found.statement.rootDigest}`).toBe(rootDigestOf(readFileSync(join(model, 'model.sig'))));
    // The bundle that is there now changes nothing.
    expect((await digest(makeDigestPlan([model], values), DEPS)).statement.rootDigest).toBe(found.statement.rootDigest);
  });
});

describe('inspect', () => {
  async function inspectHere(flags: Flags = {}) {
    const { values } = resolveOptions('inspect', { flags, env: {}, file: undefined });
    return inspect(makeInspectPlan([join(model, 'model.sig')], values), DEPS);
  }

  test('says what a bundle says without vouching for any of it', async () => {
    await signHere();
    const { signer, method, claimed, manifest } = await inspectHere();
    expect(signer).toBeUndefined();
    expect(method).toBe('key');
    expect(claimed.hint).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.files.map((file) => file.path)).toEqual(Object.keys(SMALL_MODEL).sort());
  });

  test('vouches for the signature when it holds with the trust given, and fails when it does not', async () => {
    await signHere();
    expect((await inspectHere({ 'public-key': [KEYS.publicPem] })).signer).toMatchObject({ kind: 'key', curve: 'P-256' });
    await expect(inspectHere({ 'public-key': [makeKeys().publicPem] })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  test('refuses what is no bundle', async () => {
    writeFileSync(join(model, 'model.sig'), '{}');
    await expect(inspectHere()).rejects.toMatchObject({ code: 'BUNDLE_MALFORMED' });
    rmSync(join(model, 'model.sig'));
    await expect(inspectHere()).rejects.toMatchObject({ code: 'UNSIGNED' });
  });
});
