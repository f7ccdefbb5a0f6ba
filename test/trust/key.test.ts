// SPDX-License-Identifier: Apache-2.0
import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isNonEmpty } from '../../src/base/brands.ts';
import type { ParsedBundle } from '../../src/oms/bundle.ts';
import { PAYLOAD_TYPE, preAuthEncodingV020 } from '../../src/oms/dsse.ts';
import { curveOf, keyFingerprint } from '../../src/trust/ecdsa.ts';
import type { TrustAnchors } from '../../src/trust/trust.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { authority, bundleOf, days, type KeyKind, type KeyPair, keyPair, leaf, NOW, PAYLOAD, root, signatureOf, timestamp } from './pki.ts';

function anchors(...pairs: readonly KeyPair[]): TrustAnchors {
  const keys = pairs.map(({ publicKey }) => ({ key: publicKey, curve: curveOf(publicKey), fingerprint: keyFingerprint(publicKey) }));
  if (!isNonEmpty(keys)) throw new Error('no keys');
  return { kind: 'key', keys };
}

function bundle(signature: Buffer, hint?: string): ParsedBundle {
  return {
    envelope: { payload: PAYLOAD, payloadType: PAYLOAD_TYPE, signature },
    material: { kind: 'key', timestamps: [], ...(hint === undefined ? {} : { hint }) },
  };
}

const invalid = { code: 'SIGNATURE_INVALID' };

describe('the key method', () => {
  it.each<KeyKind>(['P-256', 'P-384', 'P-521'])('verifies with a given key on %s', async (kind) => {
    const pair = keyPair(kind);
    const payload = await verifySignature(bundle(signatureOf(pair), keyFingerprint(pair.publicKey)), anchors(keyPair('P-256'), pair), NOW);
    expect(payload).toMatchObject({ bytes: PAYLOAD, encoding: 'DSSEv1', signer: { kind: 'key', curve: kind, fingerprint: keyFingerprint(pair.publicKey) } });
  });

  it('knows a key by one fingerprint, also when it was given with a compressed point', async () => {
    const pair = keyPair('P-256');
    const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
    const [head, x, y] = [spki.subarray(0, 26), spki.subarray(27, 59), spki.subarray(59)];
    // SEQUENCE and BIT STRING are 32 bytes shorter; the point begins with 2 or 3, by the last bit of y.
    const shorter = Buffer.from(head).fill(0x39, 1, 2).fill(0x22, 24, 25);
    const compressed = createPublicKey({ key: Buffer.concat([shorter, Buffer.of(2 + ((y.at(-1) ?? 0) & 1)), x]), format: 'der', type: 'spki' });
    expect(compressed.export({ format: 'der', type: 'spki' })).toHaveLength(59);
    const given = anchors({ ...pair, publicKey: compressed });
    await expect(verifySignature(bundle(signatureOf(pair), keyFingerprint(pair.publicKey)), given, NOW)).resolves.toMatchObject({ bytes: PAYLOAD });
  });

  it('refuses signatures by other keys, also when the hint names the given one', async () => {
    const [ours, theirs] = [keyPair('P-256'), keyPair('P-256')];
    await expect(verifySignature(bundle(signatureOf(theirs)), anchors(ours), NOW)).rejects.toMatchObject(invalid);
    await expect(verifySignature(bundle(signatureOf(theirs), keyFingerprint(ours.publicKey)), anchors(ours), NOW)).rejects.toMatchObject(invalid);
  });

  it('refuses a bundle that wants another key', async () => {
    const pair = keyPair('P-256');
    await expect(verifySignature(bundle(signatureOf(pair), 'f'.repeat(64)), anchors(pair), NOW)).rejects.toMatchObject({
      ...invalid,
      context: { found: 'f'.repeat(64) },
    });
  });

  it('refuses the hash of another curve, the encoding of v0.2.0, bytes behind the signature and garbage', async () => {
    const pair = keyPair('P-384');
    const good = signatureOf(pair);
    for (const wrong of [
      signatureOf(pair, undefined, 'sha256'),
      signatureOf(pair, preAuthEncodingV020, 'sha384'),
      Buffer.concat([good, Buffer.from([0])]),
      Buffer.from('garbage'),
    ]) {
      await expect(verifySignature(bundle(wrong), anchors(pair), NOW)).rejects.toMatchObject(invalid);
    }
  });

  it('takes a bundle that names no key, by whichever given one fits', async () => {
    const pair = keyPair('P-256');
    const { signer } = await verifySignature(bundle(signatureOf(pair)), anchors(keyPair('P-256'), pair), NOW);
    expect(signer).toStrictEqual({ kind: 'key', fingerprint: keyFingerprint(pair.publicKey), curve: 'P-256' });
  });

  it('says which keys were given, which one the bundle wants, and what to do', async () => {
    const [first, second, theirs] = [keyPair('P-256'), keyPair('P-256'), keyPair('P-256')];
    const given = [first, second].map(({ publicKey }) => keyFingerprint(publicKey)).join(', ');
    const refusal = (hint?: string) => verifySignature(bundle(signatureOf(theirs), hint), anchors(first, second), NOW).catch((error: unknown) => error);
    const unnamed = await refusal();
    expect(unnamed).toMatchObject({
      message: `the signature does not match key ${given}`,
      hint: expect.stringContaining('give the new public key'),
    });
    expect(unnamed).toHaveProperty('context', { expected: given });
    const named = await refusal('no-fingerprint');
    expect(named).toMatchObject({ message: `the signature does not match key ${given}; the bundle names key no-fingerprint` });
    expect(named).toHaveProperty('context', { expected: given, found: 'no-fingerprint' });
  });

  it('tells the times that given authorities prove, of timestamps that nobody vouches for none', async () => {
    const pair = keyPair('P-256');
    const signature = signatureOf(pair);
    const tsaRoot = await root({ subject: 'tsa root' });
    const stamp = await timestamp(signature, await authority(tsaRoot), { at: days(-1) });
    const stamped: ParsedBundle = { ...bundle(signature), material: { kind: 'key', timestamps: [stamp] } };
    const timesWith = async (...timestampAuthorities: readonly Buffer[]) => {
      const { signer } = await verifySignature(stamped, { ...anchors(pair), timestampAuthorities } as TrustAnchors, NOW);
      return signer.kind === 'key' && 'times' in signer ? signer.times : 'none';
    };
    expect(await timesWith(tsaRoot.der)).toEqual([{ source: 'timestamp', at: days(-1) }]);
    expect(await timesWith()).toBe('none');
    expect(await timesWith((await root()).der)).toBe('none');
    expect((await verifySignature(stamped, anchors(pair), NOW)).signer).not.toHaveProperty('times');
  });

  it('has no place for other kinds of keys', () => {
    for (const kind of ['rsa-2048', 'ed25519', 'secp256k1'] as const) {
      expect(() => curveOf(keyPair(kind).publicKey)).toThrow(expect.objectContaining({ code: 'ALGORITHM_REFUSED' }));
    }
  });
});

describe('the method', () => {
  it('is the caller’s choice, never the bundle’s', async () => {
    const ca = await root();
    const signer = await leaf(ca);
    const certificates: TrustAnchors = { kind: 'certificate', anchors: [ca.der], helpers: [], timestampAuthorities: [], expired: 'refuse' };
    const sigstore: TrustAnchors = { kind: 'sigstore', root: { json: {}, description: 'none' } };
    await expect(verifySignature(bundleOf(signer, [signer]), certificates, NOW)).resolves.toBeDefined();
    await expect(verifySignature(bundleOf(signer, [signer]), anchors(signer), NOW)).rejects.toMatchObject({
      ...invalid,
      context: { expected: 'key', found: 'certificate' },
    });
    await expect(verifySignature(bundleOf(signer, [signer]), sigstore, NOW)).rejects.toMatchObject(invalid);
    await expect(verifySignature(bundle(signatureOf(signer)), certificates, NOW)).rejects.toMatchObject(invalid);
  });
});
