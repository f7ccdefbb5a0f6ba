// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { TransparencyLogEntry } from '@sigstore/protobuf-specs';
import { below, type CallService, type ServiceAnswer, serviceFailed } from '../base/service.ts';
import { type Envelope, preAuthEncoding } from '../oms/dsse.ts';
import { isObject, type JsonObject, parseStrictJson } from '../oms/json.ts';
import { checkNewEntry, type LogEntry } from '../trust/logEntry.ts';
import type { SigningServices } from './services.ts';

type Log = SigningServices['logs'][number];

const SERVICE = 'the transparency log';
/** Rekor v1 answers with hashes only, whatever the size of the payload. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const HEADERS = { 'content-type': 'application/json', accept: 'application/json' };

/**
 * Puts a signature into a log: a `dsse` entry with Rekor v1, a `hashedrekord` over the signed bytes with v2, which has no other that
 * verifiers of models take. `leaf` is DER. Returns the JSON of the entry for the bundle.
 * @throws SIGNING_SERVICE_FAILED and what `call` throws
 */
export async function logSignature({ url: base, version }: Log, envelope: Envelope, leaf: Buffer, call: CallService): Promise<LogEntry> {
  const url = below(base, `/api/v${version}/log/entries`);
  const body = JSON.stringify(version === 1 ? proposalV1(envelope, leaf) : proposalV2(envelope, leaf));
  const answer = await call({ service: SERVICE, url, method: 'POST', headers: HEADERS, body, maxBytes: MAX_ANSWER_BYTES });
  const entry = readEntry(version, await existing(answer, url, call));
  if (entry === undefined) throw serviceFailed(SERVICE, url, 'answers with no log entry');
  try {
    checkNewEntry(entry, leaf, envelope.signature);
  } catch (cause) {
    throw serviceFailed(SERVICE, url, `answers with an entry of no use: ${cause instanceof Error ? cause.message : 'it cannot be read'}`, cause);
  }
  return entry;
}

/** As the bundle holds it, every member written out: the library leaves out zeroes and empty lists, which the reference insists on. */
export function entryJson({ logIndex, logId, kindVersion, integratedTime, inclusionPromise, inclusionProof, canonicalizedBody }: LogEntry): unknown {
  const promised = inclusionPromise !== undefined;
  return {
    logIndex,
    logId: { keyId: logId.keyId.toString('base64') },
    kindVersion: { kind: kindVersion.kind, version: kindVersion.version },
    // Without a promise nobody vouches for a time.
    ...(promised && { integratedTime, inclusionPromise: { signedEntryTimestamp: inclusionPromise.signedEntryTimestamp.toString('base64') } }),
    ...(inclusionProof !== undefined && {
      inclusionProof: {
        logIndex: inclusionProof.logIndex,
        rootHash: inclusionProof.rootHash.toString('base64'),
        treeSize: inclusionProof.treeSize,
        hashes: inclusionProof.hashes.map((hash) => hash.toString('base64')),
        checkpoint: { envelope: inclusionProof.checkpoint?.envelope },
      },
    }),
    canonicalizedBody: canonicalizedBody.toString('base64'),
  };
}

/** Signatures are random, so an entry that exists is our own, of an attempt whose answer was lost. */
async function existing(answer: ServiceAnswer, url: URL, call: CallService): Promise<Buffer> {
  if (answer.status !== 409) return answer.body;
  const [, id] = /\/([0-9a-f]{64,80})$/.exec(answer.location ?? '') ?? [];
  if (id === undefined) throw serviceFailed(SERVICE, url, 'says that the entry exists, but not where');
  const { body } = await call({ service: SERVICE, url: below(url, `/${id}`), method: 'GET', headers: HEADERS, maxBytes: MAX_ANSWER_BYTES });
  return body;
}

function proposalV1({ payload, payloadType, signature }: Envelope, leaf: Buffer): object {
  const envelope = { payload: payload.toString('base64'), payloadType, signatures: [{ sig: signature.toString('base64') }] };
  const pem = `-----BEGIN CERTIFICATE-----\n${leaf.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
  const proposedContent = { envelope: JSON.stringify(envelope), verifiers: [Buffer.from(pem).toString('base64')] };
  return { apiVersion: '0.0.1', kind: 'dsse', spec: { proposedContent } };
}

function proposalV2(envelope: Envelope, leaf: Buffer): object {
  const digest = createHash('sha256').update(preAuthEncoding(envelope)).digest('base64');
  // The key is always ours, on P-256.
  const verifier = { x509Certificate: { rawBytes: leaf.toString('base64') }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' };
  return { hashedRekordRequestV002: { digest, signature: { content: envelope.signature.toString('base64'), verifier } } };
}

function readEntry(version: 1 | 2, body: Buffer): LogEntry | undefined {
  try {
    const json = parseStrictJson(body, 'the answer');
    const entry = TransparencyLogEntry.fromJSON(version === 1 ? fromV1(json) : json);
    const { logId, kindVersion } = entry;
    return logId === undefined || kindVersion === undefined ? undefined : { ...entry, logId, kindVersion };
  } catch {
    return undefined;
  }
}

/** Rekor v1 answers with `{ id: entry }`, digests in hexadecimal. */
function fromV1(json: unknown): JsonObject | undefined {
  const [entry, ...others] = isObject(json) ? Object.values(json) : [];
  if (!isObject(entry) || others.length > 0 || typeof entry['body'] !== 'string') return undefined;
  const body: unknown = JSON.parse(Buffer.from(entry['body'], 'base64').toString('utf8'));
  const verification = isObject(entry['verification']) ? entry['verification'] : {};
  const proof = verification['inclusionProof'];
  const promise = verification['signedEntryTimestamp'];
  return {
    logIndex: String(entry['logIndex']),
    logId: { keyId: base64OfHex(entry['logID']) },
    kindVersion: isObject(body) ? { kind: body['kind'], version: body['apiVersion'] } : undefined,
    integratedTime: String(entry['integratedTime']),
    ...(typeof promise === 'string' && { inclusionPromise: { signedEntryTimestamp: promise } }),
    ...(isObject(proof) && {
      inclusionProof: {
        logIndex: String(proof['logIndex']),
        rootHash: base64OfHex(proof['rootHash']),
        treeSize: String(proof['treeSize']),
        hashes: Array.isArray(proof['hashes']) ? proof['hashes'].map(base64OfHex) : [],
        checkpoint: { envelope: proof['checkpoint'] },
      },
    }),
    canonicalizedBody: entry['body'],
  };
}

function base64OfHex(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : '', 'hex').toString('base64');
}
