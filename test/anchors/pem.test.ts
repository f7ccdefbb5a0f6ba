// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { LoadedMaterial } from '../../src/anchors/material.ts';
import { parseAnchors, parseCertificates, parsePublicKeys } from '../../src/anchors/pem.ts';
import { keyFingerprint } from '../../src/trust/ecdsa.ts';
import { intermediate, issue, type KeyKind, keyPair, leaf, pem, root } from '../trust/pki.ts';

const invalid = { code: 'ANCHORS_INVALID' };

function material(text: string, name = 'key.pem'): LoadedMaterial {
  return { bytes: Buffer.from(text), name };
}

function publicPem(kind: KeyKind): string {
  return keyPair(kind).publicKey.export({ format: 'pem', type: 'spki' }).toString();
}

describe('public keys', () => {
  it.each<KeyKind>(['P-256', 'P-384', 'P-521'])('on %s are read', (kind) => {
    expect(parsePublicKeys([material(publicPem(kind))])).toMatchObject([{ curve: kind }]);
  });

  it('may stand one after the other, in several files, with CRLF and comments, and count once', () => {
    const [a, b] = [publicPem('P-256'), publicPem('P-384')];
    const keys = parsePublicKeys([material(`# ours\n${a}\nbetween\n${b}`), material(a.replaceAll('\n', '\r\n'))]);
    expect(keys.map((k) => k.curve)).toEqual(['P-256', 'P-384']);
    expect(keys.map((k) => k.fingerprint)).toEqual(keys.map((k) => keyFingerprint(k.key)));
  });

  it('may be indented, as in the middle of a manifest', () => {
    const text = publicPem('P-256');
    const [plain] = parsePublicKeys([material(text)]);
    expect(parsePublicKeys([material(text.replace(/^/gm, '  \t'))])[0].fingerprint).toBe(plain.fingerprint);
  });

  it.each<KeyKind>(['rsa-2048', 'ed25519', 'secp256k1'])('of the kind %s are refused by name', (kind) => {
    expect(() => parsePublicKeys([material(publicPem(kind))])).toThrow(
      expect.objectContaining({ ...invalid, message: expect.stringContaining(kind.split('-')[0] ?? '') }),
    );
  });

  it('are not taken out of private keys, certificates or garbage', async () => {
    const { privateKey } = keyPair('P-256');
    const private8 = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    expect(() => parsePublicKeys([material(private8)])).toThrow(
      expect.objectContaining({ ...invalid, message: 'key.pem holds a PRIVATE KEY, expected a PUBLIC KEY' }),
    );
    const sec1 = privateKey.export({ format: 'pem', type: 'sec1' }).toString();
    expect(() => parsePublicKeys([material(publicPem('P-256') + sec1)])).toThrow(
      expect.objectContaining({ message: expect.stringContaining('EC PRIVATE KEY') }),
    );
    const certificate = pem(await root());
    expect(() => parsePublicKeys([material(certificate)])).toThrow(expect.objectContaining({ ...invalid, hint: expect.stringContaining('--ca') }));
    for (const text of ['', 'garbage', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', publicPem('P-256').slice(0, -10)]) {
      expect(() => parsePublicKeys([material(text)])).toThrow(expect.objectContaining(invalid));
    }
  });

  it('in DER are refused with a way out', () => {
    const bytes = keyPair('P-256').publicKey.export({ format: 'der', type: 'spki' });
    expect(() => parsePublicKeys([{ bytes, name: 'key.der' }])).toThrow(
      expect.objectContaining({ message: expect.stringContaining('DER'), hint: expect.stringContaining('openssl') }),
    );
  });
});

describe('certificates', () => {
  it('are anchors when self-signed, whatever their usage, and helpers otherwise', async () => {
    const ca = await root();
    const inter = await intermediate(ca);
    const self = await issue({ subject: 'self', keyUsage: ['digitalSignature'] });
    const selfIssued = await leaf(inter, { subject: 'intermediate' });
    const { anchors, helpers } = parseAnchors([material(pem(inter, ca)), material(pem(self, selfIssued, ca))]);
    expect(anchors).toEqual([ca.der, self.der]);
    expect(helpers).toEqual([inter.der, selfIssued.der]);
  });

  it('without a root are a failed verification, as with the reference', async () => {
    const inter = await intermediate(await root());
    expect(() => parseAnchors([material(pem(inter))])).toThrow(
      expect.objectContaining({ code: 'CERT_CHAIN_INVALID', message: expect.stringContaining("'CN=intermediate'"), hint: expect.stringContaining('--ca') }),
    );
  });

  it('that cannot be read are refused', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    expect(() => parseAnchors([material(broken)])).toThrow(expect.objectContaining(invalid));
    expect(() => parseAnchors([material('no PEM')])).toThrow(expect.objectContaining(invalid));
    expect(() => parseAnchors([material(publicPem('P-256'))])).toThrow(expect.objectContaining(invalid));
  });

  it('of timestamp authorities are taken as they are', async () => {
    const ca = await root();
    const inter = await intermediate(ca);
    expect(parseCertificates([material(pem(inter, ca, ca))])).toEqual([inter.der, ca.der]);
    expect(parseCertificates([])).toEqual([]);
  });
});
