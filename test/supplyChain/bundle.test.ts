// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../build/build.ts';
import { bundledPackages, licenceTexts, modulesOf } from '../../build/packages.ts';
import { sbomOf } from '../../build/sbom.ts';
import { dependenciesPage, takeInventory } from '../../docs/dependencies.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { runGate } from '../support/run.ts';

const ROOT = resolve(import.meta.dirname, '../..');

let tmp: Scratch;
let metafile: Awaited<ReturnType<typeof bundle>>;
beforeAll(async () => {
  tmp = scratch();
  metafile = await bundle(tmp.at('dist'));
});
afterAll(() => tmp[Symbol.dispose]());

describe('the bundle', () => {
  test('has no code that could start a program', () => {
    expect(modulesOf(metafile, () => true)).not.toContain('child_process');
    const forbidden = /child_process|process\.binding|process\.dlopen|getBuiltinModule/;
    expect(readdirSync(tmp.at('dist')).filter((name) => forbidden.test(readFileSync(tmp.at('dist', name), 'utf8')))).toEqual([]);
  });

  test('is the same bytes when it is made again', async () => {
    await bundle(tmp.at('again'));
    expect(treeOf(tmp.at('again'))).toEqual(treeOf(tmp.at('dist')));
  });

  test('has the packages that docs/reference/dependencies.md lists (npm run docs)', async () => {
    expect(readFileSync(join(ROOT, 'docs/reference/dependencies.md'), 'utf8')).toBe(dependenciesPage(await takeInventory()));
  });
});

test('the SBOM lists each package of the bundle with its hash, and neither time nor registry', () => {
  const packages = bundledPackages(metafile, ROOT);
  const text = sbomOf(packages, ROOT);
  const { components } = JSON.parse(text) as { components: { name: string; version: string; hashes: { alg: string }[] }[] };
  expect(new Set(components.map(({ name, version }) => `${name}@${version}`))).toEqual(new Set(packages.map(({ name, version }) => `${name}@${version}`)));
  expect(components.filter(({ hashes }) => hashes[0]?.alg !== 'SHA-512')).toEqual([]);
  expect(text).not.toMatch(/"timestamp"|"serialNumber"|"distribution"/);
});

describe('licences', () => {
  const packageWith = (name: string, files: Record<string, string>) => {
    writeTree(tmp.at('other'), Object.fromEntries(Object.entries(files).map(([file, text]) => [`node_modules/${name}/${file}`, text])));
    const inputs = { [`node_modules/${name}/index.js`]: { bytesInOutput: 1 } };
    return { inputs: {}, outputs: { 'main.js': { inputs, bytes: 1, imports: [], exports: [] } } };
  };

  test('of every package in the bundle are passed on', () => {
    const packages = bundledPackages(metafile, ROOT);
    const text = licenceTexts(packages, ROOT);
    for (const { name, version } of packages) expect(text).toContain(`${name} ${version} (`);
    expect(text).toContain('Copyright (c) Matteo Collina and Undici contributors');
  });

  test.each(['GPL-3.0-only', '(MIT OR GPL-3.0-only)', 'UNLICENSED', undefined])('other than the permissive ones stop the build: %s', (license) => {
    const given = packageWith('copyleft', { 'package.json': JSON.stringify({ name: 'copyleft', version: '1.0.0', license }), LICENSE: 'text' });
    expect(() => bundledPackages(given, tmp.at('other'))).toThrow(/^copyleft 1\.0\.0 has the licence/);
  });

  test('without a text stop the build', () => {
    const given = packageWith('silent', { 'package.json': JSON.stringify({ name: 'silent', version: '1.0.0', license: 'MIT' }) });
    const packages = bundledPackages(given, tmp.at('other'));
    expect(() => licenceTexts(packages, tmp.at('other'))).toThrow('silent brings no licence text');
  });

  test('include notices', () => {
    const given = packageWith('noted', {
      'package.json': JSON.stringify({ name: 'noted', version: '1.0.0', license: 'MIT' }),
      LICENSE: 'a',
      NOTICE: 'of them',
    });
    expect(licenceTexts(bundledPackages(given, tmp.at('other')), tmp.at('other'))).toMatch(/\na\n\nof them\n$/);
  });
});

describe('credential_process in an AWS profile', () => {
  const files = signed(SMALL_MODEL);
  const keys = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret' };

  /** A pull by the bundle. The program, should it run, leaves a mark and gives keys that work. */
  async function pullWith(profile: string, environment: Readonly<Record<string, string>> = {}) {
    const home = tmp.at(`home-${Math.random()}`);
    await using server = await startS3Server({
      buckets: { models: Object.fromEntries(Object.entries(files).map(([name, body]) => [`v1/${name}`, body.toString()])) },
      keys,
    });
    const given = JSON.stringify({ Version: 1, AccessKeyId: keys.accessKeyId, SecretAccessKey: keys.secretAccessKey });
    writeTree(home, { 'give.sh': `touch ${home}/ran\necho '${given}'\n`, config: profile.replaceAll('PROGRAM', `sh ${home}/give.sh`), keep: '' });
    const ended = await runGate(['pull', 's3://models/v1/', join(home, 'to')], {
      entry: tmp.at('dist', 'main.js'),
      env: {
        MODEL_GATE_PUBLIC_KEY: KEYS.publicPem,
        AWS_CONFIG_FILE: join(home, 'config'),
        AWS_ENDPOINT_URL: server.origin,
        AWS_EC2_METADATA_DISABLED: 'true',
        ...environment,
      },
    });
    return {
      ended,
      ran: existsSync(join(home, 'ran')),
      tree: existsSync(join(home, 'to')) ? treeOf(join(home, 'to')) : undefined,
      requests: server.seen.length,
    };
  }

  test.each([
    ['of the default profile', '[default]\ncredential_process = PROGRAM\n', {}],
    ['of AWS_PROFILE', '[profile prod]\ncredential_process = PROGRAM\n', { AWS_PROFILE: 'prod' }],
    [
      'of a source profile',
      '[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n[profile base]\ncredential_process = PROGRAM\n',
      {},
    ],
    // Whoever asks for one identity must not silently get another one.
    [
      'with a web identity to fall back to',
      '[default]\ncredential_process = PROGRAM\n',
      { AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/x', AWS_WEB_IDENTITY_TOKEN_FILE: '/absent' },
    ],
  ])('is never run, %s', async (_, profile, environment) => {
    const { ended, ran, tree, requests } = await pullWith(profile, environment);
    expect({ ran, tree, requests }).toEqual({ ran: false, tree: undefined, requests: 0 });
    expect(ended).toMatchObject({ code: 3, termination: { verdict: 'failed', reason: 'CREDENTIALS_MISSING' } });
    expect(ended.stderr).toContain('asks for a credential_process, and model-gate runs no programs');
  });

  test('of another profile is nothing to us', async () => {
    const { ended, ran, tree } = await pullWith(
      `[default]\naws_access_key_id = ${keys.accessKeyId}\naws_secret_access_key = ${keys.secretAccessKey}\n[profile other]\ncredential_process = PROGRAM\n`,
    );
    expect({ code: ended.code, ran, tree }).toEqual({ code: 0, ran: false, tree: treeFrom(files) });
  });
});
