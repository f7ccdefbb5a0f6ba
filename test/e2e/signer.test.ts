// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeToken, PATHS, type SigstoreServer, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { type Scratch, scratch, writeTree } from '../support/model.ts';
import { makeKeys } from '../support/signer.ts';
import { intermediate, leaf, type Party, pem, root } from '../trust/pki.ts';

// What our signer makes, judged by the reference verifier on PATH: the rows of docs/interop.md. The built program signs, under its own and its drop-in name.

/** Red Hat's build of the reference is another one: E2E_VERIFIER=rh_model_signing. */
const VERIFIER = process.env['E2E_VERIFIER'] ?? 'model_signing';
const PROGRAM = join(import.meta.dirname, '../../dist/main.js');

type Run = { readonly code: number | null; readonly out: string };

let keys: Scratch;
let space: Scratch;
let model: string;
let bundle: string;
let party: { readonly ca: Party; readonly between: Party; readonly signer: Party; readonly alone: Party };

beforeAll(async () => {
  keys = scratch();
  for (const [name, curve] of Object.entries({ p256: 'prime256v1', p384: 'secp384r1', p521: 'secp521r1' })) {
    const pair = makeKeys(curve);
    writeFileSync(keys.at(`${name}.pem`), pair.privateKey.export({ type: name === 'p256' ? 'pkcs8' : 'sec1', format: 'pem' }));
    writeFileSync(keys.at(`${name}.pub`), pair.publicPem);
  }
  const around = (days: number) => ({ from: new Date(Date.now() - days * 86_400_000), to: new Date(Date.now() + days * 86_400_000) });
  const ca = await root(around(300));
  const between = await intermediate(ca, around(200));
  const signer = await leaf(between, { ...around(100), key: 'P-384' });
  // A certificate that is its own root has to be a CA for the reference.
  const alone = await root({ ...around(100), subject: 'alone', keyUsage: ['digitalSignature', 'keyCertSign'] });
  party = { ca, between, signer, alone };
  for (const [name, one] of Object.entries(party)) {
    writeFileSync(keys.at(`${name}.crt`), pem(one));
    writeFileSync(keys.at(`${name}.key`), one.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  }
});
afterAll(() => keys[Symbol.dispose]());

beforeEach(() => {
  space = scratch();
  model = space.at('model');
  bundle = space.at('bundle.sig');
  writeTree(model, { 'config.json': '{}', 'weights/0/a.bin': Buffer.alloc(300_000, 'a'), 'weights/b.bin': 'b', 'empty.bin': '' });
});
afterEach(() => space[Symbol.dispose]());

/** Signs under both names; each bundle has to be accepted. */
const NAMES = ['model-gate', 'model_signing'] as const;
type Name = (typeof NAMES)[number];

describe.each(NAMES)('the reference accepts what %s signs', (name) => {
  it.each(['p256', 'p384', 'p521'])('1-3: with a key, %s, over nested folders', (key) => {
    expect(sign(name, ['key', '--private-key', keys.at(`${key}.pem`)])).toMatchObject({ code: 0 });
    expect(verify(['key', '--public_key', keys.at(`${key}.pub`)])).toMatchObject({ code: 0 });
    writeFileSync(join(model, 'weights/b.bin'), 'B');
    expect(verify(['key', '--public_key', keys.at(`${key}.pub`)])).toMatchObject({ code: 1 });
  });

  it('4: with a certificate, the intermediate in the bundle', () => {
    expect(sign(name, [...certificate('signer'), '--certificate-chain', keys.at('between.crt')])).toMatchObject({ code: 0 });
    expect(verify(['certificate', '--certificate_chain', keys.at('ca.crt')])).toMatchObject({ code: 0 });
    expect(verify(['certificate', '--certificate_chain', keys.at('alone.crt')])).toMatchObject({ code: 1 });
  });

  it('5: with a self-signed certificate that is trusted itself', () => {
    expect(sign(name, certificate('alone'))).toMatchObject({ code: 0 });
    expect(verify(['certificate', '--certificate_chain', keys.at('alone.crt')])).toMatchObject({ code: 0 });
  });

  it('6: with a certificate, the intermediate only with the verifier', () => {
    expect(sign(name, certificate('signer'))).toMatchObject({ code: 0 });
    expect(verify(['certificate', '--certificate_chain', keys.at('between.crt'), '--certificate_chain', keys.at('ca.crt')])).toMatchObject({ code: 0 });
    expect(verify(['certificate', '--certificate_chain', keys.at('ca.crt')])).toMatchObject({ code: 1 });
  });

  it('7: with ignored files and folders, which it records', () => {
    writeTree(model, { 'cache/deep/x': '1', notes: '2' });
    const at = (path: string) => (name === 'model_signing' ? join(model, path) : path);
    expect(sign(name, [...KEY(), '--ignore-paths', at('cache'), '--ignore-paths', at('notes')])).toMatchObject({ code: 0 });
    expect(recorded()).toEqual(expect.arrayContaining(['cache', 'notes']));
    expect(verifyKey()).toMatchObject({ code: 0 });
  });

  it('8: without git files, or with them', () => {
    writeTree(model, { '.gitignore': 'x', '.github/workflow': 'y' });
    expect(sign(name, KEY())).toMatchObject({ code: 0 });
    expect(names()).not.toContain('.gitignore');
    expect(verifyKey()).toMatchObject({ code: 0 });
    expect(sign(name, [...KEY(), '--no-ignore-git-paths'])).toMatchObject({ code: 0 });
    expect(names()).toContain('.gitignore');
    expect(verifyKey('--no-ignore-git-paths')).toMatchObject({ code: 0 });
  });

  it('9: with the bundle inside the model', () => {
    bundle = join(model, 'weights/model.sig');
    expect(sign(name, KEY())).toMatchObject({ code: 0 });
    expect(recorded()).toContain('weights/model.sig');
    expect(names()).not.toContain('weights/model.sig');
    expect(verifyKey()).toMatchObject({ code: 0 });
  });

  it('10: whatever its files are called', () => {
    const odd = ['a b', 'c:d', 'back\\slash', '-dash', '\u{1f600}.bin', '\ufb01', 'ä', 'a\u0308', "quote'", '{}', 'new\nline'];
    writeTree(model, Object.fromEntries(odd.map((file) => [file, file])));
    expect(sign(name, KEY())).toMatchObject({ code: 0 });
    expect(names()).toEqual([...names()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect(verifyKey()).toMatchObject({ code: 0 });
  });

  it('11, 12: with empty files and names that sort differently by folder', () => {
    writeTree(model, { 'a/x': '1', 'a-b': '2', 'a.txt': '3', zero: '' });
    expect(sign(name, KEY())).toMatchObject({ code: 0 });
    expect(names().filter((file) => file.startsWith('a'))).toEqual(['a-b', 'a.txt', 'a/x']);
    expect(verifyKey()).toMatchObject({ code: 0 });
  });

  it('13: with a link that was followed', () => {
    symlinkSync('config.json', join(model, 'link.json'));
    expect(sign(name, [...KEY(), '--allow-symlinks'])).toMatchObject({ code: 0 });
    expect(names()).toContain('link.json');
    expect(verifyKey('--allow_symlinks')).toMatchObject({ code: 0 });
  });
});

describe('the reference’s library accepts', () => {
  it.each(['blake2b', 'blake3'])('14: %s over whole files', (hash) => {
    expect(sign('model-gate', [...KEY(), '--hash', hash])).toMatchObject({ code: 0 });
    expect(verifyWithLibrary(`use_file_serialization(hashing_algorithm='${libraryName(hash)}')`)).toMatchObject({ code: 0 });
  });

  it.each(['sha256', 'blake2b'])('15: %s over shards', (hash) => {
    expect(sign('model-gate', [...KEY(), '--hash', hash, '--shard-size', '100000'])).toMatchObject({ code: 0 });
    expect(names()).toContain('weights/0/a.bin:100000:200000');
    expect(verifyWithLibrary(`use_shard_serialization(hashing_algorithm='${libraryName(hash)}', shard_size=100000)`)).toMatchObject({ code: 0 });
  });
});

describe('16: a single file', () => {
  it('is accepted from the drop-in, which calls it as the reference does', () => {
    model = join(model, 'config.json');
    expect(sign('model_signing', KEY())).toMatchObject({ code: 0 });
    expect(names()).toEqual(['.']);
    expect(verifyKey()).toMatchObject({ code: 0 });
  });

  it('is refused from model-gate, which calls it as the specification does', () => {
    model = join(model, 'config.json');
    expect(sign('model-gate', KEY())).toMatchObject({ code: 0 });
    expect(names()).toEqual(['config.json']);
    expect(verifyKey()).toMatchObject({ code: 1 });
  });
});

describe.each(NAMES)('17: keyless by a private instance, from %s', (name) => {
  const SUBJECT = 'https://ci.example.com/models/release';
  const ISSUER = 'https://issuer.example.com';
  let server: SigstoreServer;
  beforeAll(async () => {
    server = await startSigstoreServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each([
    ['Rekor v1', { rekor: 1 }],
    ['Rekor v1 and a timestamp', { rekor: 1, timestamps: true }],
    ['Rekor v2 and a timestamp', { rekor: 2, timestamps: true }],
  ] as const)('with %s', async (_what, services) => {
    const config = space.at('trust.json');
    writeFileSync(config, JSON.stringify(server.trustConfig(services)));
    writeFileSync(space.at('token'), makeToken());
    const token = name === 'model_signing' ? ['--identity_token', makeToken()] : ['--identity-token-file', space.at('token')];
    // Not while this process is blocked: the instance is in it.
    expect(
      await runAsync(process.execPath, [entryOf(name), 'sign', 'sigstore', ...token, '--trust-config', config, '--signature', bundle, model]),
    ).toMatchObject({
      code: 0,
    });
    const trust = ['--identity_provider', ISSUER, '--trust_config', config];
    expect(verify(['sigstore', '--identity', SUBJECT, ...trust])).toMatchObject({ code: 0 });
    expect(verify(['sigstore', '--identity', `${SUBJECT}s`, ...trust])).toMatchObject({ code: 1 });
    writeFileSync(join(model, 'weights/b.bin'), 'B');
    expect(verify(['sigstore', '--identity', SUBJECT, ...trust])).toMatchObject({ code: 1 });
  });
});

describe.each(NAMES.slice(0, 1))('a timestamp in a bundle of %s', (name) => {
  it.each([
    ['key', () => KEY(), () => ['key', '--public_key', keys.at('p256.pub')]],
    [
      'certificate',
      () => certificate('signer'),
      () => ['certificate', '--certificate_chain', keys.at('between.crt'), '--certificate_chain', keys.at('ca.crt')],
    ],
  ] as const)('by %s is no obstacle', async (_method, signer, verifier) => {
    await using server = await startSigstoreServer();
    const timestamp = ['--timestamp-url', `${server.origin}${PATHS.tsa}`];
    expect(await runAsync(process.execPath, [entryOf(name), 'sign', ...signer(), ...timestamp, '--signature', bundle, model])).toMatchObject({ code: 0 });
    expect(readFileSync(bundle, 'utf8')).toContain('rfc3161Timestamps');
    expect(verify(verifier())).toMatchObject({ code: 0 });
  });
});

describe('a bundle', () => {
  it('is the same payload from both names, for the same tree', () => {
    const payloads = NAMES.map((name) => {
      expect(sign(name, KEY())).toMatchObject({ code: 0 });
      return payload().toString();
    });
    expect(payloads[0]).toBe(payloads[1]);
  });
});

const KEY = () => ['key', '--private-key', keys.at('p256.pem')];

function certificate(name: 'signer' | 'alone'): string[] {
  return ['certificate', '--private-key', keys.at(`${name}.key`), '--signing-certificate', keys.at(`${name}.crt`)];
}

function sign(name: Name, args: readonly string[]): Run {
  return run(process.execPath, [entryOf(name), 'sign', ...args, '--signature', bundle, model]);
}

function entryOf(name: Name): string {
  mkdirSync(space.at('bin'), { recursive: true });
  const entry = space.at('bin', name);
  spawnSync('ln', ['-sf', PROGRAM, entry]);
  return entry;
}

function verify([method = '', ...args]: readonly string[]): Run {
  return run(VERIFIER, ['verify', method, '--signature', bundle, ...args, model]);
}

function verifyKey(...args: readonly string[]): Run {
  return verify(['key', '--public_key', keys.at('p256.pub'), ...args]);
}

/** The reference's command line knows sha256 over whole files only; its library takes what it is told. */
function verifyWithLibrary(hashing: string): Run {
  const which = spawnSync('/bin/sh', ['-c', `command -v ${VERIFIER}`], { encoding: 'utf8' }).stdout.trim();
  const python = join(dirname(realpathSync(which)), 'python');
  const script = `
import sys, pathlib, model_signing
model, bundle, key = map(pathlib.Path, sys.argv[1:])
hashing = model_signing.hashing.Config().${hashing}.set_ignored_paths(paths=[bundle], ignore_git_paths=True)
model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(hashing).verify(model, bundle)
`;
  return run(python, ['-c', script, model, bundle, keys.at('p256.pub')]);
}

/** Its programming interface calls BLAKE2b otherwise than its bundles do. */
function libraryName(hash: string): string {
  return hash === 'blake2b' ? 'blake2' : hash;
}

function run(command: string, args: readonly string[]): Run {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return { code: status, out: `${stdout}${stderr}` };
}

async function runAsync(command: string, args: readonly string[]): Promise<Run> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const code = await new Promise<number | null>((done) => child.on('close', done));
  return { code, out };
}

function payload(): Buffer {
  return Buffer.from((JSON.parse(readFileSync(bundle, 'utf8')) as { dsseEnvelope: { payload: string } }).dsseEnvelope.payload, 'base64');
}

function predicate() {
  return (JSON.parse(payload().toString()) as { predicate: { resources: { name: string }[]; serialization: { ignore_paths?: string[] } } }).predicate;
}

const names = (): string[] => predicate().resources.map((resource) => resource.name);
const recorded = (): readonly string[] => predicate().serialization.ignore_paths ?? [];
