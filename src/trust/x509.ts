// SPDX-License-Identifier: Apache-2.0
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import { type BasicConstraints, type Extension, type ExtKeyUsage, Certificate as PkiCertificate } from 'pkijs';
import { type HexDigest, toHexDigest } from '../base/brands.ts';
import { MAX_CERTIFICATE_BYTES } from '../base/limits.ts';
import { distinguishedName } from './distinguishedName.ts';

export const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extKeyUsage: '2.5.29.37',
  anyExtendedKeyUsage: '2.5.29.37.0',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  timeStamping: '1.3.6.1.5.5.7.3.8',
} as const;

/**
 * One certificate, read twice: by OpenSSL (`x509`: names, dates, keys, signatures) and by pkijs (`asn1`: extensions).
 * Nothing about it is trusted yet.
 */
export type Certificate = {
  readonly x509: X509Certificate;
  readonly asn1: PkiCertificate;
  readonly key: KeyObject;
  /** SHA-256 of the DER encoding. */
  readonly fingerprint: HexDigest;
};

/** DER → certificate; undefined for anything else: other encodings, bytes behind the certificate, keys OpenSSL does not know. */
export function readCertificate(der: Buffer): Certificate | undefined {
  if (der.length === 0 || der.length > MAX_CERTIFICATE_BYTES) return undefined;
  try {
    const x509 = new X509Certificate(der);
    // OpenSSL also takes PEM and ignores trailing bytes: two readers could then see two certificates.
    if (!x509.raw.equals(der)) return undefined;
    return { x509, asn1: PkiCertificate.fromBER(der), key: x509.publicKey, fingerprint: toHexDigest(createHash('sha256').update(der).digest()) };
  } catch {
    return undefined;
  }
}

/** An RFC 4514 distinguished name: most specific part first, separated by commas, special characters escaped by OpenSSL. */
export function subjectOf({ x509 }: Certificate): string {
  return distinguishedName(x509.subject);
}

export function issuerOf({ x509 }: Certificate): string {
  return distinguishedName(x509.issuer);
}

export function isValidAt({ x509 }: Certificate, at: Date): boolean {
  return x509.validFromDate <= at && at <= x509.validToDate;
}

export function extensionsOf({ asn1 }: Certificate): readonly Extension[] {
  return asn1.extensions ?? [];
}

/** The extended key usages, or undefined when the extension is absent (any usage). */
export function extendedKeyUsage(certificate: Certificate): { readonly purposes: readonly string[]; readonly critical: boolean } | undefined {
  const extension = extensionsOf(certificate).find((e) => e.extnID === OID.extKeyUsage);
  if (extension === undefined) return undefined;
  return { purposes: (extension.parsedValue as ExtKeyUsage | undefined)?.keyPurposes ?? [], critical: extension.critical };
}

/** Whether the keyUsage extension has the bit, or undefined when the extension is absent. RFC 5280 §4.2.1.3 */
export function hasKeyUsage(certificate: Certificate, usage: 'digitalSignature' | 'keyCertSign'): boolean | undefined {
  const extension = extensionsOf(certificate).find((e) => e.extnID === OID.keyUsage);
  if (extension === undefined) return undefined;
  const bits = (extension.parsedValue as { valueBlock?: { valueHexView?: Uint8Array } } | undefined)?.valueBlock?.valueHexView?.[0] ?? 0;
  return (bits & (usage === 'digitalSignature' ? 0x80 : 0x04)) !== 0;
}

/** Most intermediate certificates allowed below this issuer; undefined when there is no limit. RFC 5280 §4.2.1.9 */
export function pathLengthLimit(certificate: Certificate): number | undefined {
  const extension = extensionsOf(certificate).find((e) => e.extnID === OID.basicConstraints);
  const limit = (extension?.parsedValue as BasicConstraints | undefined)?.pathLenConstraint;
  // pkijs leaves integers beyond its native range as objects: such a limit is none.
  return typeof limit === 'number' ? limit : undefined;
}

/** Subject alternative names that are text: e-mail addresses, DNS names and URIs. RFC 5280 §4.2.1.6 */
export function alternativeNames(certificate: Certificate): readonly string[] {
  const extension = extensionsOf(certificate).find((e) => e.extnID === OID.subjectAltName);
  const names = (extension?.parsedValue as { altNames?: readonly { type: number; value: unknown }[] } | undefined)?.altNames ?? [];
  return names.flatMap(({ type, value }) => ((type === 1 || type === 2 || type === 6) && typeof value === 'string' ? [value] : []));
}
