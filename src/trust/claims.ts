// SPDX-License-Identifier: Apache-2.0
import type { Material } from '../oms/bundle.ts';
import { isObject } from '../oms/json.ts';
import { readFulcioIdentity } from './fulcio.ts';
import { parseSigstoreCertificate } from './sigstoreDer.ts';
import { claimedTime } from './timestamp.ts';
import { alternativeNames, issuerOf, readCertificate, subjectOf } from './x509.ts';

/** A certificate as it describes itself. `fingerprint` is the SHA-256 of its DER encoding. */
export type ClaimedCertificate = {
  readonly subject: string;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly fingerprint: string;
};

/** What a bundle says of its signer and of when he signed. Whoever made the file chose every word of it: for people to look at, nothing else. */
export type ClaimedSigner = {
  readonly hint?: string;
  /** `unreadable` where the bytes are no certificate. */
  readonly certificates: readonly (ClaimedCertificate | 'unreadable')[];
  /** Of a keyless signature. */
  readonly identity?: string;
  readonly issuer?: string;
  readonly times: readonly { readonly source: 'log' | 'timestamp'; readonly at: Date; readonly logIndex?: string }[];
};

/** Never throws: what cannot be read is left out. */
export function readClaimedSigner(material: Material): ClaimedSigner {
  const stamps = material.timestamps.flatMap((der) => {
    const at = claimedTime(der);
    return at === undefined ? [] : [{ source: 'timestamp', at } as const];
  });
  switch (material.kind) {
    case 'key':
      return { ...(material.hint !== undefined && { hint: material.hint }), certificates: [], times: stamps };
    case 'certificate':
      return { certificates: material.chain.map(describe), times: stamps };
    case 'sigstore':
      return { certificates: [describe(material.certificate)], ...keylessIdentity(material.certificate), times: [...logTimes(material.bundle), ...stamps] };
  }
}

function describe(der: Buffer): ClaimedCertificate | 'unreadable' {
  const certificate = readCertificate(der);
  if (certificate === undefined) return 'unreadable';
  const { x509, fingerprint } = certificate;
  return {
    subject: subjectOf(certificate),
    names: alternativeNames(certificate),
    issuer: issuerOf(certificate),
    serial: x509.serialNumber.toLowerCase(),
    notBefore: x509.validFromDate,
    notAfter: x509.validToDate,
    fingerprint,
  };
}

function keylessIdentity(der: Buffer): { readonly identity?: string; readonly issuer?: string } {
  try {
    return readFulcioIdentity(parseSigstoreCertificate(der));
  } catch {
    return {};
  }
}

function logTimes(bundle: unknown): ClaimedSigner['times'] {
  const material = isObject(bundle) ? bundle['verificationMaterial'] : undefined;
  const entries = isObject(material) ? material['tlogEntries'] : undefined;
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry: unknown) => {
    const seconds = isObject(entry) && typeof entry['integratedTime'] === 'string' ? Number(entry['integratedTime']) : Number.NaN;
    const at = new Date(seconds * 1000);
    // Newer logs give no time of their own.
    if (!isObject(entry) || !(seconds > 0) || Number.isNaN(at.getTime())) return [];
    return [{ source: 'log', at, ...(typeof entry['logIndex'] === 'string' && { logIndex: entry['logIndex'] }) } as const];
  });
}
