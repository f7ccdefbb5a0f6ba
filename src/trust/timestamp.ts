// SPDX-License-Identifier: Apache-2.0
import { IssuerAndSerialNumber, Certificate as PkiCertificate, SignedData, TimeStampResp, TSTInfo } from 'pkijs';
import { MAX_TIMESTAMP_BYTES } from '../base/limits.ts';
import { printable } from '../base/redact.ts';
import { SIGNATURE_ALGORITHMS, validatePath } from './path.ts';
import { isFromTheFuture } from './signingTime.ts';
import type { SigningTime } from './trust.ts';
import { type Certificate, extendedKeyUsage, hasKeyUsage, OID, readCertificate, subjectOf } from './x509.ts';

/** What a timestamp proves: the signature existed at that time; or nothing, and why. */
export type TimestampVerdict =
  | { readonly kind: 'proven'; readonly at: Date; readonly authority: string }
  | { readonly kind: 'unproven'; readonly problem: string };

const MAX_EMBEDDED_CERTIFICATES = 16;
/** Name and serial number mean one certificate; more than a renewed one beside it is somebody buying time with the search for their paths. */
const MAX_SIGNERS = 2;

const OID_SIGNED_DATA = '1.2.840.113549.1.7.2';
const OID_TST_INFO = '1.2.840.113549.1.9.16.1.4';
/** RSA whose hash is the digest algorithm's. */
const OID_RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
const OID_CONTENT_TYPE = '1.2.840.113549.1.9.3';
/** SHA-256, SHA-384, SHA-512 */
const DIGESTS = new Set(['2.16.840.1.101.3.4.2.1', '2.16.840.1.101.3.4.2.2', '2.16.840.1.101.3.4.2.3']);
/** PKIStatus granted and grantedWithMods; everything else carries no token (RFC 3161 §2.4.2). */
const GRANTED = new Set([0, 1]);

/**
 * Checks an RFC 3161 response over `signature` with the certificates of authorities the caller trusts. Certificates inside
 * the response only complete the path. Never throws: a timestamp that proves nothing is no reason of its own to refuse.
 */
export async function verifyTimestamp(response: Buffer, signature: Buffer, authorities: readonly Certificate[], now: Date): Promise<TimestampVerdict> {
  if (response.length > MAX_TIMESTAMP_BYTES) return unproven(`is larger than ${MAX_TIMESTAMP_BYTES} bytes`);
  try {
    return await verify(response, signature, authorities, now);
  } catch {
    // pkijs throws whatever its parsers and checks run into; all of it means that nothing is proven.
    return unproven('cannot be read or does not verify');
  }
}

/** Times that authorities the caller trusts (DER certificates) vouch for. Timestamps that prove nothing are left out. */
export async function provenTimes(
  { timestamps }: { readonly timestamps: readonly Buffer[] },
  { signature }: { readonly signature: Buffer },
  authorities: readonly Buffer[],
  now: Date,
): Promise<readonly SigningTime[]> {
  const certificates = authorities.map(readCertificate).filter((certificate) => certificate !== undefined);
  const verdicts = await Promise.all(timestamps.map((response) => verifyTimestamp(response, signature, certificates, now)));
  return verdicts.flatMap((verdict) => (verdict.kind === 'proven' ? [{ source: 'timestamp', at: verdict.at } as const] : []));
}

/**
 * What the signer asks of a fresh response before he knows who will trust it: that it would prove something to whoever trusts the
 * certificates inside it. Never throws.
 */
export async function checkOwnTimestamp(response: Buffer, signature: Buffer, nonce: Buffer, now: Date): Promise<TimestampVerdict> {
  try {
    const { timeStampToken } = TimeStampResp.fromBER(response);
    if (timeStampToken === undefined) return unproven('was not granted by its authority');
    const signed = new SignedData({ schema: timeStampToken.content });
    const content = signed.encapContentInfo.eContent?.getValue();
    const echoed = content && TSTInfo.fromBER(content).nonce;
    // An older answer would date the signature wrongly, if it is over the same bytes at all.
    if (echoed === undefined || !Buffer.from(echoed.valueBlock.valueHexView).equals(nonce)) return unproven('does not repeat the nonce of the request');
    return await verifyTimestamp(response, signature, readEmbedded(signed), now);
  } catch {
    return unproven('cannot be read or does not verify');
  }
}

/** The time a response claims, checked by nobody; undefined when it cannot be read. */
export function claimedTime(response: Buffer): Date | undefined {
  if (response.length > MAX_TIMESTAMP_BYTES) return undefined;
  try {
    const { timeStampToken } = TimeStampResp.fromBER(response);
    const at = timeStampToken && readTime(new SignedData({ schema: timeStampToken.content }));
    return at instanceof Date ? at : undefined;
  } catch {
    return undefined;
  }
}

async function verify(response: Buffer, signature: Buffer, authorities: readonly Certificate[], now: Date): Promise<TimestampVerdict> {
  const { status, timeStampToken } = TimeStampResp.fromBER(response);
  if (!GRANTED.has(status.status) || timeStampToken === undefined) return unproven('was not granted by its authority');
  if (timeStampToken.contentType !== OID_SIGNED_DATA) return unproven('holds no signed data');
  const signed = new SignedData({ schema: timeStampToken.content });
  const at = readTime(signed);
  if (typeof at === 'string') return unproven(at);
  if (isFromTheFuture(at, now)) return unproven(`is from the future (${at.toISOString()})`);

  const embedded = readEmbedded(signed);
  const signers = signersOf(signed, [...authorities, ...embedded]);
  if (signers.length > MAX_SIGNERS) return unproven(`fits ${signers.length} certificates`);
  for (const signer of signers) {
    const path = await validatePath({ leaf: signer, anchors: authorities, helpers: embedded, purpose: OID.timeStamping, at });
    if (path.kind !== 'valid' || !isTimestampingCertificate(signer)) continue;
    // Otherwise pkijs would take the first certificate of that name and serial number, whoever put it there.
    signed.certificates = [signer.asn1];
    if (await signed.verify({ signer: 0, data: arrayBuffer(signature) })) return { kind: 'proven', at, authority: subjectOf(signer) };
    return unproven(`is not over this signature, or its own signature is wrong (${printable(subjectOf(signer), 200)})`);
  }
  return unproven('is from no given timestamp authority');
}

/** The time in the token, after the checks pkijs leaves out; or a problem. */
function readTime(signed: SignedData): Date | string {
  const { eContentType, eContent } = signed.encapContentInfo;
  const [signer, ...others] = signed.signerInfos;
  if (eContentType !== OID_TST_INFO || eContent === undefined) return 'holds no timestamp';
  if (signer === undefined || others.length > 0) return 'does not have exactly one signer';
  // RFC 5652 §5.3, §11.1: the signed content type keeps a signature over something else from passing as a timestamp.
  const types = signer.signedAttrs?.attributes.filter((a) => a.type === OID_CONTENT_TYPE) ?? [];
  if (types.length !== 1 || types[0]?.values.length !== 1 || types[0].values[0].valueBlock.toString() !== OID_TST_INFO) return 'does not sign its content type';
  const info = TSTInfo.fromBER(eContent.getValue());
  const digests = [signer.digestAlgorithm, info.messageImprint.hashAlgorithm];
  if (!digests.every(({ algorithmId }) => DIGESTS.has(algorithmId))) return 'uses a digest that is not accepted';
  const { algorithmId } = signer.signatureAlgorithm;
  if (algorithmId !== OID_RSA_ENCRYPTION && !SIGNATURE_ALGORITHMS.has(algorithmId)) return 'uses a signature algorithm that is not accepted';
  return Number.isNaN(info.genTime.getTime()) ? 'has no valid time' : info.genTime;
}

function readEmbedded(signed: SignedData): readonly Certificate[] {
  const found = (signed.certificates ?? []).slice(0, MAX_EMBEDDED_CERTIFICATES).filter((c) => c instanceof PkiCertificate);
  return found.map((c) => readCertificate(Buffer.from(c.toSchema().toBER()))).filter((c) => c !== undefined);
}

/** Certificates that the token's signer identifier means, each once. */
function signersOf(signed: SignedData, candidates: readonly Certificate[]): readonly Certificate[] {
  const sid = signed.signerInfos[0]?.sid;
  if (!(sid instanceof IssuerAndSerialNumber)) return [];
  const matching = candidates.filter(({ asn1 }) => asn1.issuer.isEqual(sid.issuer) && asn1.serialNumber.isEqual(sid.serialNumber));
  return [...new Map(matching.map((c) => [c.fingerprint, c])).values()];
}

/** RFC 3161 §2.3: the usage is critical and the only one. */
function isTimestampingCertificate(certificate: Certificate): boolean {
  const usage = extendedKeyUsage(certificate);
  const only = usage?.purposes.length === 1 && usage.purposes[0] === OID.timeStamping;
  return only && usage.critical && hasKeyUsage(certificate, 'digitalSignature') !== false;
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function unproven(problem: string): TimestampVerdict {
  return { kind: 'unproven', problem: `the timestamp ${problem}` };
}
