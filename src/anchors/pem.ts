// SPDX-License-Identifier: Apache-2.0
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { distinguishedName } from '../trust/distinguishedName.ts';
import { curveOf, keyFingerprint } from '../trust/ecdsa.ts';
import type { TrustedKey } from '../trust/trust.ts';
import type { LoadedMaterial } from './material.ts';

type PemBlock = { readonly label: string; readonly text: string; readonly name: string };

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[A-Za-z0-9+/=\s]*-----END \1-----/g;

/**
 * Public keys in PEM, several per file allowed, each key once.
 * @throws ANCHORS_INVALID for anything but EC public keys on P-256, P-384 and P-521
 */
export function parsePublicKeys(materials: NonEmpty<LoadedMaterial>): NonEmpty<TrustedKey> {
  const keys = materials.flatMap((material) => blocksOf(material, 'PUBLIC KEY')).map(readKey);
  const unique = [...new Map(keys.map((key) => [key.fingerprint, key])).values()];
  if (isNonEmpty(unique)) return unique;
  throw invalid('there is no public key', 'Give a PEM public key ("BEGIN PUBLIC KEY").');
}

/**
 * Certificates in PEM, split into self-signed ones (anchors) and all others, which only help to complete a path.
 * @throws ANCHORS_INVALID for what is no certificate, CERT_CHAIN_INVALID when none is self-signed
 */
export function parseAnchors(materials: NonEmpty<LoadedMaterial>): { anchors: NonEmpty<Buffer>; helpers: readonly Buffer[] } {
  const certificates = readCertificates(materials);
  const anchors = certificates.filter(isSelfSigned).map((c) => c.raw);
  const helpers = certificates.filter((c) => !isSelfSigned(c)).map((c) => c.raw);
  if (isNonEmpty(anchors)) return { anchors, helpers };
  const names = certificates.map((c) => `'${printable(distinguishedName(c.subject), 100)}'`).slice(0, 3);
  // The certificates are fine, yet no path can end in them: that is a failed verification, as with the reference.
  throw new AppError('CERT_CHAIN_INVALID', `none of the given certificates is a root (self-signed): ${names.join(', ')}`, {
    hint: 'Give the self-signed root CA with --ca; leaf and intermediate certificates only help to find the way there.',
  });
}

/**
 * Certificates of timestamp authorities in PEM: roots, intermediates or signers, all of them trusted as given.
 * @throws ANCHORS_INVALID
 */
export function parseCertificates(materials: readonly LoadedMaterial[]): readonly Buffer[] {
  return readCertificates(materials).map((c) => c.raw);
}

function readCertificates(materials: readonly LoadedMaterial[]): readonly X509Certificate[] {
  const certificates = materials.flatMap((material) => blocksOf(material, 'CERTIFICATE')).map(readCertificate);
  return [...new Map(certificates.map((c) => [c.fingerprint256, c])).values()];
}

/** Text between blocks is allowed (`openssl x509 -text` writes it), blocks of another kind are not: they are mistakes or secrets. */
function blocksOf({ bytes, name }: LoadedMaterial, label: 'PUBLIC KEY' | 'CERTIFICATE'): readonly PemBlock[] {
  const text = bytes.toString('latin1');
  // Indented in a manifest, PEM comes with blanks that OpenSSL does not read over.
  const blocks = [...text.matchAll(BLOCK)].map((match): PemBlock => ({ label: match[1] ?? '', text: match[0].replace(/^[ \t]+/gm, ''), name }));
  const wrong = blocks.find((block) => block.label !== label);
  if (wrong !== undefined) throw invalid(`${name} holds a ${wrong.label}, expected a ${label}`, hintFor(wrong.label, label));
  if (blocks.length === 0 || text.split('-----BEGIN ').length - 1 !== blocks.length) {
    const der = bytes[0] === 0x30 ? '; it looks like DER' : '';
    throw invalid(`${name} holds no complete PEM ${label}${der}`, 'Give PEM text; convert DER with openssl (-inform der -outform pem).');
  }
  return blocks;
}

function hintFor(found: string, wanted: string): string {
  if (found.includes('PRIVATE KEY')) return 'A verifier needs the public key only: openssl pkey -in key.pem -pubout. Keep the private key away from here.';
  if (found === 'CERTIFICATE') return 'Certificates are given with --ca; keys with --public-key.';
  if (found === 'PUBLIC KEY') return 'Public keys are given with --public-key; --ca wants the certificate of the CA.';
  return `Remove everything but the ${wanted}.`;
}

function readKey({ text, name }: PemBlock): TrustedKey {
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (cause) {
    throw new AppError('ANCHORS_INVALID', `${name} holds a public key that cannot be read`, { cause });
  }
  try {
    return { key, curve: curveOf(key), fingerprint: keyFingerprint(key) };
  } catch (cause) {
    // The caller's own key, so a wrong request rather than a wrong bundle.
    throw new AppError('ANCHORS_INVALID', `${name}: ${cause instanceof AppError ? cause.message : 'the key is not usable'}`, {
      cause,
      hint: 'Give the publisher’s EC public key.',
    });
  }
}

function readCertificate({ text, name }: PemBlock): X509Certificate {
  try {
    const certificate = new X509Certificate(text);
    // Reads the key as well: a certificate without a usable one could only fail later.
    void certificate.publicKey;
    return certificate;
  } catch (cause) {
    throw new AppError('ANCHORS_INVALID', `${name} holds a certificate that cannot be read`, { cause });
  }
}

/** By its own signature, not by its names: a certificate whose issuer carries the same name is self-issued only. */
function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
}

function invalid(message: string, hint: string): AppError {
  return new AppError('ANCHORS_INVALID', message, { hint });
}
