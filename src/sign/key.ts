// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { HexDigest } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { curveOf, keyFingerprint } from '../trust/ecdsa.ts';
import type { Curve } from '../trust/trust.ts';

/** A private key that may sign models, with its public half. `fingerprint` is what bundles write into `hint`. */
export type SigningKey = { readonly privateKey: KeyObject; readonly publicKey: KeyObject; readonly curve: Curve; readonly fingerprint: HexDigest };

/** Bytes of a file, and what to call it in messages. */
export type KeyFile = { readonly bytes: Buffer; readonly name: string };

/** Headers of encrypted SEC1 keys (`Proc-Type`, `DEK-Info`) hold dashes and colons. */
const PRIVATE_KEY = /-----BEGIN ((?:EC |RSA |DSA |ENCRYPTED |OPENSSH )?PRIVATE KEY)-----[\s\S]*?-----END \1-----/g;

/**
 * An EC private key in PEM: PKCS #8 or SEC1, encrypted or not. OpenSSL's `EC PARAMETERS` block and text around it are skipped.
 * @throws SIGNING_KEY_INVALID
 */
export function parseSigningKey({ bytes, name }: KeyFile, password?: string): SigningKey {
  const [block, ...others] = [...bytes.toString('latin1').matchAll(PRIVATE_KEY)];
  if (block === undefined) throw invalid(`${name} holds no PEM private key`);
  // Which one was meant is not for us to guess.
  if (others.length > 0) throw invalid(`${name} holds ${others.length + 1} private keys, expected 1`);
  const [text, label] = block;
  const encrypted = label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:\s*4,ENCRYPTED/m.test(text);
  if (encrypted && password === undefined) {
    throw invalid(`the private key in ${name} is encrypted, and there is no password`, 'Give the password with --password-file or MODEL_GATE_PASSWORD.');
  }
  if (!encrypted && password !== undefined) {
    throw invalid(`a password is given, but the private key in ${name} is not encrypted`, 'Encrypt the key, or leave the password out.');
  }
  const privateKey = readPrivateKey(text, name, password);
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, curve: registeredCurve(publicKey, name), fingerprint: keyFingerprint(publicKey) };
}

function readPrivateKey(pem: string, name: string, password: string | undefined): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem', ...(password !== undefined && { passphrase: password }) });
  } catch (cause) {
    // OpenSSL's own text differs between versions and kinds of failure, and says nothing that helps.
    throw new AppError('SIGNING_KEY_INVALID', `the private key in ${name} cannot be read${password === undefined ? '' : ': wrong password?'}`, { cause });
  }
}

/** The verifier's refusal of other keys, as the caller's mistake. */
function registeredCurve(key: KeyObject, name: string): Curve {
  try {
    return curveOf(key);
  } catch (cause) {
    throw new AppError('SIGNING_KEY_INVALID', `${name}: ${cause instanceof AppError ? cause.message : 'the key is not usable'}`, { cause });
  }
}

function invalid(message: string, hint?: string): AppError {
  return new AppError('SIGNING_KEY_INVALID', message, hint === undefined ? {} : { hint });
}
