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

describe('the file of a signing key', () => {
  const pkcs8 = (kind: KeyKind = 'P-256'): string => keyPair(kind).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const block = (label: string, end = label): string => `-----BEGIN ${label}-----\nAAAA\n-----END ${end}-----\n`;
  const exactly = (message: string, hint?: string) =>
    expect.objectContaining({ code: 'SIGNING_KEY_INVALID', message, ...(hint !== undefined && { hint: expect.stringContaining(hint) }) });
  const UNREADABLE = 'the private key in key.pem cannot be read';

  it('gives both halves of the key', () => {
    const { privateKey, publicKey } = keyPair('P-256');
    const key = parse(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    expect([key.privateKey.type, key.publicKey.type]).toEqual(['private', 'public']);
    expect(key.privateKey.equals(privateKey) && key.publicKey.equals(publicKey)).toBe(true);
  });

  it.each(['', 'EC ', 'RSA ', 'DSA ', 'OPENSSH '])('may hold a block of %jPRIVATE KEY, and one only', (kind) => {
    const label = `${kind}PRIVATE KEY`;
    expect(() => parse(block(label))).toThrow(exactly(UNREADABLE));
    expect(() => parse(pkcs8() + block(label))).toThrow(exactly('key.pem holds 2 private keys, expected 1'));
    expect(() => parse(block(label) + block(label) + pkcs8())).toThrow(exactly('key.pem holds 3 private keys, expected 1'));
  });

  it('may hold an encrypted key, and one only', () => {
    expect(() => parse(block('ENCRYPTED PRIVATE KEY'), 'password')).toThrow(exactly(`${UNREADABLE}: wrong password?`));
    expect(() => parse(pkcs8() + block('ENCRYPTED PRIVATE KEY'))).toThrow(exactly('key.pem holds 2 private keys, expected 1'));
  });

  const OTHERS = [block('PUBLIC KEY'), block('X PRIVATE KEY'), block('PRIVATE KEYS')];
  it.each([...OTHERS, block('EC PRIVATE KEY', 'PRIVATE KEY'), '-----BEGIN PRIVATE KEY-----'])('holds no private key: %j', (text) => {
    expect(() => parse(text)).toThrow(exactly('key.pem holds no PEM private key'));
  });

  it('says what to do about a password', () => {
    const missing = exactly('the private key in key.pem is encrypted, and there is no password', '--password-file or MODEL_GATE_PASSWORD');
    expect(() => parse(block('ENCRYPTED PRIVATE KEY'))).toThrow(missing);
    for (const header of ['Proc-Type: 4,ENCRYPTED', 'Proc-Type:4,ENCRYPTED', 'Proc-Type:  4,ENCRYPTED'])
      expect(() => parse(block('EC PRIVATE KEY').replace('AAAA', `${header}\n\nAAAA`))).toThrow(missing);
    const needless = exactly('a password is given, but the private key in key.pem is not encrypted', 'leave the password out');
    expect(() => parse(pkcs8(), 'password')).toThrow(needless);
    expect(() => parse(pkcs8(), '')).toThrow(needless);
    expect(() => parse(`Proc-Type: 4,ENCRYPTED\n${pkcs8()}`, 'password')).toThrow(needless);
    expect(() => parse(block('EC PRIVATE KEY').replace('AAAA', 'X-Proc-Type: 4,ENCRYPTED\n\nAAAA'), 'password')).toThrow(needless);
  });

  it('is named with what is wrong with its key', () => {
    const refusal = exactly('key.pem: the key is ec on secp256k1; OMS allows EC keys on P-256, P-384 and P-521');
    expect(() => parse(pkcs8('secp256k1'))).toThrow(refusal);
    expect(() => parse(pkcs8('secp256k1'))).toThrow(expect.objectContaining({ cause: expect.objectContaining({ code: 'ALGORITHM_REFUSED' }) }));
    expect(() => parse(block('PRIVATE KEY'))).toThrow(expect.objectContaining({ cause: expect.any(Error) }));
  });
});
