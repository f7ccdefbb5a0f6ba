// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { fileScratch } from '../support/fileScratch.ts';
import { bundleOf, type Files, KEYS, SMALL_MODEL, signed, writeTree } from '../support/model.ts';
import { pullHere, runGate, verifyHere } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import { makeKeys, rootDigestOf } from '../support/signer.ts';

vi.mock('node:timers/promises', async () => (await import('../support/pauses.ts')).timersWithoutWaiting);

const tmp = fileScratch();
const fresh = tmp.fresh;

/** Pulls it, over HTTP and from a folder, and verifies it in place: the same answer everywhere, and nothing is left behind. */
async function refused(files: Files, reason: string, flags: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const parent = fresh();
  const folder = fresh();
  writeTree(folder, files);
  await using server = await serveModel(files);
  for (const source of [server.url, folder]) {
    const outcome = await pullHere([source, `${parent}/models`], { flags });
    expect([source, outcome.reason, outcome.exitCode]).toEqual([source, reason, 1]);
    expect(existsSync(parent) ? readdirSync(parent) : []).toEqual([]);
  }
  expect(await verifyHere(folder, { flags })).toMatchObject({ reason, exitCode: 1 });
}

function flip(content: Buffer | string, at: number): Buffer {
  const bytes = Buffer.from(content);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

describe('a model that was tampered with', () => {
  const files = signed(SMALL_MODEL);

  test.each(['config.json', 'weights/part-1.bin', 'weights/part-2.bin'])('by one bit of %s, first, middle or last, is blocked', async (name) => {
    const content = Buffer.from(SMALL_MODEL[name] ?? '');
    for (const at of [0, content.length >> 1, content.length - 1]) await refused({ ...files, [name]: flip(content, at) }, 'DIGEST_MISMATCH');
  });

  test('by a byte more, a byte less, or content in an empty file is blocked', async () => {
    await refused({ ...files, 'config.json': `${SMALL_MODEL['config.json']} ` }, 'DIGEST_MISMATCH');
    await refused({ ...files, 'config.json': '{"hidden_size": 8' }, 'DIGEST_MISMATCH');
    await refused({ ...files, 'empty.txt': 'x' }, 'DIGEST_MISMATCH');
  });

  test('by exchanging two files of the same length is blocked', async () => {
    const model = { 'a.bin': 'aaaa', 'b.bin': 'bbbb' };
    await refused({ ...signed(model), 'a.bin': 'bbbb', 'b.bin': 'aaaa' }, 'DIGEST_MISMATCH');
  });

  test('by a missing file is blocked', async () => {
    const { 'weights/part-1.bin': _, ...rest } = files;
    await refused(rest, 'FILE_MISSING');
  });

  test('says which file, what was expected and what was found', async () => {
    await using server = await serveModel({ ...files, 'config.json': 'tampered' });
    const ended = await runGate([server.url, fresh()], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
    expect(ended).toMatchObject({ code: 1, stdout: '', termination: { verdict: 'refused', reason: 'DIGEST_MISMATCH', exitCode: 1 } });
    expect(ended.stderr).toContain("Hash mismatch for 'config.json'");
    expect(ended.stderr).toMatch(/ERROR BLOCKED DIGEST_MISMATCH \(exit 1\): .*Expected '[0-9a-f]{64}', Actual '[0-9a-f]{64}'.*\n.*what now: /);
    expect(ended.report).toMatchObject({ verdict: 'refused', exitCode: 1, models: [{ verdict: 'refused', files: [] }] });
  });

  test('is asked for once more before it is blocked, because transfers break', async () => {
    await using server = await serveModel({ ...files, 'config.json': 'tampered' });
    const outcome = await pullHere([server.url, `${fresh()}/models`]);
    expect(outcome.reason).toBe('DIGEST_MISMATCH');
    expect(server.asked().filter((name) => name === 'config.json').length).toBe(2);
  });
});

describe('a bundle that was tampered with', () => {
  const bundle = JSON.parse(bundleOf(SMALL_MODEL).toString());
  const withBundle = (edit: (copy: typeof bundle) => void): Files => {
    const copy = structuredClone(bundle);
    edit(copy);
    return { ...SMALL_MODEL, 'model.sig': JSON.stringify(copy) };
  };
  const edited = (base64: string, at: number): string => flip(Buffer.from(base64, 'base64'), at).toString('base64');

  test('in its payload, at any place, is blocked', async () => {
    const { length } = Buffer.from(bundle.dsseEnvelope.payload, 'base64');
    for (const at of [0, 100, length >> 1, length - 1]) {
      await refused(
        withBundle((copy) => {
          copy.dsseEnvelope.payload = edited(copy.dsseEnvelope.payload, at);
        }),
        'SIGNATURE_INVALID',
      );
    }
  });

  test('in its signature is blocked', async () => {
    for (const at of [8, 40, 60]) {
      await refused(
        withBundle((copy) => {
          copy.dsseEnvelope.signatures[0].sig = edited(copy.dsseEnvelope.signatures[0].sig, at);
        }),
        'SIGNATURE_INVALID',
      );
    }
  });

  test.each<[string, string, (copy: typeof bundle) => void]>([
    ['media type', 'BUNDLE_MALFORMED', (copy) => (copy.mediaType = 'application/json')],
    ['payload type', 'BUNDLE_MALFORMED', (copy) => (copy.dsseEnvelope.payloadType = 'application/vnd.in-toto+jsox')],
    ['signatures, removed', 'BUNDLE_MALFORMED', (copy) => (copy.dsseEnvelope.signatures = [])],
    ['signatures, a foreign one added', 'BUNDLE_MALFORMED', (copy) => copy.dsseEnvelope.signatures.push({ sig: 'AAAA', keyid: '' })],
    ['envelope, removed', 'BUNDLE_MALFORMED', (copy) => delete copy.dsseEnvelope],
    ['material, removed', 'BUNDLE_MALFORMED', (copy) => delete copy.verificationMaterial],
    ['material, of another method', 'BUNDLE_MALFORMED', (copy) => (copy.verificationMaterial = { x509CertificateChain: { certificates: [] } })],
    ['key hint', 'SIGNATURE_INVALID', (copy) => (copy.verificationMaterial.publicKey.hint = '00'.repeat(32))],
  ])('in its %s is blocked as %s', (_field, reason, edit) => refused(withBundle(edit), reason));

  test('by cutting it off, or by putting something else in its place, is blocked', async () => {
    const text = JSON.stringify(bundle);
    for (const broken of [text.slice(0, -1), `${text}x`, '', '[]', 'null', '<html></html>', text.replace('{', '{"mediaType":"x",')]) {
      await refused({ ...SMALL_MODEL, 'model.sig': broken }, 'BUNDLE_MALFORMED');
    }
  });

  test('in any single byte never passes with another meaning', async () => {
    const bytes = bundleOf({ 'config.json': '{}' });
    await using server = await serveModel({ 'config.json': '{"evil": true}', 'model.sig': bytes });
    for (let at = 0; at < bytes.length; at += 7) {
      server.files.set(server.pathOf('model.sig'), flip(bytes, at));
      const outcome = await pullHere([server.url, `${fresh()}/models`]);
      expect([at, outcome.exitCode]).toEqual([at, 1]);
    }
  });
});

describe('a model by somebody else', () => {
  test('signed with another key is blocked', () => refused(signed(SMALL_MODEL, makeKeys()), 'SIGNATURE_INVALID'));

  test('signed with another key that claims the trusted key’s hint is blocked', async () => {
    const theirs = JSON.parse(bundleOf(SMALL_MODEL, makeKeys()).toString());
    theirs.verificationMaterial = JSON.parse(bundleOf(SMALL_MODEL).toString()).verificationMaterial;
    await refused({ ...SMALL_MODEL, 'model.sig': JSON.stringify(theirs) }, 'SIGNATURE_INVALID');
  });

  test('that brings its own key along is blocked', async () => {
    const keys = makeKeys();
    const theirs = JSON.parse(bundleOf(SMALL_MODEL, keys).toString());
    theirs.verificationMaterial.publicKey = { rawBytes: Buffer.from(keys.publicPem).toString('base64'), keyDetails: 'PKIX_ECDSA_P256_SHA_256' };
    await refused({ ...SMALL_MODEL, 'model.sig': JSON.stringify(theirs) }, 'SIGNATURE_INVALID');
  });

  test('without a bundle is blocked as unsigned, and no model file is fetched', async () => {
    await refused(SMALL_MODEL, 'UNSIGNED');
    await using server = await serveModel(SMALL_MODEL);
    await pullHere([server.url, `${fresh()}/models`]);
    expect(server.asked().filter((name) => name in SMALL_MODEL)).toEqual([]);
  });
});

describe('an older version in place of the wanted one', () => {
  const wanted = signed(SMALL_MODEL);
  const older = signed({ ...SMALL_MODEL, 'config.json': '{"hidden_size": 4}' });
  const pin = `sha256:${rootDigestOf(bundleOf(SMALL_MODEL))}`;

  test('is blocked by --expect-digest although its signature is genuine', () => refused(older, 'DIGEST_NOT_PINNED', { 'expect-digest': [pin] }));

  test('does not take the place of the wanted one that stands there', async () => {
    await using good = await serveModel(wanted);
    await using swapped = await serveModel(older);
    const to = `${fresh()}/models`;
    expect(await pullHere([good.url, to], { flags: { 'expect-digest': [pin] } })).toMatchObject({ reason: 'OK' });
    expect(await pullHere([swapped.url, to], { flags: { 'expect-digest': [pin] } })).toMatchObject({ reason: 'DIGEST_NOT_PINNED' });
    expect(await verifyHere(to, { flags: { 'expect-digest': [pin] } })).toMatchObject({ reason: 'OK' });
  });

  test('mixed into the wanted one is blocked', () => refused({ ...wanted, 'config.json': older['config.json'] ?? '' }, 'DIGEST_MISMATCH'));
});

describe('an object at the source that nobody signed', () => {
  test('is never fetched', async () => {
    await using server = await serveModel({ ...signed(SMALL_MODEL), 'evil.py': 'import os', 'weights/evil.pickle': 'x' });
    const to = `${fresh()}/models`;
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(server.asked().filter((name) => name.includes('evil'))).toEqual([]);
    expect(existsSync(`${to}/evil.py`)).toBe(false);
  });
});
