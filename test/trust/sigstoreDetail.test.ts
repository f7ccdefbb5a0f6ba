// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyWithSigstore } from '../../src/trust/sigstore.ts';
import { readTrustMaterial } from '../../src/trust/sigstoreRoot.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { days, keyPair, leaf, NOW, type Party, timestamp } from './pki.ts';
import { type Instance, type Json, SIGNED_AT, type SignOptions, startInstance } from './sigstoreInstance.ts';

// What the sigstore method says of each reason to refuse: the library's codes are few, and operators have to know which it was.

let instance: Instance;
let other: Instance;

beforeAll(async () => {
  [instance, other] = await Promise.all([startInstance(), startInstance()]);
});

async function signerOf(options: SignOptions = {}, json: unknown = instance.trustedRoot, now = NOW): Promise<Signer> {
  const anchors = { kind: 'sigstore', root: { json, description: 'the test root', date: '2026-01-01' } } as const;
  return (await verifyWithSigstore(await instance.sign(options), anchors, now)).signer;
}

const refusal = (options: SignOptions = {}, json?: unknown, now?: Date): Promise<unknown> => signerOf(options, json, now).catch((error: unknown) => error);
const rootWith = (change: Json): Json => ({ ...structuredClone(instance.trustedRoot), ...change });
const withLeaf = (rawBytes: Buffer): SignOptions => ({
  alter: (bundle) => Object.assign(bundle['verificationMaterial'].certificate, { rawBytes: rawBytes.toString('base64') }),
});
const entry = (bundle: Json): Json => bundle['verificationMaterial'].tlogEntries[0];
const from = (at: Date): string => at.toISOString().replace('.000Z', 'Z');

describe('a refusal says', () => {
  it('that the signature is by another key', async () => {
    expect(await refusal({ signWith: keyPair('P-256') })).toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: 'the signature was not made with the key of the signing certificate',
      hint: expect.stringContaining('Get the bundle from the publisher again'),
    });
  });

  it('that the certificate is none', async () => {
    const { der } = await leaf(instance.ca);
    for (const bad of [Buffer.from('garbage'), Buffer.concat([der, Buffer.from([0])])])
      expect(await refusal(withLeaf(bad))).toMatchObject({
        code: 'CERT_CHAIN_INVALID',
        message: 'the signing certificate of the bundle is not a DER certificate',
      });
  });

  it('who issued a certificate that the root does not know', async () => {
    const [authority] = structuredClone(other.trustedRoot['certificateAuthorities']) as Json[];
    const tsaOnly = [{ ...authority, certChain: instance.trustedRoot['timestampAuthorities'][0].certChain }];
    expect(await refusal({}, rootWith({ certificateAuthorities: tsaOnly }))).toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: "the signing certificate was issued by 'CN=fulcio', which is not in the trusted root (the test root)",
      hint: expect.stringContaining('--tuf-refresh'),
      context: { found: 'CN=fulcio' },
    });
  });

  it('that a known authority did not make it', async () => {
    const imposter = rootWith({ certificateAuthorities: other.trustedRoot['certificateAuthorities'] });
    expect(await refusal({}, imposter)).toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: expect.stringMatching(/^the signing certificate does not verify against the trusted root \(the test root\): \S/),
      hint: expect.stringContaining('--trusted-root'),
    });
  });

  it('that it was logged outside of the certificate’s validity, and both times', async () => {
    const period = `${from(new Date(SIGNED_AT.getTime() - 60_000))} to ${from(new Date(SIGNED_AT.getTime() + 540_000))}`;
    for (const loggedAt of [days(1, SIGNED_AT), days(-1, SIGNED_AT)])
      expect(await refusal({ loggedAt }, instance.trustedRoot, days(5))).toMatchObject({
        code: 'CERT_CHAIN_INVALID',
        message: `the signing certificate was valid from ${period}, but the signature was made at ${from(loggedAt)}`,
        hint: expect.stringContaining('Sign again'),
        context: { expected: period, found: from(loggedAt) },
      });
  });

  it('that the log does not prove it', async () => {
    const alter = (bundle: Json): void => void Object.assign(entry(bundle)['inclusionPromise'], { signedEntryTimestamp: 'AAAA' });
    expect(await refusal({ alter })).toMatchObject({
      code: 'LOG_PROOF_INVALID',
      message: expect.stringMatching(/^the transparency log entry does not prove this signature: \S/),
    });
  });

  it('that the time is not proven, and what to do', async () => {
    for (const options of [{ entry: 'dsse/0.0.2', timestamps: [] } as const, { alter: (b: Json) => delete entry(b)['inclusionPromise'] }])
      expect(await refusal(options)).toMatchObject({
        code: 'TIMESTAMP_INVALID',
        message: expect.stringMatching(/the time of signing is not proven \(\S/),
        hint: expect.stringContaining('The trusted root has to know the timestamp authority'),
      });
  });

  it('that a timestamp cannot be read', async () => {
    const alter = (bundle: Json): void => {
      bundle['verificationMaterial'].timestampVerificationData.rfc3161Timestamps = [{ signedTimestamp: 'AAAA' }];
    };
    expect(await refusal({ alter })).toMatchObject({ code: 'TIMESTAMP_INVALID', message: 'a signed timestamp of the bundle cannot be read' });
  });

  it('that a timestamp was not granted, which the library does not look at', async () => {
    const signed = await instance.sign({ entry: 'dsse/0.0.2' });
    const root = { json: instance.trustedRoot, description: 'the test root', date: '2026-01-01' };
    const withStatus = async (status: number): Promise<unknown> => {
      const stamp = await timestamp(signed.envelope.signature, instance.tsa, { at: SIGNED_AT, status });
      return verifyWithSigstore({ ...signed, material: { ...signed.material, timestamps: [stamp] } }, { kind: 'sigstore', root }, NOW);
    };
    for (const granted of [0, 1]) await expect(withStatus(granted)).resolves.toMatchObject({ signer: { kind: 'sigstore' } });
    for (const refused of [2, 5])
      await expect(withStatus(refused)).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID', message: 'a signed timestamp of the bundle cannot be read' });
  });

  it('that the time is in the future, by whose word', async () => {
    const early = days(-2);
    const future = { message: `the signature is dated ${from(SIGNED_AT)}, which is in the future`, context: { found: from(SIGNED_AT) } };
    expect(await refusal({}, instance.trustedRoot, early)).toMatchObject({ code: 'LOG_PROOF_INVALID', ...future });
    expect(await refusal({ entry: 'dsse/0.0.2' }, instance.trustedRoot, early)).toMatchObject({
      code: 'TIMESTAMP_INVALID',
      ...future,
      hint: expect.stringContaining('Check the clock of this machine'),
    });
  });

  it('that a log without times of its own was not in service then', async () => {
    const period = (validFor: Json): Json => {
      const tlogs = structuredClone(instance.trustedRoot['tlogs']) as Json[];
      Object.assign(tlogs[0]?.['publicKey'], { validFor });
      return rootWith({ tlogs });
    };
    for (const validFor of [
      { start: days(-365).toISOString(), end: days(-100).toISOString() },
      { start: days(10).toISOString(), end: days(20).toISOString() },
    ])
      expect(await refusal({ entry: 'dsse/0.0.2' }, period(validFor))).toMatchObject({
        code: 'LOG_PROOF_INVALID',
        message: expect.stringMatching(/^transparency log [0-9a-f]{64} was not in service at the time of signing$/),
        hint: expect.stringContaining('--tuf-refresh'),
      });
    const exact = { start: SIGNED_AT.toISOString(), end: SIGNED_AT.toISOString() };
    expect(await signerOf({ entry: 'dsse/0.0.2' }, period(exact))).toMatchObject({ kind: 'sigstore' });
  });

  it.each<[string, (bundle: Json) => unknown]>([
    ['kindVersion', (b) => delete entry(b)['kindVersion']],
    ['logId', (b) => delete entry(b)['logId']],
  ])('which part a bundle lacks: %s', async (part, alter) => {
    expect(await refusal({ alter })).toMatchObject({
      code: 'BUNDLE_MALFORMED',
      message: expect.stringMatching(new RegExp(`^the bundle is not a complete Sigstore bundle: .*${part}`)),
    });
  });
});

describe('the trusted root', () => {
  const read =
    (json: unknown): (() => unknown) =>
    () =>
      readTrustMaterial({ json, description: 'the test root' });

  it.each([
    [['certificateAuthorities'], 'certificate authorities'],
    [['tlogs'], 'transparency logs'],
    [['ctlogs'], 'certificate transparency logs'],
    [['certificateAuthorities', 'tlogs', 'ctlogs'], 'certificate authorities and no transparency logs and no certificate transparency logs'],
  ])('without %j is refused, and says so', (members, missing) => {
    expect(read(rootWith(Object.fromEntries(members.map((member) => [member, []]))))).toThrow(
      expect.objectContaining({ code: 'ANCHORS_INVALID', message: `the test root has no ${missing}`, hint: expect.stringContaining('complete trusted root') }),
    );
  });

  it('with an authority that has no certificate is as without it', () => {
    const [authority] = structuredClone(instance.trustedRoot['certificateAuthorities']) as Json[];
    const empty = { ...authority, certChain: { certificates: [] } };
    expect(read(rootWith({ certificateAuthorities: [empty] }))).toThrow(expect.objectContaining({ code: 'ANCHORS_INVALID' }));
    expect(read(rootWith({ certificateAuthorities: [authority] }))).not.toThrow();
  });

  it('that is something else is refused', () => {
    for (const json of [7, null, { tlogs: [{}] }])
      expect(read(json)).toThrow(
        expect.objectContaining({ code: 'ANCHORS_INVALID', message: expect.stringMatching(/^the test root (is not a usable|has no )/) }),
      );
  });
});

it('a signer with keys on P-384 and P-521 is told with them', async () => {
  for (const key of ['P-384', 'P-521'] as const) {
    const options: SignOptions = { leaf: { key } };
    expect(await signerOf(options)).toMatchObject({ key: { curve: key, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) } });
  }
  const party: Party = await leaf(instance.ca, { key: 'rsa-2048' });
  expect(await refusal(withLeaf(party.der))).toMatchObject({ code: 'ALGORITHM_REFUSED' });
});
