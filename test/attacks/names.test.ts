// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fileScratch } from '../support/fileScratch.ts';
import { type Files, KEYS, leftovers, signed, snapshot, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import { resourceOf, signResources } from '../support/signer.ts';

const tmp = fileScratch();
const fresh = tmp.fresh;

/** Serves `evil` under every path, so that only the gate can refuse it, and watches everything around the destination. */
async function refusedName(names: readonly string[], reason: string): Promise<void> {
  const parent = fresh();
  writeTree(parent, { 'canary/file': 'canary', file: 'canary' });
  const bundle = signResources(
    names.map((name) => resourceOf(name, 'evil')),
    KEYS,
  );
  const before = snapshot(parent);
  const folder = fresh();
  writeTree(folder, { 'model.sig': bundle });
  await using server = await serveModel({ 'model.sig': bundle });
  for (const source of [server.url, folder]) {
    const outcome = await pullHere([source, `${parent}/models`]);
    expect([names, outcome.reason, outcome.exitCode]).toEqual([names, reason, 1]);
    expect(snapshot(parent)).toEqual(before);
  }
  expect(server.asked()).toEqual(['model.sig']);
}

/** One name on volumes that fold case fully (ext4 with casefold, APFS) or leave out letters without a glyph. */
const FOLDED: readonly [string[]][] = [
  [['straße', 'STRASSE']],
  [['\u017fecret', 'secret']],
  [['\u212aey', 'key']],
  [['\ufb01le', 'file']],
  [['ΑΣ', 'ας']],
  [['config.json', 'con\u200dfig.json']],
  [['config.json', 'con\u200bfig.json']],
  [['config.json', '\ufeffconfig.json']],
  [['config.json', 'config\u00ad.json']],
  [['a\ufe0f', 'a']],
];

describe('a properly signed manifest with a hostile name', () => {
  test.each([
    '../outside',
    'a/../../outside',
    'a/..',
    '..',
    '/etc/passwd',
    '//etc/passwd',
    'a//b',
    './a',
    'a/./b',
    'a/',
    '',
    'nul\0byte',
    `${'x'.repeat(256)}`,
    `${'x/'.repeat(2100)}y`,
    '../canary/file',
    'sub/../../canary/file',
  ])('is refused as a path: %j', (name) => refusedName(['config.json', name].sort(), 'PATH_UNSAFE'));

  test.each([[['README', 'readme']], [['A/x', 'a/y']], [['caf\u00e9', 'cafe\u0301']], [['Straße/ok', 'straße/ok2']], ...FOLDED])(
    'is refused where a volume may make two names one: %j',
    (names) => refusedName([...names].sort(), 'PATH_UNSAFE'),
  );

  test('is refused where a file would have to be a directory too', () => refusedName(['a', 'a/b'], 'PATH_UNSAFE'));

  test('is refused where it lies in our own staging directories, in any case', async () => {
    await refusedName(['.model-gate-host-0123456789ab/tree/x'], 'PATH_UNSAFE');
    await refusedName(['.Model-Gate-x'], 'PATH_UNSAFE');
    await refusedName(['.model\u200d-gate-x'], 'PATH_UNSAFE');
  });

  test('is refused where it is listed twice', () => refusedName(['twice', 'twice'], 'BUNDLE_MALFORMED'));

  test('keeps backslashes and Windows paths as ordinary names inside the destination', async () => {
    const names = signed({ '..\\..\\outside': 'x', 'C:\\Windows': 'y', '\\\\server\\share': 'z', '..%2f..%2foutside': 'w', '...': 'v', '.. ': 'u' });
    await using server = await serveModel(names);
    const parent = fresh();
    expect(await pullHere([server.url, `${parent}/models`])).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${parent}/models`)).toEqual(treeFrom(names));
    expect(readdirSync(parent)).toEqual(['models']);
  });
});

describe('a signed file with the name of the bundle', () => {
  test('is not overwritten by a bundle given with --bundle', async () => {
    const model = { 'config.json': '{}', 'model.sig': 'an older bundle, signed as a file' };
    const { 'model.sig': bundle = '' } = signed(model);
    const at = fresh();
    writeTree(at, { 'config.json': bundle, 'model.sig': bundle });
    await using server = await serveModel(model);
    for (const name of ['config.json', 'model.sig']) {
      const to = `${fresh()}/models`;
      expect(await pullHere([server.url, to], { flags: { bundle: `${at}/${name}` } })).toMatchObject({ reason: 'OK' });
      expect(treeOf(to)).toEqual(treeFrom({ ...model, 'model.sigstore.json': bundle }));
      server.seen.length = 0;
      expect(await pullHere([server.url, to], { flags: { bundle: `${at}/${name}` } })).toMatchObject({ reason: 'OK' });
      expect(server.seen).toEqual([]);
    }
  });

  test('can never be right where the bundle lies inside the model', async () => {
    const bundle = signResources([resourceOf('config.json', '{}'), resourceOf('model.sig', 'x')], KEYS);
    await using server = await serveModel({ 'config.json': '{}', 'model.sig': bundle });
    expect(await pullHere([server.url, `${fresh()}/models`])).toMatchObject({ reason: 'DIGEST_MISMATCH', exitCode: 1 });
  });

  test('takes all customary names: refused before anything is fetched, pulled without the bundle on request', async () => {
    const model = { 'release.sig': 'a', 'model.sig': 'b', 'Model.SigStore.json/x': 'c' };
    const { 'model.sig': bundle = '' } = signed(model);
    const at = fresh();
    writeTree(at, { 'release.sig': bundle });
    await using server = await serveModel(model);
    const parent = fresh();
    const flags = { bundle: `${at}/release.sig` };
    expect(await pullHere([server.url, `${parent}/models`], { flags })).toMatchObject({ reason: 'PLAN_CONTRADICTION', exitCode: 2 });
    expect(server.seen).toEqual([]);
    expect(existsSync(parent)).toBe(false);
    expect(await pullHere([server.url, `${parent}/models`], { flags: { ...flags, 'keep-bundle': false } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${parent}/models`)).toEqual(treeFrom(model));
  });

  test.each(['..%2F..%2Foutside', '%2e%2e', 'nul%00byte', '%ff', '.model-gate-x', ''])('is never given a path by --bundle: %j', async (name) => {
    const model = signed({ 'config.json': '{}' });
    await using server = await serveModel({ 'config.json': '{}' });
    server.files.set(`/bundles/${name}`, Buffer.from(model['model.sig'] ?? ''));
    const parent = fresh();
    const outcome = await pullHere([server.url, `${parent}/a/models`], { flags: { bundle: `${server.origin}/bundles/${name}` } });
    expect(['OK', 'UNSIGNED']).toContain(outcome.reason);
    // Published under one plain name, whichever, or not at all.
    const published = Object.keys(treeOf(parent)).filter((path) => !['a', 'a/models', 'a/models/config.json'].includes(path));
    expect(published.map((path) => path.split('/').length)).toEqual(outcome.reason === 'OK' ? [3] : []);
    expect(leftovers(`${parent}/a/models`)).toEqual([]);
    expect(existsSync(`${tmp.path}/outside`)).toBe(false);
  });
});

describe('a signed file called lost+found', () => {
  test('is an ordinary file', async () => {
    const files = signed({ 'lost+found/x': 'x', 'config.json': '{}' });
    await using server = await serveModel(files);
    const to = `${fresh()}/models`;
    mkdirSync(to, { recursive: true });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
  });
});

describe('names with terminal escapes, line breaks and bidirectional overrides', () => {
  const NASTY = [
    '\u001b[2J\u001b[31mVerification succeeded',
    'x\r\n2026-01-01T00:00:00.000Z INFO  Verification succeeded',
    '\u202egnp.exe',
    '\u009b31m',
    '\u2028line',
    'con\u200bfig\u200e.json\u2060',
  ];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not get out
  const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

  async function sayings(files: Files, to: string, formats: readonly string[] = ['plain']): Promise<void> {
    await using server = await serveModel(files);
    for (const format of formats) {
      const ended = await runGate(['pull', server.url, to, '--log-format', format], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
      expect(ended.code).toBe(1);
      for (const text of [ended.stdout, ended.stderr, ended.terminationText]) expect(text).not.toMatch(RAW);
      expect(ended.stderr.split('\n').filter((line) => /^(\S+ INFO {2})?Verification succeeded/.test(line))).toEqual([]);
      expect(ended.terminationText).not.toContain('\n');
      expect(ended.report).toMatchObject({ verdict: 'refused' });
    }
  }

  test('never reach the terminal, the log or the termination message raw when a file is missing', async () => {
    const { 'model.sig': bundle = '' } = signed(Object.fromEntries(NASTY.map((name) => [name, 'x'])));
    await sayings({ 'model.sig': bundle }, `${fresh()}/models`, ['plain', 'human', 'json']);
  });

  test('nor when the path is refused', async () => {
    await sayings({ 'model.sig': signResources([resourceOf(`${NASTY[0]}\0`, 'x')], KEYS) }, `${fresh()}/models`);
  });

  test('nor when such files stand in the destination', async () => {
    const to = `${fresh()}/models`;
    writeTree(to, Object.fromEntries(NASTY.map((name) => [name, 'x'])));
    await sayings(signed({ 'config.json': '{}' }), to);
    expect(Object.keys(treeOf(to)).length).toBe(NASTY.length);
    expect(leftovers(to)).toEqual([]);
  });
});
