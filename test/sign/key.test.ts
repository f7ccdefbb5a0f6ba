// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseSigningKey } from '../../src/sign/key.ts';
import { type KeyKind, keyPair } from '../trust/pki.ts';

const refused = (message: string) => expect.objectContaining({ code: 'SIGNING_KEY_INVALID', message: expect.stringContaining(message) });
const parse = (pem: string | Buffer, password?: string) => parseSigningKey({ bytes: Buffer.from(pem), name: 'key.pem' }, password);
const CURVES = ['P-256', 'P-384', 'P-521'] as const;

describe('a signing key', () => {
  it.each(CURVES.flatMap((curve) => (['pkcs8', 'sec1'] as const).map((type) => [curve, type] as const)))('on %s is read from %s', (curve, type) => {
    const { privateKey, publicKey } = keyPair(curve);
    const key = parse(privateKey.export({ type, format: 'pem' }));
    expect(key.curve).toBe(curve);
    expect(key.fingerprint).toBe(
      createHash('sha256')
        .update(publicKey.export({ type: 'spki', format: 'pem' }))
        .digest('hex'),
    );
  });

  it('is read with the text and the EC PARAMETERS block that openssl writes around it', () => {
    const pem = keyPair('P-256').privateKey.export({ type: 'sec1', format: 'pem' });
    expect(parse(`Private key of the publisher:\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem}`).curve).toBe('P-256');
  });

  it.each(['pkcs8', 'sec1'] as const)('is decrypted from %s with its password', (type) => {
    const pem = keyPair('P-384').privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'correct horse' });
    expect(parse(pem, 'correct horse').curve).toBe('P-384');
    expect(() => parse(pem, 'wrong')).toThrow(refused('wrong password?'));
    expect(() => parse(pem)).toThrow(refused('is encrypted, and there is no password'));
  });

  it('is refused with a password it does not need: somebody believes it to be encrypted', () => {
    expect(() => parse(keyPair('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }), 'password')).toThrow(refused('is not encrypted'));
  });

  it.each(['rsa-2048', 'ed25519', 'secp256k1'] satisfies KeyKind[])('of kind %s is refused', (kind) => {
    expect(() => parse(keyPair(kind).privateKey.export({ type: 'pkcs8', format: 'pem' }))).toThrow(refused('OMS allows EC keys on P-256, P-384 and P-521'));
  });

  it('is refused when there are two, none, only a public one, or nonsense', () => {
    const { privateKey, publicKey } = keyPair('P-256');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(() => parse(pem + pem)).toThrow(refused('holds 2 private keys'));
    expect(() => parse('')).toThrow(refused('holds no PEM private key'));
    expect(() => parse(publicKey.export({ type: 'spki', format: 'pem' }))).toThrow(refused('holds no PEM private key'));
    expect(() => parse('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')).toThrow(refused('cannot be read'));
  });
});
