// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import type { ParsedBundle } from '../../src/oms/bundle.ts';
import { verifyWithCertificate } from '../../src/trust/certificate.ts';
import { keyFingerprint } from '../../src/trust/ecdsa.ts';
import type { Signer, TrustAnchors } from '../../src/trust/trust.ts';
import { authority, bundleOf, CODE_SIGNING, days, intermediate, keyPair, leaf, NOW, type Party, root, SERVER_AUTH, signatureOf, timestamp } from './pki.ts';

// What the certificate method says: of a signer, and of each reason to refuse.

type Anchors = Extract<TrustAnchors, { kind: 'certificate' }>;
type CertificateBundle = ReturnType<typeof bundleOf>;

let ca: Party;
let inter: Party;
let signer: Party;
let tsaRoot: Party;
let tsa: Party;
const GARBAGE = Buffer.from('garbage');

beforeAll(async () => {
  ca = await root();
  inter = await intermediate(ca);
  signer = await leaf(inter, { serial: Buffer.from('01abcdef01abcdef01abcdef01abcdef', 'hex') });
  tsaRoot = await root({ subject: 'tsa root' });
  tsa = await authority(tsaRoot);
});

async function signerOf(bundle: CertificateBundle, anchors: Partial<Anchors> = {}): Promise<Signer> {
  const all: Anchors = { kind: 'certificate', anchors: [ca.der], helpers: [], timestampAuthorities: [], expired: 'refuse', ...anchors };
  return (await verifyWithCertificate(bundle, all, NOW)).signer;
}

const refusal = (bundle: CertificateBundle, anchors: Partial<Anchors> = {}): Promise<unknown> => signerOf(bundle, anchors).catch((error: unknown) => error);

describe('a verified signer', () => {
  it('is told in full, without times that nobody proved', async () => {
    expect(await signerOf(bundleOf(signer, [signer, inter], { timestamps: [GARBAGE] }))).toStrictEqual({
      kind: 'certificate',
      subject: 'CN=leaf',
      names: [],
      issuer: 'CN=intermediate',
      serial: '01abcdef01abcdef01abcdef01abcdef',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      anchor: 'CN=root',
      notBefore: days(-30),
      notAfter: days(30),
      checkedAt: NOW,
      timeSource: 'clock',
      key: { fingerprint: keyFingerprint(signer.publicKey), curve: 'P-256' },
      purposes: [CODE_SIGNING],
    });
  });

  it('has the times that given authorities proved, and no others', async () => {
    const signature = signatureOf(signer);
    const stranger = await authority(await root({ subject: 'other' }));
    const timestamps = [await timestamp(signature, tsa, { at: days(-1) }), await timestamp(signature, stranger, { at: days(-2) })];
    expect(await signerOf(bundleOf(signer, [signer, inter], { signature, timestamps }), { timestampAuthorities: [tsaRoot.der] })).toMatchObject({
      times: [{ source: 'timestamp', at: days(-1) }],
      checkedAt: days(-1),
    });
  });

  it('has no purposes where the certificate names none', async () => {
    const plain = await leaf(inter, { purposes: undefined as never });
    expect(await signerOf(bundleOf(plain, [plain, inter]))).toMatchObject({ purposes: [] });
  });
});

describe('a refusal says', () => {
  it('that there is no certificate', async () => {
    const empty = { ...bundleOf(signer, [signer]), material: { kind: 'certificate', chain: [], timestamps: [] } } as unknown as CertificateBundle &
      ParsedBundle;
    expect(await refusal(empty)).toMatchObject({ code: 'CERT_CHAIN_INVALID', message: 'the bundle has no certificate' });
  });

  it('which certificate cannot be read, and whose it is', async () => {
    const good = bundleOf(signer, [signer, inter]);
    expect(await refusal(bundleOf(signer, [signer, GARBAGE]))).toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: 'certificate of the bundle number 2 is not a DER certificate',
    });
    for (const [anchors, what] of [
      [{ anchors: [GARBAGE] }, 'given anchor'],
      [{ helpers: [GARBAGE] }, 'given certificate'],
      [{ timestampAuthorities: [GARBAGE] }, 'given timestamp authority'],
    ] as const)
      expect(await refusal(good, anchors)).toMatchObject({ code: 'ANCHORS_INVALID', message: `${what} number 1 is not a DER certificate` });
  });

  it('whose key did not make the signature', async () => {
    const error = await refusal(bundleOf(keyPair('P-256'), [signer, inter]));
    expect(error).toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: "the signature was not made with the P-256 key of certificate 'CN=leaf'",
      context: { expected: expect.stringMatching(/^[0-9a-f]{64}$/) },
      hint: expect.stringContaining('Get the bundle from the publisher again'),
    });
  });

  it('what the certificate is not for', async () => {
    const server = await leaf(inter, { purposes: [SERVER_AUTH] });
    expect(await refusal(bundleOf(server, [server, inter]))).toMatchObject({
      message: "the signing certificate 'CN=leaf' is for other purposes than code signing",
      hint: expect.stringContaining('codeSigning'),
    });
    const agreement = await leaf(inter, { keyUsage: ['keyAgreement'] });
    expect(await refusal(bundleOf(agreement, [agreement, inter]))).toMatchObject({
      message: "the signing certificate 'CN=leaf' may not make signatures: it lacks the key usage digitalSignature",
      hint: expect.stringContaining('digitalSignature'),
    });
  });

  it('which period was left, and when', async () => {
    const expired = await leaf(inter, { from: days(-20), to: days(-10) });
    const signature = signatureOf(expired);
    const period = '2026-05-12T12:00:00Z to 2026-05-22T12:00:00Z';
    expect(await refusal(bundleOf(expired, [expired, inter]))).toMatchObject({
      code: 'CERT_EXPIRED',
      message: `the signing certificate 'CN=leaf' is valid from ${period}, not at 2026-06-01T12:00:00Z (now)`,
      context: { expected: period, found: '2026-06-01T12:00:00Z' },
    });
    const stamped = bundleOf(expired, [expired, inter], { signature, timestamps: [await timestamp(signature, tsa, { at: days(-5) })] });
    expect(await refusal(stamped, { timestampAuthorities: [tsaRoot.der] })).toMatchObject({
      message: `the signing certificate 'CN=leaf' is valid from ${period}, not at 2026-05-27T12:00:00Z (the time of its timestamp)`,
    });
    expect(await refusal(stamped)).toMatchObject({ message: expect.stringMatching(/\(now\); the timestamp is from no given timestamp authority$/) });
  });

  it('that it was the issuer’s, which says nothing of the signer, unless his is over as well', async () => {
    const old = await intermediate(ca, { from: days(-20), to: days(-10) });
    const [valid, over] = [await leaf(old), await leaf(old, { from: days(-20), to: days(-10) })];
    const period = '2026-05-12T12:00:00Z to 2026-05-22T12:00:00Z';
    expect(await refusal(bundleOf(valid, [valid, old]))).toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: `the issuing certificate 'CN=intermediate' is valid from ${period}, not at 2026-06-01T12:00:00Z (now)`,
      context: { expected: period, found: '2026-06-01T12:00:00Z' },
    });
    expect(await refusal(bundleOf(over, [over, old]))).toMatchObject({ code: 'CERT_EXPIRED' });
  });
});
