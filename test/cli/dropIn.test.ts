// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noteExpired } from '../../src/cli/referenceVerify.ts';
import { type ModelEvidence, startEvidence } from '../../src/report/evidence.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, writeTree } from '../support/model.ts';
import { type Ended, runGate, startGate, until } from '../support/run.ts';
import { makeKeys, rootDigestOf, signDirectory } from '../support/signer.ts';
import { days, intermediate, leaf, root as makeRoot, pem } from '../trust/pki.ts';

// The program under its other names, as real processes: argv, words and exit codes are what others depend on.

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');

let space: Scratch;
let model: string;

beforeEach(() => {
  space = scratch();
  model = space.at('model');
  writeTree(model, SMALL_MODEL);
  writeFileSync(space.at('key.pem'), KEYS.privateKey.export({ type: 'sec1', format: 'pem' }));
  writeFileSync(space.at('key.pub'), KEYS.publicPem);
  for (const name of ['model_signing', 'validation-agent', 'model-gate']) symlinkSync(MAIN, space.at(name));
});
afterEach(() => space[Symbol.dispose]());

const run = (name: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  runGate(args, { entry: space.at(name), cwd: space.path, env });
const signing = (...args: readonly string[]): Promise<Ended> => run('model_signing', args);
const agent = (...args: readonly string[]): Promise<Ended> => run('validation-agent', args);
const VERIFY = ['verify', 'key', '--signature=model.sig', '--public_key', 'key.pub'] as const;
const SIGN = ['sign', 'key', 'model', '--private_key', 'key.pem'] as const;

describe('model_signing', () => {
  test('signs into model.sig of the current directory, verifies, and says so in the words people look for', async () => {
    expect(await signing(...SIGN)).toMatchObject({ code: 0, stdout: 'Signing succeeded\n', stderr: '' });
    expect(await signing(...VERIFY, 'model')).toMatchObject({ code: 0, stdout: 'Verification succeeded\n', stderr: '' });
    writeFileSync(join(model, 'extra'), 'x');
    expect(await signing(...VERIFY, 'model')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Verification failed with error: Extra files found in model .*: extra\n$/),
    });
  });

  test('takes every flag with dashes and underscores, with = and without', async () => {
    writeTree(model, { 'cache/x': '1', '.gitignore': 'y' });
    const flags = [
      '--ignore_paths',
      'model/cache',
      `--ignore-paths=${model}/config.json`,
      '--ignore-paths',
      '/elsewhere',
      '--no-ignore_git_paths',
      '--allow-symlinks',
    ];
    expect((await signing('--log-level', 'DEBUG', 'sign', 'key', '--signature=out.sig', '--private-key=key.pem', ...flags, 'model')).code).toBe(0);
    const { predicate } = statementOf(space.at('out.sig'));
    expect(predicate.resources.map((resource) => resource.name)).toEqual(['.gitignore', 'empty.txt', 'weights/part-1.bin', 'weights/part-2.bin']);
    expect(predicate.serialization).toMatchObject({ allow_symlinks: true, ignore_paths: ['cache', 'config.json'] });
    const verify = [
      'verify',
      'key',
      '--signature',
      'out.sig',
      '--public-key=key.pub',
      '--ignore_unsigned_files',
      '--trust_config',
      '/not/there',
      '--allow_symlinks',
    ];
    expect((await signing(...verify, '--no-ignore-git-paths', 'model')).code).toBe(0);
  });

  test('lists a single file as the reference does', async () => {
    expect((await signing('sign', 'key', 'model/config.json', '--private_key', 'key.pem')).code).toBe(0);
    expect(statementOf(space.at('model.sig')).predicate.resources.map((resource) => resource.name)).toEqual(['.']);
    expect((await signing(...VERIFY, 'model/config.json')).code).toBe(0);
  });

  test('prints the root digest', async () => {
    await signing(...SIGN);
    expect(await signing('digest', 'model')).toMatchObject({ code: 0, stdout: `sha256:${rootDigestOf(readFileSync(space.at('model.sig')))}\n` });
    expect(await signing('digest', 'nowhere')).toMatchObject({ code: 1, stderr: expect.stringContaining('Computing digest failed: ') });
  });

  test.each<[string, readonly string[]]>([
    ['everything is ignored', ['sign', 'key', 'model', '--private_key', 'key.pem', '--ignore-paths', 'model']],
    ['what holds the model is ignored', ['sign', 'key', 'model', '--private_key', 'key.pem', '--ignore-paths', '.']],
    ['the key is encrypted by nobody, but a password is given', ['sign', 'key', 'model', '--private_key', 'key.pem', '--password', 'x']],
    ['the key is not there', ['sign', 'key', 'model', '--private_key', 'nowhere.pem']],
    ['it should be keyless', ['sign', 'model', '--identity_token', 'x']],
  ])('fails with 1 and leaves no bundle when %s', async (_what, args) => {
    expect(await signing(...args)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('Signing failed with error: ') });
    expect(existsSync(space.at('model.sig'))).toBe(false);
  });

  test.each<[string, readonly string[]]>([
    ['no command', []],
    ['an unknown command', ['check', 'model']],
    ['no private key', ['sign', 'key', 'model']],
    ['no model', ['sign', 'key', '--private_key', 'key.pem']],
    ['two models', [...SIGN, 'model']],
    ['an unknown flag', [...SIGN, '--force']],
    ['a flag of another method', [...SIGN, '--signing_certificate', 'x']],
    ['no method and no identity', ['verify', '--signature=model.sig', 'model']],
    ['a hardware token', ['sign', 'pkcs11-key', 'model', '--pkcs11_uri', 'x']],
  ])('ends with 2 for %s', async (_what, args) => {
    expect((await signing(...args)).code).toBe(2);
  });

  test.each([['--help'], ['-h'], ['--version'], ['verify', 'key', '--help'], ['sign', 'certificate', '-h'], ['digest', '--help']])(
    'helps with %s',
    async (...args) => {
      expect(await signing(...args)).toMatchObject({ code: 0, stdout: expect.stringContaining('model_signing') });
    },
  );
});

describe('certificates that are not valid any more', () => {
  const now = new Date();
  const root = { from: days(-900, now), to: days(900, now) };

  /** What the reference accepts: a chain that was valid when the leaf began. `ca` and `leaf` say until when each is. */
  async function signedUntil(ca: Date, leafEnd: Date): Promise<readonly string[]> {
    const anchor = await makeRoot(root);
    const inter = await intermediate(anchor, { from: days(-800, now), to: ca });
    const party = await leaf(inter, { from: days(-400, now), to: leafEnd });
    const bundle = JSON.parse(signDirectory(model, { ...party, publicPem: '' }, { ignore: [] }).toString()) as Record<string, unknown>;
    const certificates = [party, inter].map(({ der }) => ({ rawBytes: der.toString('base64') }));
    writeFileSync(space.at('model.sig'), JSON.stringify({ ...bundle, verificationMaterial: { x509CertificateChain: { certificates } } }));
    writeFileSync(space.at('root.pem'), pem(anchor));
    return ['verify', 'certificate', '--signature=model.sig', '--certificate_chain', 'root.pem', 'model'];
  }

  test.each([
    ['the leaf', days(900, now), days(-1, now)],
    ['an intermediate', days(-1, now), days(900, now)],
  ])('pass under the drop-in names only, with a warning, and not with MODEL_GATE_STRICT=1: %s', async (_what, ca, leafEnd) => {
    const args = await signedUntil(ca, leafEnd);
    const accepted = await signing(...args);
    expect(accepted).toMatchObject({ code: 0, stdout: 'Verification succeeded\n' });
    expect(accepted.stderr).toMatch(/Warning: the certificates of the signer are not valid now, but were at .*MODEL_GATE_STRICT=1 refuses it/);
    expect((await agent(...args)).stderr).toContain('MODEL_GATE_STRICT=1 refuses it');
    for (const name of ['model_signing', 'validation-agent']) {
      const strict = await run(name, args, { MODEL_GATE_STRICT: '1' });
      expect(strict).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('is valid from') });
    }
    const own = await run('model-gate', ['verify', 'model', '--bundle', 'model.sig', '--ca', 'root.pem']);
    expect(own).toMatchObject({ code: 1, stderr: expect.stringMatching(/CERT_EXPIRED|CERT_CHAIN_INVALID/) });
  });

  test('are a relaxation in the evidence', () => {
    const evidence = startEvidence(['--allow-symlinks'], now);
    const signer = { kind: 'certificate', timeSource: 'notBefore', notAfter: now, checkedAt: now } as Extract<Signer, { kind: 'certificate' }>;
    evidence.models.push({ signer } as ModelEvidence);
    noteExpired(evidence, () => {});
    expect(evidence.relaxations).toEqual(['--allow-symlinks', 'expired certificate']);
  });
});

describe('validation-agent', () => {
  beforeEach(async () => void (await signing(...SIGN)));

  const lines = (ended: Ended) =>
    ended.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test.each<[string, readonly string[]]>([
    ['no flags', []],
    ['an interval of 0', ['--interval=0']],
    ['flags in Go’s forms', ['-interval', '0s', '--health-port=8081', '-watch=false']],
  ])('verifies once with %s, and says that it is done', async (_what, flags) => {
    const ended = await agent(...flags, ...VERIFY, 'model');
    expect(ended).toMatchObject({ code: 0, stdout: '' });
    expect(lines(ended).at(-1)).toMatchObject({ level: 'info', message: 'One-shot validation complete, exiting' });
  });

  test('never skips the only verification', async () => {
    writeFileSync(join(model, 'config.json'), '{}');
    const ended = await agent('--skip-initial', '--watch', ...VERIFY, 'model');
    expect(ended.code).toBe(1);
    expect(lines(ended).at(-1)).toMatchObject({ level: 'error', code: 'DIGEST_MISMATCH' });
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a %s before the model is verified ends one shot with %i, never with the 0 that would start the server', async (signal, code) => {
    // Sparse, and far too large to be read before the signal comes.
    truncateSync(join(model, 'config.json'), 256 * 1024 ** 3);
    const running = startGate([...VERIFY, 'model'], { entry: space.at('validation-agent'), cwd: space.path });
    await until(() => running.stderrSoFar().includes('signature'), 'the signature');
    running.kill(signal);
    const ended = await running.ended;
    expect(ended.code).toBe(code);
    expect(lines(ended).at(-1)).toMatchObject({ level: 'error', code: 'CANCELLED' });
    expect(ended.stderr).not.toContain('One-shot validation complete');
  });

  test('looks at git files unless told not to, unlike model_signing', async () => {
    // Nothing recorded: now it is the verifier's default that counts.
    await signing(...SIGN, '--no-ignore-git-paths');
    writeTree(model, { '.gitignore': 'x' });
    expect((await signing(...VERIFY, 'model')).code).toBe(0);
    expect((await agent(...VERIFY, 'model')).code).toBe(1);
    expect((await agent(...VERIFY, '--ignore-git-paths', 'model')).code).toBe(0);
  });

  test.each<[string, number, readonly string[]]>([
    ['a wrong key', 1, ['verify', 'key', '--signature=model.sig', '--public_key', 'other.pub', 'model']],
    ['no method', 1, ['verify', 'model']],
    ['no command', 1, []],
    ['an unknown flag of verify', 1, [...VERIFY, '--force', 'model']],
    ['an unknown flag before it', 2, ['--force', ...VERIFY, 'model']],
    ['an interval and no method', 1, ['--interval=10m', 'verify', 'model']],
    ['an interval that is none', 2, ['--interval', 'soon', ...VERIFY, 'model']],
  ])('fails for %s with %i', async (_what, code, args) => {
    writeFileSync(space.at('other.pub'), makeKeys().publicPem);
    const ended = await agent(...args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).not.toContain('One-shot validation complete');
  });
});

describe('model-gate', () => {
  const gate = (...args: readonly string[]): Promise<Ended> => run('model-gate', args);

  test('sign prints the digest to pin, digest the same, and inspect says loudly that nobody checked', async () => {
    const signed = await gate('sign', 'key', 'model', '--private-key', 'key.pem');
    expect(signed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/), terminationText: '' });
    const digest = JSON.parse((await gate('digest', 'model', '--json')).stdout) as { rootDigest: string; files: number };
    expect(digest).toMatchObject({ rootDigest: signed.stdout.trim(), files: 4 });
    const inspected = await gate('inspect', 'model/model.sig');
    expect(inspected.stdout).toMatch(/^\*\*\* UNVERIFIED: /);
    expect(inspected.stdout).toContain(signed.stdout.trim());
    const json = JSON.parse((await gate('inspect', 'model/model.sig', '--json')).stdout) as object;
    expect(json).toMatchObject({ verified: false, notice: expect.stringMatching(/^UNVERIFIED/), bundle: { method: 'key' } });
    const trusted = JSON.parse((await gate('inspect', 'model/model.sig', '--public-key', 'key.pub', '--json')).stdout) as object;
    expect(trusted).toMatchObject({ verified: true, signer: { kind: 'key' } });
    writeFileSync(space.at('other.pub'), makeKeys().publicPem);
    expect(await gate('inspect', 'model/model.sig', '--public-key', 'other.pub')).toMatchObject({ code: 1, stdout: '' });
  });

  test('takes no password as a flag, and no option that has no meaning', async () => {
    expect((await gate('sign', 'key', 'model', '--private-key', 'key.pem', '--password', 'x')).code).toBe(2);
    expect((await gate('verify', 'model', '--private-key', 'key.pem')).code).toBe(2);
    expect((await gate('sign', 'key', 'model', '--private-key', 'key.pem', '--public-key', 'key.pub')).code).toBe(2);
  });
});

function statementOf(path: string) {
  const { payload } = (JSON.parse(readFileSync(path, 'utf8')) as { dsseEnvelope: { payload: string } }).dsseEnvelope;
  type Statement = { predicate: { resources: { name: string }[]; serialization: Record<string, unknown> } };
  return JSON.parse(Buffer.from(payload, 'base64').toString()) as Statement;
}
