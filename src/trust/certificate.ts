// SPDX-License-Identifier: Apache-2.0
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Envelope, preAuthEncodingV020, preAuthPieces } from '../oms/dsse.ts';
import { curveOf, keyFingerprint, verifyEcdsa } from './ecdsa.ts';
import { type PathResult, validatePath } from './path.ts';
import { type TimestampVerdict, verifyTimestamp } from './timestamp.ts';
import { mintVerifiedPayload, type SignatureVerifier, type Signer, type TrustAnchors, type VerifiedPayload } from './trust.ts';
import { alternativeNames, type Certificate, extendedKeyUsage, hasKeyUsage, issuerOf, isValidAt, OID, readCertificate, subjectOf } from './x509.ts';

/** Longest statement by model_signing v0.2.0, some 25,000 files. Its encoding of a longer one would take gigabytes, for anybody's bundle. */
const MAX_V020_BYTES = 4 * 1024 * 1024;

type CertificateAnchors = Extract<TrustAnchors, { kind: 'certificate' }>;
type TimeSource = Extract<Signer, { kind: 'certificate' }>['timeSource'];
type CheckedPath = { readonly path: NonEmpty<Certificate>; readonly at: Date; readonly source: TimeSource };

/**
 * The `certificate` method (OMS §8.2): a path from the bundle's first certificate to an anchor the caller gave, a leaf made
 * for signing code, valid now or at a proven time of signing; then the signature with the leaf's key.
 * @throws CERT_CHAIN_INVALID, CERT_EXPIRED, ALGORITHM_REFUSED, SIGNATURE_INVALID, ANCHORS_INVALID
 */
export const verifyWithCertificate: SignatureVerifier<'certificate'> = async ({ envelope, material }, anchors, now) => {
  const chain = readAll(material.chain, 'CERT_CHAIN_INVALID', 'certificate of the bundle');
  if (!isNonEmpty(chain)) throw chainInvalid('the bundle has no certificate');
  const [leaf, ...helpers] = chain;
  const curve = curveOf(leaf.key);
  checkUsage(leaf);

  const given = readAll(anchors.anchors, 'ANCHORS_INVALID', 'given anchor');
  const givenHelpers = readAll(anchors.helpers, 'ANCHORS_INVALID', 'given certificate');
  const authorities = readAll(anchors.timestampAuthorities, 'ANCHORS_INVALID', 'given timestamp authority');
  const verdicts = await Promise.all(material.timestamps.map((t) => verifyTimestamp(t, envelope.signature, authorities, now)));

  const pathAt = (at: Date): Promise<PathResult> =>
    validatePath({ leaf, anchors: given, helpers: [...givenHelpers, ...helpers], purpose: OID.codeSigning, at });
  const { path, at, source } = await checkPath(leaf, pathAt, verdicts, anchors, now);

  const times = verdicts.flatMap((verdict) => (verdict.kind === 'proven' ? [{ source: 'timestamp', at: verdict.at } as const] : []));
  const signer: Signer = {
    kind: 'certificate',
    subject: subjectOf(leaf),
    names: alternativeNames(leaf),
    issuer: issuerOf(leaf),
    serial: leaf.x509.serialNumber.toLowerCase(),
    fingerprint: leaf.fingerprint,
    anchor: subjectOf(path.at(-1) ?? leaf),
    notBefore: leaf.x509.validFromDate,
    notAfter: leaf.x509.validToDate,
    checkedAt: at,
    timeSource: source,
    ...(times.length > 0 && { times }),
    key: { fingerprint: keyFingerprint(leaf.key), curve },
    purposes: extendedKeyUsage(leaf)?.purposes ?? [],
  };
  const encoding = signatureEncoding(envelope, leaf);
  if (encoding !== undefined) return mintVerifiedPayload({ bytes: envelope.payload, signer, encoding });
  throw new AppError('SIGNATURE_INVALID', `the signature was not made with the ${curve} key of certificate '${show(signer.subject)}'`, {
    context: { expected: leaf.fingerprint },
    hint: 'The bundle was altered, or its certificate belongs to another signature. Get the bundle from the publisher again.',
  });
};

/**
 * OMS asks for digitalSignature or codeSigning. House rules on top: a leaf limited to other purposes (TLS, e-mail) signs no models, and a key
 * usage without digitalSignature is none for signatures, whatever stands beside it (RFC 5280 §4.2.1.3). @throws CERT_CHAIN_INVALID
 */
export function checkUsage(leaf: Certificate): void {
  const purposes = extendedKeyUsage(leaf)?.purposes;
  const name = `'${show(subjectOf(leaf))}'`;
  const forCode = purposes?.includes(OID.codeSigning) === true;
  if (purposes !== undefined && !forCode && !purposes.includes(OID.anyExtendedKeyUsage)) {
    throw chainInvalid(`the signing certificate ${name} is for other purposes than code signing`, {
      hint: 'Sign with a certificate whose extended key usage includes codeSigning, or has no extended key usage at all.',
    });
  }
  const digitalSignature = hasKeyUsage(leaf, 'digitalSignature');
  if (digitalSignature === true || (digitalSignature === undefined && forCode)) return;
  throw chainInvalid(`the signing certificate ${name} may not make signatures: it lacks the key usage digitalSignature`, {
    hint: 'Sign with a certificate that has the key usage digitalSignature or the extended key usage codeSigning.',
  });
}

/** Which time counts: a proven time of signing, else now; with `expired: 'allow'` the leaf's notBefore, when that is past. */
async function checkPath(
  leaf: Certificate,
  pathAt: (at: Date) => Promise<PathResult>,
  verdicts: readonly TimestampVerdict[],
  anchors: CertificateAnchors,
  now: Date,
): Promise<CheckedPath> {
  // Every timestamp says "not later than": the earliest one says most.
  const proven = verdicts.flatMap((v) => (v.kind === 'proven' ? [v.at] : [])).sort((a, b) => a.getTime() - b.getTime())[0];
  const at = proven ?? now;
  const result = await pathAt(at);
  switch (result.kind) {
    case 'valid':
      return { path: result.path, at, source: proven === undefined ? 'clock' : 'timestamp' };
    case 'invalid':
      throw chainInvalid(`no valid path from the signing certificate to a given anchor: ${result.problem}`);
    case 'outdated': {
      const begin = leaf.x509.validFromDate;
      const relaxed = anchors.expired === 'allow' && begin <= now ? await pathAt(begin) : undefined;
      if (relaxed?.kind === 'valid') return { path: relaxed.path, at: begin, source: 'notBefore' };
      throw outdated(leaf, result.outdated, at, proven === undefined ? 'now' : 'the time of its timestamp', verdicts);
    }
  }
}

function outdated(leaf: Certificate, certificate: Certificate, at: Date, meaning: string, verdicts: readonly TimestampVerdict[]): AppError {
  const { validFromDate, validToDate } = certificate.x509;
  const period = `${isoDate(validFromDate)} to ${isoDate(validToDate)}`;
  const what = certificate === leaf ? 'the signing certificate' : 'the issuing certificate';
  const problem = verdicts.find((v) => v.kind === 'unproven')?.problem;
  const message = `${what} '${show(subjectOf(certificate))}' is valid from ${period}, not at ${isoDate(at)} (${meaning})${problem ? `; ${problem}` : ''}`;
  const context = { expected: period, found: isoDate(at) };
  // An expired CA is no statement about the signer's certificate.
  return certificate === leaf || !isValidAt(leaf, at)
    ? new AppError('CERT_EXPIRED', message, { context })
    : new AppError('CERT_CHAIN_INVALID', message, { context });
}

/** model_signing v0.2.0 signed a defective encoding, with SHA-256 on every curve (OMS §11.2(4)); readManifest limits what it may say. */
function signatureEncoding(envelope: Envelope, leaf: Certificate): VerifiedPayload['encoding'] | undefined {
  if (verifyEcdsa(preAuthPieces(envelope), leaf.key, envelope.signature)) return 'DSSEv1';
  if (envelope.payload.length > MAX_V020_BYTES) return undefined;
  return verifyEcdsa(preAuthEncodingV020(envelope), leaf.key, envelope.signature, 'sha256') ? 'v0.2.0' : undefined;
}

function readAll(ders: readonly Buffer[], code: ErrorCode, what: string): readonly Certificate[] {
  return ders.map((der, i) => {
    const certificate = readCertificate(der);
    if (certificate !== undefined) return certificate;
    throw new AppError(code, `${what} number ${i + 1} is not a DER certificate`);
  });
}

function chainInvalid(message: string, options: { hint?: string } = {}): AppError {
  return new AppError('CERT_CHAIN_INVALID', message, options);
}

function isoDate(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an unreadable date' : date.toISOString().replace('.000Z', 'Z');
}

function show(name: string): string {
  return printable(name, 200);
}
