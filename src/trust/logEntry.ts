// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import type { TransparencyLogEntry } from '@sigstore/bundle';
import type { TrustMaterial } from '@sigstore/verify';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { isObject, parseStrictJson } from '../oms/json.ts';
import { REFRESH_HINT } from './sigstoreRoot.ts';
import type { SigstoreRoot } from './trust.ts';

export type LogEntry = TransparencyLogEntry;

/** What signers of models produce: Rekor v1's DSSE entries, Rekor v2's DSSE and hashedrekord entries. */
const KINDS = ['dsse/0.0.1', 'dsse/0.0.2', 'hashedrekord/0.0.2'] as const;

const MAX_ENTRIES = 16;
const MAX_CHECKPOINT_LENGTH = 64 * 1024;
const MAX_BODY_BYTES = 1024 * 1024;
/** An RFC 6962 proof has at most one hash per level and border of a 64-bit tree. */
const MAX_HASHES = 128;
const DECIMAL = /^(?:0|[1-9]\d{0,18})$/;

/**
 * The checks of log entries that @sigstore/verify leaves out: an inclusion proof is there, of sane size, with the root of
 * its checkpoint; the log is known; the logged certificate is the bundle's. Proofs and signatures are the library's job.
 * @throws LOG_PROOF_INVALID
 */
export function checkLogEntries(entries: readonly LogEntry[], leaf: Buffer, trust: TrustMaterial, root: SigstoreRoot): void {
  if (entries.length === 0 || entries.length > MAX_ENTRIES) throw invalid(`the bundle has ${entries.length} log entries, expected 1 to ${MAX_ENTRIES}`);
  for (const entry of entries) {
    checkProof(entry);
    checkKnown(entry, trust, root);
    const { certificate } = readLogged(entry);
    // Else somebody's entry for the same signature bytes would vouch for a certificate the log never saw.
    if (certificate === undefined || !certificate.equals(leaf)) throw invalid('the logged entry is not about the certificate of the bundle');
  }
}

/** What a signer can tell of a new entry without knowing the log: it has a proof, and is about this signature. @throws LOG_PROOF_INVALID */
export function checkNewEntry(entry: LogEntry, leaf: Buffer, signature: Buffer): void {
  checkProof(entry);
  const logged = readLogged(entry);
  if (logged.certificate?.equals(leaf) === true && logged.signature?.equals(signature) === true) return;
  throw invalid('the logged entry is not about this signature');
}

export function logIdOf(entry: LogEntry): string {
  return entry.logId.keyId.toString('hex');
}

function checkProof({ inclusionProof: proof, canonicalizedBody }: LogEntry): void {
  const checkpoint = proof?.checkpoint?.envelope;
  if (proof === undefined || checkpoint === undefined) throw invalid('a log entry has no inclusion proof with a checkpoint');
  const sane =
    checkpoint.length <= MAX_CHECKPOINT_LENGTH &&
    canonicalizedBody.length <= MAX_BODY_BYTES &&
    proof.hashes.length <= MAX_HASHES &&
    DECIMAL.test(proof.logIndex) &&
    DECIMAL.test(proof.treeSize);
  if (!sane) throw invalid('an inclusion proof is malformed');
  // The note's second and third line: tree size and root hash. The library verifies its signature and ignores the copies.
  const [, size, hash] = checkpoint.split('\n', 3);
  if (size !== proof.treeSize) throw invalid('the tree size of an inclusion proof is not that of its checkpoint');
  if (hash !== proof.rootHash.toString('base64')) throw invalid('the root hash of an inclusion proof is not that of its checkpoint');
}

function checkKnown(entry: LogEntry, trust: TrustMaterial, root: SigstoreRoot): void {
  if (trust.tlogs.some((log) => log.logID.equals(entry.logId.keyId))) return;
  throw new AppError(
    'LOG_PROOF_INVALID',
    `the signature is in transparency log ${printable(logIdOf(entry), 64)}, which is not in the trusted root (${root.description})`,
    {
      hint: REFRESH_HINT,
      context: { found: logIdOf(entry).slice(0, 64) },
    },
  );
}

type Logged = { readonly certificate: Buffer | undefined; readonly signature: Buffer | undefined };

/** Certificate (DER) and signature inside the entry; undefined where it holds none. */
function readLogged(entry: LogEntry): Logged {
  const body = readBody(entry);
  const { kind, version } = entry.kindVersion;
  const known = KINDS.find((k) => k === `${kind}/${version}`);
  if (known === undefined) throw invalid(`a log entry is of the kind ${printable(`${kind}/${version}`, 80)}, expected one of ${KINDS.join(', ')}`);
  if (at(body, 'kind') !== kind || at(body, 'apiVersion') !== version) throw invalid('a log entry is labelled as another kind than its body');
  switch (known satisfies (typeof KINDS)[number]) {
    case 'dsse/0.0.1': {
      const signature = only(at(body, 'spec', 'signatures'));
      return { certificate: fromPem(at(signature, 'verifier')), signature: fromBase64(at(signature, 'signature')) };
    }
    case 'dsse/0.0.2':
      return fromVerifier(only(at(body, 'spec', 'dsseV002', 'signatures')));
    case 'hashedrekord/0.0.2':
      return fromVerifier(at(body, 'spec', 'hashedRekordV002', 'signature'));
  }
}

function readBody(entry: LogEntry): unknown {
  try {
    return parseStrictJson(entry.canonicalizedBody, 'the body of a log entry');
  } catch (cause) {
    throw new AppError('LOG_PROOF_INVALID', 'the body of a log entry is not JSON', { cause });
  }
}

function at(value: unknown, ...names: readonly string[]): unknown {
  return names.reduce((inner: unknown, name) => (isObject(inner) && Object.hasOwn(inner, name) ? inner[name] : undefined), value);
}

function only(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : undefined;
}

function fromVerifier(signature: unknown): Logged {
  return { certificate: fromBase64(at(signature, 'verifier', 'x509Certificate', 'rawBytes')), signature: fromBase64(at(signature, 'content')) };
}

function fromBase64(value: unknown): Buffer | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : undefined;
}

/** Rekor v1 logs base64 of PEM; text with a second certificate has no single meaning. */
function fromPem(value: unknown): Buffer | undefined {
  const pem = fromBase64(value)?.toString('latin1');
  if (pem === undefined || pem.split('-----BEGIN').length !== 2) return undefined;
  try {
    return new X509Certificate(pem).raw;
  } catch {
    return undefined;
  }
}

function invalid(message: string): AppError {
  return new AppError('LOG_PROOF_INVALID', message, { hint: 'The bundle was altered or made by a faulty signer. Get it from the publisher again.' });
}
