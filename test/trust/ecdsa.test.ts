// SPDX-License-Identifier: Apache-2.0
import { createSecretKey, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { curveOf, signEcdsa, verifyEcdsa } from '../../src/trust/ecdsa.ts';
import { type KeyKind, keyPair } from './pki.ts';

const DATA = Buffer.from('data');

describe('ECDSA', () => {
  it.each<[KeyKind, string]>([
    ['P-256', 'sha256'],
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ])('on %s signs and verifies with %s', (kind, hash) => {
    const { privateKey, publicKey } = keyPair(kind);
    expect(verifyEcdsa(DATA, publicKey, signEcdsa(DATA, privateKey))).toBe(true);
    expect(verifyEcdsa(DATA, publicKey, sign(hash, DATA, privateKey))).toBe(true);
    expect(verifyEcdsa(Buffer.from('other'), publicKey, signEcdsa(DATA, privateKey))).toBe(false);
  });

  it('accepts the one DER encoding of a signature and no other', () => {
    const { privateKey, publicKey } = keyPair('P-256');
    const good = signEcdsa(DATA, privateKey);
    const [r, s] = integersOf(good);
    expect(verifyEcdsa(DATA, publicKey, sequence(integer(r), integer(s)))).toBe(true);
    for (const other of [
      Buffer.alloc(0),
      Buffer.from('garbage'),
      Buffer.concat([good, Buffer.from([0])]),
      Buffer.concat([Buffer.from([0x30, 0x81, good.length - 2]), good.subarray(2)]),
      Buffer.concat([Buffer.from([0x30, 0x80]), good.subarray(2), Buffer.from([0, 0])]),
      sequence(integer(Buffer.concat([Buffer.from([0]), r])), integer(s)),
      sequence(integer(r), integer(s), integer(Buffer.from([1]))),
      sequence(integer(s), integer(r)),
      sign('sha256', DATA, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    ])
      expect(verifyEcdsa(DATA, publicKey, other), other.toString('hex')).toBe(false);
  });

  it('calls a hash that does not exist no signature', () => {
    const { privateKey, publicKey } = keyPair('P-256');
    expect(verifyEcdsa(DATA, publicKey, signEcdsa(DATA, privateKey), 'no-such-hash')).toBe(false);
  });

  it.each<[KeyKind, string]>([
    ['rsa-2048', 'the key is rsa;'],
    ['ed25519', 'the key is ed25519;'],
    ['secp256k1', 'the key is ec on secp256k1;'],
  ])('has no place for %s, whatever hash is asked for', (kind, told) => {
    const { publicKey } = keyPair(kind);
    const refused = expect.objectContaining({ code: 'ALGORITHM_REFUSED', message: `${told} OMS allows EC keys on P-256, P-384 and P-521` });
    expect(() => curveOf(publicKey)).toThrow(refused);
    expect(() => verifyEcdsa(DATA, publicKey, Buffer.alloc(70), 'sha256')).toThrow(refused);
  });

  it('has no place for a key that is no pair', () => {
    expect(() => curveOf(createSecretKey(Buffer.alloc(32)))).toThrow(
      expect.objectContaining({ code: 'ALGORITHM_REFUSED', message: expect.stringContaining('the key is unknown;') }),
    );
  });
});

/** The content of the two INTEGERs, of a P-256 signature. */
function integersOf(der: Buffer): readonly [Buffer, Buffer] {
  const length = der[3] ?? 0;
  return [der.subarray(4, 4 + length), der.subarray(6 + length)];
}

function integer(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([2, content.length]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0x30, content.length]), content]);
}
