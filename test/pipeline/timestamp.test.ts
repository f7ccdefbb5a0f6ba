// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { asAppError, type ErrorCode } from '../../src/base/errors.ts';
import { parseBundle } from '../../src/oms/bundle.ts';
import { sign } from '../../src/pipeline/sign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makeSignPlan } from '../../src/plan/makeTool.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { PATHS, type SigstoreServer, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, writeTree } from '../support/model.ts';
import { type Flags, verifyHere } from '../support/run.ts';
import { days, leaf, type Party, pem, root } from '../trust/pki.ts';

// Timestamps for keys and certificates, from an authority on loopback.

let server: SigstoreServer;
let space: Scratch;
let model: string;
let ca: Party;
let signer: Party;

beforeAll(async () => {
  server = await startSigstoreServer();
  const now = new Date();
  ca = await root({ from: days(-10, now), to: days(3650, now) });
  signer = await leaf(ca, { from: days(-1, now), to: days(1, now) });
});
afterAll(() => server[Symbol.asyncDispose]());

beforeEach(() => {
  server.reset();
  space = scratch();
  model = space.at('model');
  writeTree(model, SMALL_MODEL);
});
afterEach(() => space[Symbol.dispose]());

async function signHere(method: 'key' | 'certificate', flags: Flags = {}): Promise<'OK' | ErrorCode> {
  const key = method === 'key' ? KEYS : signer;
  const common = { 'private-key': key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'timestamp-url': `${server.origin}${PATHS.tsa}` };
  const { values } = resolveOptions('sign', {
    flags: { ...common, ...(method === 'certificate' && { 'signing-certificate': pem(signer) }), ...flags },
    env: {},
    file: undefined,
  });
  try {
    await sign(makeSignPlan([method, model], values), { emit: () => {}, signal: new AbortController().signal, now: () => new Date(), env: {} });
    return 'OK';
  } catch (error) {
    return asAppError(error).code;
  }
}

const bundle = () => parseBundle(readFileSync(join(model, 'model.sig')));

describe('a policy', () => {
  const indent = (text: string): string => text.trim().replaceAll('\n', '\n      ');
  const policy = (authority: string, checks: string): string =>
    `apiVersion: model-gate/policy/v1\nsigners:\n  alice:\n    key: |\n      ${indent(KEYS.publicPem)}\ntimestampAuthorities:\n  - |\n      ${indent(authority)}\nrules:\n  - { name: dated, source: '*://**', require: alice, ${checks} }\n`;
  const judged = async (authority: Party, checks: string) => (await verifyHere(model, { flags: { policy: policy(pem(authority), checks) } })).reason;

  test('takes the time of a key’s signature from the authorities it names, and from no others', async () => {
    expect(await signHere('key')).toBe('OK');
    const { tsaRoot } = server.instance;
    expect(await judged(tsaRoot, 'requireTimestamp: true, maxAge: 1h')).toBe('OK');
    expect(await judged(tsaRoot, 'signedAfter: 2099-01-01')).toBe('SIGNED_TOO_EARLY');
    expect(await judged(ca, 'requireTimestamp: true')).toBe('TIMESTAMP_INVALID');
    expect(await judged(ca, 'maxAge: 1h')).toBe('SIGNED_TOO_EARLY');
  });
});

describe('a timestamp', () => {
  test('keeps a certificate good that has expired since, for those who trust its authority and nobody else', async () => {
    expect(await signHere('certificate')).toBe('OK');
    const later = days(30, new Date());
    const anchors = (timestampAuthorities: readonly Buffer[]) =>
      ({ kind: 'certificate', anchors: [ca.der], helpers: [], timestampAuthorities, expired: 'refuse' }) as const;
    const { signer: found } = await verifySignature(bundle(), anchors([server.instance.tsaRoot.der]), later);
    expect(found).toMatchObject({ kind: 'certificate', timeSource: 'timestamp' });
    await expect(verifySignature(bundle(), anchors([]), later)).rejects.toMatchObject({ code: 'CERT_EXPIRED' });
    const stranger = await root({ subject: 'another authority', from: days(-10, new Date()), to: days(3650, new Date()) });
    await expect(verifySignature(bundle(), anchors([stranger.der]), later)).rejects.toMatchObject({ code: 'CERT_EXPIRED' });
  });

  test('stands in the way of nobody: bundles by key and certificate verify as ever', async () => {
    expect(await signHere('key')).toBe('OK');
    expect(bundle().material.timestamps).toHaveLength(1);
    expect((await verifyHere(model)).reason).toBe('OK');
    expect(await signHere('certificate')).toBe('OK');
    expect((await verifyHere(model, { flags: { ca: [pem(ca)] } })).reason).toBe('OK');
    expect((await verifyHere(model, { flags: { ca: [pem(ca)], 'timestamp-authority': [pem(server.instance.tsaRoot)] } })).reason).toBe('OK');
  });

  test('is asked for only when the key is good', async () => {
    expect(await signHere('key', { 'private-key': 'nowhere.pem' })).toBe('SIGNING_KEY_INVALID');
    expect(server.seen).toEqual([]);
  });

  test.each<[string, number | undefined, ErrorCode]>([
    ['refused', 400, 'SIGNING_SERVICE_FAILED'],
    ['not available', 503, 'SOURCE_UNAVAILABLE'],
    ['not answered', undefined, 'SOURCE_TIMEOUT'],
  ])('that is %s leaves no bundle', async (_what, status, code) => {
    server.misbehave(PATHS.tsa, () => (status === undefined ? undefined : { status, body: '' }));
    expect(await signHere('key', { 'stall-timeout': '200ms' })).toBe(code);
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('of an authority that cannot be reached leaves no bundle', async () => {
    expect(await signHere('key', { 'timestamp-url': 'http://127.0.0.1:1/' })).toBe('SOURCE_UNAVAILABLE');
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });
});
