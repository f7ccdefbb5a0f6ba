// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, createVerify, type KeyObject, sign } from 'node:crypto';
import type { HexDigest } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { Curve } from './trust.ts';

/** OMS algorithm registry: the hash of ECDSA goes by the curve. */
const CURVES: Readonly<Record<string, { readonly curve: Curve; readonly hash: string }>> = {
  prime256v1: { curve: 'P-256', hash: 'sha256' },
  secp384r1: { curve: 'P-384', hash: 'sha384' },
  secp521r1: { curve: 'P-521', hash: 'sha512' },
};

/** @throws ALGORITHM_REFUSED for anything but an EC key on one of the three curves of the registry */
export function curveOf(key: KeyObject): Curve {
  return registered(key).curve;
}

/** Whether `signature` (DER) is ECDSA over `data`, or over its pieces in a row, with the hash that belongs to the key's curve, or with `hash`. */
export function verifyEcdsa(data: Buffer | readonly Buffer[], key: KeyObject, signature: Buffer, hash = registered(key).hash): boolean {
  registered(key);
  try {
    const verify = createVerify(hash);
    for (const piece of Buffer.isBuffer(data) ? [data] : data) verify.update(piece);
    // OpenSSL encodes what it has read again and compares: one signature has one encoding.
    return verify.verify({ key, dsaEncoding: 'der' }, signature);
  } catch {
    return false;
  }
}

/** ECDSA over `data` with the hash that belongs to the private key's curve, DER. @throws ALGORITHM_REFUSED */
export function signEcdsa(data: Buffer, key: KeyObject): Buffer {
  return sign(registered(key).hash, data, { key, dsaEncoding: 'der' });
}

/**
 * SHA-256 of the SubjectPublicKeyInfo's PEM text with LF line ends: what signers write into `publicKey.hint`. A key has one, also when it came
 * with a compressed point, which OpenSSL would keep: by way of its coordinates.
 */
export function keyFingerprint(key: KeyObject): HexDigest {
  const pem = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  return createHash('sha256').update(pem).digest('hex') as HexDigest;
}

function registered(key: KeyObject): { curve: Curve; hash: string } {
  const name = key.asymmetricKeyDetails?.namedCurve;
  const entry = key.asymmetricKeyType === 'ec' && name !== undefined ? CURVES[name] : undefined;
  if (entry) return entry;
  throw new AppError(
    'ALGORITHM_REFUSED',
    `the key is ${key.asymmetricKeyType ?? 'unknown'}${name ? ` on ${name}` : ''}; OMS allows EC keys on P-256, P-384 and P-521`,
  );
}
