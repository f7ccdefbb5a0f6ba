// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, X509Certificate as NodeCertificate } from 'node:crypto';
import { type Bundle, bundleFromJSON, ValidationError } from '@sigstore/bundle';
import type { X509Certificate } from '@sigstore/core';
import { type SignedEntity, type TrustMaterial, VerificationError, Verifier } from '@sigstore/verify';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Envelope, preAuthPieces } from '../oms/dsse.ts';
import type { JsonObject } from '../oms/json.ts';
import { distinguishedName } from './distinguishedName.ts';
import { curveOf, keyFingerprint, verifyEcdsa } from './ecdsa.ts';
import { readFulcioClaims, readFulcioIdentity } from './fulcio.ts';
import { checkLogEntries, type LogEntry, logIdOf } from './logEntry.ts';
import { isFromTheFuture } from './signingTime.ts';
import { parseSigstoreCertificate, parseSigstoreTimestamp } from './sigstoreDer.ts';
import { REFRESH_HINT, readTrustMaterial } from './sigstoreRoot.ts';
import { mintVerifiedPayload, type SignatureVerifier, type Signer, type SigstoreRoot } from './trust.ts';

type Times = Extract<Signer, { kind: 'sigstore' }>['times'];
type Timestamp = SignedEntity['timestamps'][number];

/**
 * The `sigstore` method (OMS §8.2), offline: @sigstore/verify checks certificate chain, SCT, log proofs, times and signature;
 * around it stand the checks it leaves out. Never uses its policy: it matches identities as unanchored patterns.
 * @throws SIGNATURE_INVALID, CERT_CHAIN_INVALID, LOG_PROOF_INVALID, TIMESTAMP_INVALID, SIGNER_UNTRUSTED, ALGORITHM_REFUSED,
 *   BUNDLE_MALFORMED, ANCHORS_INVALID
 */
export const verifyWithSigstore: SignatureVerifier<'sigstore'> = async ({ envelope, material }, { root }, now) => {
  const trust = readTrustMaterial(root);
  const entries: readonly LogEntry[] = readBundle(material.bundle).verificationMaterial.tlogEntries;
  const leaf = readLeaf(material.certificate);
  const signature = signatureContent(envelope);
  // Of an altered payload or signature the library would only say that log entry or timestamp are about something else.
  if (!signature.verifySignature(createPublicKey({ key: leaf.publicKey, format: 'der', type: 'spki' }))) throw signatureInvalid();
  checkLogEntries(entries, material.certificate, trust, root);
  // Without authorities no timestamp can be judged; then it proves nothing, and the log's time has to do.
  const timestamps = trust.timestampAuthorities.length === 0 ? [] : material.timestamps.map(readTimestamp);

  const entity: SignedEntity = {
    signature,
    key: { $case: 'certificate', certificate: leaf },
    tlogEntries: [...entries],
    timestamps: [...entries.filter(hasLogTime).map((tlogEntry): Timestamp => ({ $case: 'transparency-log', tlogEntry })), ...timestamps],
  };
  const times = timesOf(entries, timestamps);
  verifyEntity(entity, trust, { leaf, times, root, der: material.certificate });
  checkTimes(times, entries, trust, now);

  const { identity, issuer } = readFulcioIdentity(leaf);
  const logs = entries.map((entry) => ({ logId: logIdOf(entry), logIndex: provenIndex(entry) }));
  const publicKey = createPublicKey({ key: leaf.publicKey, format: 'der', type: 'spki' });
  const key = { fingerprint: keyFingerprint(publicKey), curve: curveOf(publicKey) };
  const claims = readFulcioClaims(leaf);
  const signer: Signer = {
    kind: 'sigstore',
    identity,
    issuer,
    times,
    logs,
    root: root.description,
    key,
    ...(Object.keys(claims).length > 0 && { claims }),
  };
  return mintVerifiedPayload({ bytes: envelope.payload, signer, encoding: 'DSSEv1' });
};

function readBundle(json: JsonObject): Bundle {
  try {
    return bundleFromJSON(json);
  } catch (error) {
    const fields = error instanceof ValidationError ? error.fields : [];
    const code: ErrorCode = fields.length > 0 && fields.every((f) => f.includes('inclusionProof')) ? 'LOG_PROOF_INVALID' : 'BUNDLE_MALFORMED';
    const which = fields.length > 0 ? `: ${printable(fields.join(', '), 300)}` : '';
    throw new AppError(code, `the bundle is not a complete Sigstore bundle${which}`, { cause: error });
  }
}

/** Strict DER, as for every certificate: the library reads on where OpenSSL stops, and the other way round. */
function readLeaf(der: Buffer): X509Certificate {
  try {
    const node = new NodeCertificate(der);
    if (!node.raw.equals(der)) throw new Error('not DER');
    curveOf(node.publicKey);
    return parseSigstoreCertificate(der);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('CERT_CHAIN_INVALID', 'the signing certificate of the bundle is not a DER certificate', { cause });
  }
}

function readTimestamp(der: Buffer): Extract<Timestamp, { $case: 'timestamp-authority' }> {
  try {
    const timestamp = parseSigstoreTimestamp(der);
    // PKIStatus granted or grantedWithMods (RFC 3161 §2.4.2), which the library does not look at.
    if (timestamp.status > 1n || timestamp.status < 0n || Number.isNaN(timestamp.signingTime.getTime())) throw new Error('not granted');
    return { $case: 'timestamp-authority', timestamp };
  } catch (cause) {
    throw new AppError('TIMESTAMP_INVALID', 'a signed timestamp of the bundle cannot be read', { cause });
  }
}

/** What the library asks about the envelope. Its own class knows SHA-256 only, OMS lets the curve choose. */
function signatureContent(envelope: Envelope): SignedEntity['signature'] {
  const signed = preAuthPieces(envelope);
  return {
    signature: envelope.signature,
    compareSignature: (signature) => envelope.signature.equals(signature),
    compareDigest: (digest) => sha(256, [envelope.payload]).equals(digest),
    // Rekor v2 hashes with the algorithm of the key.
    compareSignedDigest: (digest) => ([256, 384, 512] as const).some((bits) => digest.length * 8 === bits && sha(bits, signed).equals(digest)),
    verifySignature: (key) => verifyEcdsa(signed, key, envelope.signature),
  };
}

function sha(bits: 256 | 384 | 512, pieces: readonly Buffer[]): Buffer {
  const hash = createHash(`sha${bits}`);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

/** A log vouches for its time only with a signed promise (Rekor v1); entries of Rekor v2 have none. */
function hasLogTime(entry: LogEntry): boolean {
  return entry.inclusionPromise !== undefined && entry.integratedTime !== '' && entry.integratedTime !== '0';
}

/** Only a promise covers the entry's own index; without one, the index in the proof is what was proven. */
function provenIndex(entry: LogEntry): string {
  return entry.inclusionPromise === undefined ? (entry.inclusionProof?.logIndex ?? '') : entry.logIndex;
}

function timesOf(entries: readonly LogEntry[], timestamps: readonly Extract<Timestamp, { $case: 'timestamp-authority' }>[]): Times {
  return [
    ...entries.filter(hasLogTime).map((entry) => ({ source: 'log' as const, at: new Date(Number(entry.integratedTime) * 1000) })),
    ...timestamps.map(({ timestamp }) => ({ source: 'timestamp' as const, at: timestamp.signingTime })),
  ];
}

type Facts = { readonly leaf: X509Certificate; readonly times: Times; readonly root: SigstoreRoot; readonly der: Buffer };

function verifyEntity(entity: SignedEntity, trust: TrustMaterial, facts: Facts): void {
  try {
    new Verifier(trust, { ctlogThreshold: 1, tlogThreshold: 1, timestampThreshold: 1 }).verify(entity);
  } catch (error) {
    throw toAppError(error, trust, facts);
  }
}

/** By the library's code, never by its text. */
function toAppError(error: unknown, trust: TrustMaterial, facts: Facts): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof VerificationError)) return new AppError('BUNDLE_MALFORMED', 'the bundle cannot be evaluated', { cause: error });
  const detail = printable(error.message, 200);
  switch (error.code) {
    case 'CERTIFICATE_ERROR':
    case 'PUBLIC_KEY_ERROR':
      return certificateError(error, trust, facts);
    case 'TLOG_ERROR':
    case 'TLOG_BODY_ERROR':
    case 'TLOG_INCLUSION_PROOF_ERROR':
    case 'TLOG_INCLUSION_PROMISE_ERROR':
    case 'TLOG_MISSING_INCLUSION_ERROR':
      return new AppError('LOG_PROOF_INVALID', `the transparency log entry does not prove this signature: ${detail}`, { cause: error });
    case 'TIMESTAMP_ERROR':
      return new AppError('TIMESTAMP_INVALID', `not enough timestamps validated: the time of signing is not proven (${detail})`, {
        cause: error,
        hint: 'The trusted root has to know the timestamp authority (--trusted-root, --tuf-refresh); otherwise the bundle was altered.',
      });
    case 'SIGNATURE_ERROR':
      return signatureInvalid();
    case 'NOT_IMPLEMENTED_ERROR':
      return new AppError('BUNDLE_MALFORMED', `the bundle cannot be evaluated: ${detail}`, { cause: error });
  }
}

function signatureInvalid(): AppError {
  return new AppError('SIGNATURE_INVALID', 'the signature was not made with the key of the signing certificate', {
    hint: 'The bundle was altered, or its certificate belongs to another signature. Get the bundle from the publisher again.',
  });
}

/** One code of the library covers unknown CAs, expiry and certificate transparency; the operator has to know which. */
function certificateError(error: VerificationError, trust: TrustMaterial, { leaf, times, root, der }: Facts): AppError {
  const known = trust.certificateAuthorities.some((ca) => ca.certChain.some((c) => c.subject.equals(leaf.issuer)));
  if (!known) {
    const issuer = printable(distinguishedName(new NodeCertificate(der).issuer), 200);
    return new AppError('CERT_CHAIN_INVALID', `the signing certificate was issued by '${issuer}', which is not in the trusted root (${root.description})`, {
      cause: error,
      hint: REFRESH_HINT,
      context: { found: issuer },
    });
  }
  const outside = times.find(({ at }) => !leaf.validForDate(at));
  if (outside !== undefined) {
    const period = `${show(leaf.notBefore)} to ${show(leaf.notAfter)}`;
    return new AppError('CERT_CHAIN_INVALID', `the signing certificate was valid from ${period}, but the signature was made at ${show(outside.at)}`, {
      cause: error,
      hint: 'A keyless signature has to be logged while its short-lived certificate is valid. Sign again.',
      context: { expected: period, found: show(outside.at) },
    });
  }
  return new AppError(
    'CERT_CHAIN_INVALID',
    `the signing certificate does not verify against the trusted root (${root.description}): ${printable(error.message, 200)}`,
    {
      cause: error,
      hint: REFRESH_HINT,
    },
  );
}

/** Runs after the times are known to be genuine. */
function checkTimes(times: Times, entries: readonly LogEntry[], trust: TrustMaterial, now: Date): void {
  for (const { source, at } of times) {
    if (!isFromTheFuture(at, now)) continue;
    throw new AppError(source === 'log' ? 'LOG_PROOF_INVALID' : 'TIMESTAMP_INVALID', `the signature is dated ${show(at)}, which is in the future`, {
      hint: 'Check the clock of this machine; if it is right, do not trust that log or authority.',
      context: { found: show(at) },
    });
  }
  // The library applies a log's period to promises only; entries of Rekor v2 have none.
  for (const entry of entries.filter((e) => !hasLogTime(e))) {
    const active = trust.tlogs.some(
      (log) => log.logID.equals(entry.logId.keyId) && times.every(({ at }) => log.validFor.start <= at && at <= log.validFor.end),
    );
    if (active) continue;
    throw new AppError('LOG_PROOF_INVALID', `transparency log ${logIdOf(entry)} was not in service at the time of signing`, { hint: REFRESH_HINT });
  }
}

function show(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an unreadable date' : date.toISOString().replace('.000Z', 'Z');
}
