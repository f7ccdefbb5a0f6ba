// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { checkUsage } from '../trust/certificate.ts';
import { isValidAt, readCertificate, subjectOf } from '../trust/x509.ts';
import type { KeyFile, SigningKey } from './key.ts';

/** As many as a verifier reads (oms/bundle.ts). */
const MAX_CERTIFICATES = 16;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/**
 * The certificates of a bundle as DER: the signer's own first, then what the chain files hold in their order, each once.
 * Refuses what verifiers would refuse: a certificate of another key, for other purposes, or not valid now.
 * @throws SIGNING_KEY_INVALID
 */
export function parseSigningChain(own: KeyFile, chain: readonly KeyFile[], key: SigningKey, now: Date): NonEmpty<Buffer> {
  const certificates = [own, ...chain].flatMap(certificatesOf).map((certificate) => certificate.raw);
  const unique = [...new Map(certificates.map((der) => [der.toString('base64'), der])).values()];
  if (!isNonEmpty(unique)) throw invalid(`${own.name} holds no PEM certificate`);
  if (unique.length > MAX_CERTIFICATES) throw invalid(`there are ${unique.length} certificates, at most ${MAX_CERTIFICATES} fit into a bundle`);
  const leaf = readCertificate(unique[0]);
  if (leaf === undefined) throw invalid(`the certificate in ${own.name} cannot be read`);
  const subject = printable(subjectOf(leaf), 200);
  if (!leaf.x509.checkPrivateKey(key.privateKey)) {
    throw invalid(`the certificate '${subject}' in ${own.name} belongs to another key than the private key given`);
  }
  try {
    checkUsage(leaf);
  } catch (cause) {
    const refusal = asAppError(cause);
    throw new AppError('SIGNING_KEY_INVALID', refusal.message, { hint: refusal.hint, cause });
  }
  if (!isValidAt(leaf, now)) {
    const { validFrom, validTo } = leaf.x509;
    throw invalid(`the certificate '${subject}' in ${own.name} is valid from ${validFrom} to ${validTo}, not now`);
  }
  return unique;
}

function certificatesOf({ bytes, name }: KeyFile): readonly X509Certificate[] {
  const blocks = bytes.toString('latin1').match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw invalid(`${name} holds no PEM certificate`);
  return blocks.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch (cause) {
      throw new AppError('SIGNING_KEY_INVALID', `${name} holds a certificate that cannot be read`, { cause });
    }
  });
}

function invalid(message: string): AppError {
  return new AppError('SIGNING_KEY_INVALID', message);
}
