// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import type { NonEmpty } from '../../src/base/brands.ts';
import { AppError } from '../../src/base/errors.ts';
import { preAuthEncodingV020 } from '../../src/oms/dsse.ts';
import { verifyWithCertificate } from '../../src/trust/certificate.ts';
import type { TrustAnchors, VerifiedPayload } from '../../src/trust/trust.ts';
import {
  authority,
  bundleOf,
  type CertificateOptions,
  days,
  dns,
  email,
  extension,
  intermediate,
  issue,
  type KeyKind,
  keyPair,
  leaf,
  NOW,
  nameConstraints,
  PAYLOAD,
  type Party,
  root,
  SERVER_AUTH,
  signatureOf,
  timestamp,
  uri,
} from './pki.ts';

type Options = Partial<Omit<Extract<TrustAnchors, { kind: 'certificate' }>, 'helpers' | 'timestampAuthorities' | 'anchors'>> & {
  helpers?: readonly Party[];
  authorities?: readonly Party[];
  now?: Date;
};

function verify(bundle: ReturnType<typeof bundleOf>, anchors: NonEmpty<Party>, options: Options = {}): Promise<VerifiedPayload> {
  const [first, ...rest] = anchors;
  return verifyWithCertificate(
    bundle,
    {
      kind: 'certificate',
      anchors: [first.der, ...rest.map((a) => a.der)],
      helpers: (options.helpers ?? []).map((h) => h.der),
      timestampAuthorities: (options.authorities ?? []).map((a) => a.der),
      expired: options.expired ?? 'refuse',
    },
    options.now ?? NOW,
  );
}

const chainInvalid = { code: 'CERT_CHAIN_INVALID' };

let ca: Party;
let inter: Party;
let signer: Party;

beforeAll(async () => {
  ca = await root();
  inter = await intermediate(ca);
  signer = await leaf(inter);
});

describe('a path to an anchor', () => {
  it('verifies through an intermediate of the bundle and states the facts of the signer', async () => {
    const named = await leaf(inter, {
      subject: [
        ['2.5.4.10', 'Acme, Inc.'],
        ['2.5.4.3', 'signer'],
      ],
      names: [email('signer@example.com'), uri('https://example.com/signer'), dns('example.com')],
    });
    const payload = await verify(bundleOf(named, [named, inter]), [ca]);
    expect(payload.bytes).toEqual(PAYLOAD);
    expect(payload.encoding).toBe('DSSEv1');
    expect(payload.signer).toMatchObject({
      kind: 'certificate',
      subject: 'CN=signer,O=Acme\\, Inc.',
      names: ['signer@example.com', 'https://example.com/signer', 'example.com'],
      issuer: 'CN=intermediate',
      anchor: 'CN=root',
      notBefore: days(-30),
      notAfter: days(30),
      checkedAt: NOW,
      timeSource: 'clock',
    });
  });

  it.each<KeyKind>(['P-256', 'P-384', 'P-521'])('verifies a leaf on %s', async (key) => {
    const party = await leaf(inter, { key });
    await expect(verify(bundleOf(party, [party, inter]), [ca])).resolves.toMatchObject({ bytes: PAYLOAD });
  });

  it('verifies below an RSA root, with helpers of the caller, and with the root in the bundle', async () => {
    const rsa = await root({ key: 'rsa-2048' });
    const below = await leaf(rsa);
    await expect(verify(bundleOf(below, [below]), [rsa])).resolves.toBeDefined();
    await expect(verify(bundleOf(signer, [signer]), [ca], { helpers: [inter] })).resolves.toBeDefined();
    await expect(verify(bundleOf(signer, [signer, inter, ca]), [ca])).resolves.toBeDefined();
  });

  it('picks the right one of several anchors', async () => {
    await expect(verify(bundleOf(signer, [signer, inter]), [await root({ subject: 'other' }), ca])).resolves.toBeDefined();
  });

  it('accepts a self-signed leaf that is itself an anchor, CA or not', async () => {
    const self = await issue({ subject: 'self', ca: true, keyUsage: ['digitalSignature'] });
    await expect(verify(bundleOf(self, [self]), [self])).resolves.toMatchObject({ signer: { anchor: 'CN=self' } });
  });

  it('accepts a self-issued leaf: the same name as its issuer, signed by the issuer', async () => {
    const odd = await leaf(inter, { subject: 'intermediate', ca: true });
    await expect(verify(bundleOf(odd, [odd, inter]), [ca])).resolves.toMatchObject({ signer: { subject: 'CN=intermediate' } });
  });

  it('finds the way around an outdated cross-certificate', async () => {
    const newCa = await root({ subject: 'new root' });
    const outdated = await intermediate(newCa, { subject: 'intermediate', key: inter, from: days(-10), to: days(-5) });
    await expect(verify(bundleOf(signer, [signer, outdated, inter]), [newCa, ca])).resolves.toBeDefined();
  });
});

describe('no path to an anchor', () => {
  it('refuses a missing intermediate and names it', async () => {
    await expect(verify(bundleOf(signer, [signer]), [ca])).rejects.toMatchObject({
      ...chainInvalid,
      message: expect.stringContaining("issued by 'CN=intermediate'"),
    });
  });

  it('never believes a root that only the bundle vouches for', async () => {
    const evil = await root({ subject: 'evil' });
    const party = await leaf(evil);
    await expect(verify(bundleOf(party, [party, evil]), [ca])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('self-signed') });
  });

  it('never believes a self-signed leaf that is no anchor', async () => {
    const self = await issue({ subject: 'root', ca: true, keyUsage: ['digitalSignature'] });
    await expect(verify(bundleOf(self, [self]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('refuses an issuer of the same name with another key', async () => {
    const imposter = await root({ subject: 'intermediate' });
    await expect(verify(bundleOf(signer, [signer, imposter]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('refuses a certificate whose issuer name is not its issuer', async () => {
    const party = await leaf(inter, { issuerName: 'somebody else' });
    await expect(verify(bundleOf(party, [party, inter]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it.each<[string, CertificateOptions]>([
    ['is no CA', { ca: false, keyUsage: ['digitalSignature'] }],
    ['is no CA but may sign certificates', { ca: false }],
    ['has no basic constraints and no key usage', {}],
    ['lacks keyCertSign', { ca: true, keyUsage: ['digitalSignature'] }],
  ])('refuses an intermediate that %s', async (_, options) => {
    const wrong = await issue({ subject: 'wrong', issuer: ca, keyUsage: ['keyCertSign'], ...options });
    const party = await leaf(wrong);
    await expect(verify(bundleOf(party, [party, wrong]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('refuses more intermediates than the path length allows', async () => {
    const short = await root({ subject: 'short', pathLength: 0 });
    const direct = await leaf(short);
    await expect(verify(bundleOf(direct, [direct]), [short])).resolves.toBeDefined();
    const between = await intermediate(short);
    const party = await leaf(between);
    await expect(verify(bundleOf(party, [party, between]), [short])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('allows 0') });
  });

  it('refuses an intermediate CA for other purposes, and takes any purpose', async () => {
    const tls = await intermediate(ca, { subject: 'tls', purposes: [SERVER_AUTH] });
    const party = await leaf(tls);
    await expect(verify(bundleOf(party, [party, tls]), [ca])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('other purposes') });
    const any = await intermediate(ca, { subject: 'any', purposes: ['2.5.29.37.0'] });
    const fine = await leaf(any);
    await expect(verify(bundleOf(fine, [fine, any]), [ca])).resolves.toBeDefined();
  });

  it('refuses certificates signed with SHA-1 and weak RSA keys', async () => {
    const rsa = await root({ key: 'rsa-2048', subject: 'strong' });
    const old = await leaf(rsa, { hash: 'SHA-1' });
    await expect(verify(bundleOf(old, [old]), [rsa])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('algorithm') });
    const tiny = await root({ subject: 'tiny', key: 'rsa-1024' });
    const party = await leaf(tiny);
    await expect(verify(bundleOf(party, [party]), [tiny])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('1024 bits') });
  });

  it('refuses garbage anywhere in the chain, PEM in place of DER, and bytes behind a certificate', async () => {
    const refused = { ...chainInvalid, message: expect.stringContaining('not a DER certificate') };
    await expect(verify(bundleOf(signer, [Buffer.from('garbage'), inter]), [ca])).rejects.toMatchObject(refused);
    await expect(verify(bundleOf(signer, [signer, inter, Buffer.from('garbage')]), [ca])).rejects.toMatchObject(refused);
    await expect(verify(bundleOf(signer, [signer, inter, Buffer.alloc(70_000)]), [ca])).rejects.toMatchObject(refused);
    await expect(verify(bundleOf(signer, [Buffer.concat([signer.der, Buffer.from([0])]), inter]), [ca])).rejects.toMatchObject(refused);
    const text = Buffer.from(`-----BEGIN CERTIFICATE-----\n${signer.der.toString('base64')}\n-----END CERTIFICATE-----\n`);
    await expect(verify(bundleOf(signer, [text, inter]), [ca])).rejects.toMatchObject(refused);
  });

  it('refuses a leaf with any byte altered', async () => {
    for (let i = 0; i < signer.der.length; i += 3) {
      const altered = Buffer.from(signer.der);
      altered[i] = (altered[i] ?? 0) ^ 1;
      await expect(verify(bundleOf(signer, [altered, inter]), [ca]), `byte ${i}`).rejects.toBeInstanceOf(AppError);
    }
  });

  it('calls garbage among the anchors the caller’s mistake', async () => {
    await expect(verify(bundleOf(signer, [signer, inter]), [{ ...ca, der: Buffer.from('x') }])).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
  });

  it('ends on cycles of cross-signed certificates and on many look-alikes', async () => {
    const a = await root({ subject: 'A' });
    const b = await root({ subject: 'B' });
    const ab = await intermediate(a, { subject: 'B', key: b });
    const ba = await intermediate(b, { subject: 'A', key: a });
    const party = await leaf(ab);
    await expect(verify(bundleOf(party, [party, ab, ba]), [ca])).rejects.toMatchObject(chainInvalid);
    const twin = keyPair('P-256');
    const base = await root({ subject: 'twin', key: twin });
    const twins = await Promise.all(Array.from({ length: 14 }, () => intermediate(base, { subject: 'twin', key: twin })));
    const lost = await leaf(base);
    await expect(verify(bundleOf(lost, [lost, ...twins]), [ca])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('too many ways') });
  });

  it('refuses paths of more than eight certificates', async () => {
    let issuer = ca;
    const chain: Party[] = [];
    for (let i = 0; i < 7; i++) {
      issuer = await intermediate(issuer, { subject: `level ${i}` });
      chain.unshift(issuer);
    }
    const party = await leaf(issuer);
    await expect(verify(bundleOf(party, [party, ...chain]), [ca])).rejects.toMatchObject(chainInvalid);
  });
});

describe('extensions', () => {
  it('refuses unknown critical extensions of leaf and issuers, and ignores uncritical ones', async () => {
    const unknown = (critical: boolean) => extension('1.2.3.4.5', new Uint8Array([5, 0]).buffer, critical);
    const fine = await leaf(inter, { extra: [unknown(false)] });
    await expect(verify(bundleOf(fine, [fine, inter]), [ca])).resolves.toBeDefined();
    const wrong = await leaf(inter, { extra: [unknown(true)] });
    await expect(verify(bundleOf(wrong, [wrong, inter]), [ca])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('1.2.3.4.5') });
    const wrongCa = await intermediate(ca, { extra: [unknown(true)] });
    const party = await leaf(wrongCa);
    await expect(verify(bundleOf(party, [party, wrongCa]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('refuses an extension that is there twice', async () => {
    const twice = await leaf(inter, { extra: [extension('1.2.3', new Uint8Array([5, 0]).buffer), extension('1.2.3', new Uint8Array([5, 0]).buffer)] });
    await expect(verify(bundleOf(twice, [twice, inter]), [ca])).rejects.toMatchObject({ ...chainInvalid, message: expect.stringContaining('twice') });
  });

  it('refuses name constraints that cannot be read, instead of dropping them', async () => {
    const broken = await intermediate(ca, { extra: [extension('2.5.29.30', new Uint8Array([4, 0]).buffer, true)] });
    const party = await leaf(broken);
    await expect(verify(bundleOf(party, [party, broken]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('applies name constraints of intermediates and of the anchor', async () => {
    const constrained = await intermediate(ca, { extra: [nameConstraints([email('example.com')])] });
    const fine = await leaf(constrained, { names: [email('a@example.com')] });
    const wrong = await leaf(constrained, { names: [email('a@evil.example')] });
    await expect(verify(bundleOf(fine, [fine, constrained]), [ca])).resolves.toBeDefined();
    await expect(verify(bundleOf(wrong, [wrong, constrained]), [ca])).rejects.toMatchObject(chainInvalid);
    const limited = await root({ subject: 'limited', extra: [nameConstraints([], [dns('evil.example')])] });
    const excluded = await leaf(limited, { names: [dns('www.evil.example')] });
    await expect(verify(bundleOf(excluded, [excluded]), [limited])).rejects.toMatchObject(chainInvalid);
  });

  it('refuses constraints the library cannot judge: two layers, other forms of name, e-mail in the subject', async () => {
    const outer = await intermediate(ca, { subject: 'outer', extra: [nameConstraints([dns('a.example')])] });
    const inner = await intermediate(outer, { subject: 'inner', extra: [nameConstraints([dns('b.example')])] });
    const party = await leaf(inner, { names: [dns('b.example')] });
    await expect(verify(bundleOf(party, [party, inner, outer]), [ca])).rejects.toMatchObject({
      ...chainInvalid,
      message: expect.stringContaining('more than one'),
    });

    const { GeneralName } = await import('pkijs');
    const form = await intermediate(ca, { extra: [nameConstraints([new GeneralName({ type: 8, value: '1.2.3' })])] });
    const below = await leaf(form);
    await expect(verify(bundleOf(below, [below, form]), [ca])).rejects.toMatchObject(chainInvalid);

    const mail = await intermediate(ca, { extra: [nameConstraints([], [email('evil.example')])] });
    const subject = await leaf(mail, { subject: [['1.2.840.113549.1.9.1', 'a@evil.example']] });
    await expect(verify(bundleOf(subject, [subject, mail]), [ca])).rejects.toMatchObject(chainInvalid);
  });
});

describe('the leaf', () => {
  it.each<[string, CertificateOptions]>([
    ['digitalSignature only', { keyUsage: ['digitalSignature'] }],
    ['codeSigning only', { purposes: ['1.3.6.1.5.5.7.3.3'] }],
    ['digitalSignature and any purpose', { keyUsage: ['digitalSignature'], purposes: ['2.5.29.37.0'] }],
    ['codeSigning among others', { keyUsage: ['digitalSignature'], purposes: [SERVER_AUTH, '1.3.6.1.5.5.7.3.3'] }],
  ])('may sign with %s', async (_, options) => {
    const party = await issue({ issuer: inter, ...options });
    await expect(verify(bundleOf(party, [party, inter]), [ca])).resolves.toBeDefined();
  });

  it.each<[string, CertificateOptions]>([
    ['neither usage', {}],
    ['key agreement only', { keyUsage: ['keyAgreement'] }],
    ['codeSigning, but a key usage without digitalSignature', { keyUsage: ['keyAgreement'], purposes: ['1.3.6.1.5.5.7.3.3'] }],
    ['any purpose, but no digitalSignature', { purposes: ['2.5.29.37.0'] }],
    ['TLS server authentication only', { keyUsage: ['digitalSignature'], purposes: [SERVER_AUTH] }],
  ])('may not sign with %s', async (_, options) => {
    const party = await issue({ issuer: inter, ...options });
    await expect(verify(bundleOf(party, [party, inter]), [ca])).rejects.toMatchObject(chainInvalid);
  });

  it('has to have a key of the algorithm registry', async () => {
    const rsa = await leaf(inter, { key: 'rsa-2048' });
    await expect(verify(bundleOf(rsa, [rsa, inter]), [ca])).rejects.toMatchObject({ code: 'ALGORITHM_REFUSED' });
    const koblitz = await leaf(inter, { key: 'secp256k1' });
    await expect(verify(bundleOf(koblitz, [koblitz, inter]), [ca])).rejects.toMatchObject({ code: 'ALGORITHM_REFUSED' });
  });
});

describe('the signature', () => {
  it('has to be by the leaf’s key', async () => {
    await expect(verify(bundleOf(keyPair('P-256'), [signer, inter]), [ca])).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('is accepted over the encoding of v0.2.0, and marked as such', async () => {
    const party = await leaf(inter, { key: 'P-384' });
    const signature = signatureOf(party, preAuthEncodingV020, 'sha256');
    await expect(verify(bundleOf(party, [party, inter], { signature }), [ca])).resolves.toMatchObject({ encoding: 'v0.2.0' });
  });

  it('has to use the hash of the curve', async () => {
    const party = await leaf(inter, { key: 'P-384' });
    const signature = signatureOf(party, undefined, 'sha256');
    await expect(verify(bundleOf(party, [party, inter], { signature }), [ca])).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });
});

describe('time', () => {
  it('refuses an expired and a future leaf and says its dates', async () => {
    const expired = await leaf(inter, { from: days(-20), to: days(-10) });
    await expect(verify(bundleOf(expired, [expired, inter]), [ca])).rejects.toMatchObject({
      code: 'CERT_EXPIRED',
      message: expect.stringContaining('2026-05-12T12:00:00Z to 2026-05-22T12:00:00Z'),
    });
    const future = await leaf(inter, { from: days(10), to: days(20) });
    await expect(verify(bundleOf(future, [future, inter]), [ca])).rejects.toMatchObject({ code: 'CERT_EXPIRED' });
    await expect(verify(bundleOf(future, [future, inter]), [ca], { expired: 'allow' })).rejects.toMatchObject({ code: 'CERT_EXPIRED' });
  });

  it('calls an expired issuer a matter of the chain', async () => {
    const old = await intermediate(ca, { from: days(-20), to: days(-10) });
    const party = await leaf(old);
    await expect(verify(bundleOf(party, [party, old]), [ca])).rejects.toMatchObject({
      ...chainInvalid,
      message: expect.stringContaining('issuing certificate'),
    });
  });

  it('checks at the leaf’s notBefore when expired certificates are allowed, but only then', async () => {
    const expired = await leaf(inter, { from: days(-20), to: days(-10) });
    const payload = await verify(bundleOf(expired, [expired, inter]), [ca], { expired: 'allow' });
    expect(payload.signer).toMatchObject({ timeSource: 'notBefore', checkedAt: days(-20) });
    const fresh = await verify(bundleOf(signer, [signer, inter]), [ca], { expired: 'allow' });
    expect(fresh.signer).toMatchObject({ timeSource: 'clock' });
    const oldCa = await root({ subject: 'old', to: days(-25) });
    const below = await leaf(oldCa, { from: days(-20), to: days(-10) });
    await expect(verify(bundleOf(below, [below]), [oldCa], { expired: 'allow' })).rejects.toMatchObject({ code: 'CERT_EXPIRED' });
  });
});

describe('timestamps', () => {
  const at = days(-15);
  let expired: Party;
  let signature: Buffer;
  let tsaRoot: Party;
  let tsa: Party;

  beforeAll(async () => {
    expired = await leaf(inter, { from: days(-20), to: days(-10) });
    signature = signatureOf(expired);
    tsaRoot = await root({ subject: 'tsa root' });
    tsa = await authority(tsaRoot);
  });

  const stamped = (...timestamps: readonly Buffer[]) => bundleOf(expired, [expired, inter], { signature, timestamps });

  it('prove the time of signing when a given authority made them', async () => {
    const payload = await verify(stamped(await timestamp(signature, tsa, { at })), [ca], { authorities: [tsaRoot] });
    expect(payload.signer).toMatchObject({ timeSource: 'timestamp', checkedAt: at });
  });

  it('count by the earliest proven time', async () => {
    const late = await timestamp(signature, tsa, { at: days(-1) });
    const early = await timestamp(signature, tsa, { at });
    const payload = await verify(stamped(late, early), [ca], { authorities: [tsaRoot] });
    expect(payload.signer).toMatchObject({ checkedAt: at });
  });

  it('made outside the certificate’s validity refuse even a certificate that is valid now', async () => {
    const young = await leaf(inter, { from: days(-2) });
    const own = signatureOf(young);
    const bundle = bundleOf(young, [young, inter], { signature: own, timestamps: [await timestamp(own, tsa, { at: days(-3) })] });
    await expect(verify(bundle, [ca], { authorities: [tsaRoot] })).rejects.toMatchObject({
      code: 'CERT_EXPIRED',
      message: expect.stringContaining('timestamp'),
    });
  });

  it('of unknown authorities prove nothing, and do no harm', async () => {
    const foreign = await timestamp(signature, tsa, { at });
    await expect(verify(stamped(foreign), [ca])).rejects.toMatchObject({
      code: 'CERT_EXPIRED',
      message: expect.stringContaining('no given timestamp authority'),
    });
    const own = signatureOf(signer);
    const valid = bundleOf(signer, [signer, inter], { signature: own, timestamps: [await timestamp(own, tsa), Buffer.from('garbage')] });
    await expect(verify(valid, [ca])).resolves.toMatchObject({ signer: { timeSource: 'clock' } });
  });
});
