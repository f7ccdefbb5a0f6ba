// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { Integer, OctetString } from 'asn1js';
import { AlgorithmIdentifier, MessageImprint, TimeStampReq } from 'pkijs';
import { MAX_TIMESTAMP_BYTES } from '../base/limits.ts';
import { type CallService, serviceFailed } from '../base/service.ts';
import { checkOwnTimestamp } from '../trust/timestamp.ts';

const SERVICE = 'the timestamp authority';
const OID_SHA256 = '2.16.840.1.101.3.4.2.1';

/**
 * An RFC 3161 response over `signature`, asked for over HTTP (§3.4). It names its own certificates (certReq), repeats the request's nonce,
 * and would verify for whoever trusts those certificates; nobody does yet. @throws SIGNING_SERVICE_FAILED and what `call` throws
 */
export async function requestTimestamp(authority: URL, signature: Buffer, now: () => Date, call: CallService): Promise<Buffer> {
  const nonce = randomBytes(16);
  // Positive, and the shortest encoding of its number.
  nonce[0] = ((nonce[0] ?? 0) & 0x3f) | 0x40;
  const { body } = await call({
    service: SERVICE,
    url: authority,
    method: 'POST',
    headers: { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' },
    body: encodeRequest(signature, nonce),
    maxBytes: MAX_TIMESTAMP_BYTES,
  });
  const verdict = await checkOwnTimestamp(body, signature, nonce, now());
  if (verdict.kind === 'unproven') throw serviceFailed(SERVICE, authority, `answers with something of no use: ${verdict.problem}`);
  return body;
}

function encodeRequest(signature: Buffer, nonce: Buffer): Buffer {
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: OID_SHA256 }),
      hashedMessage: new OctetString({ valueHex: new Uint8Array(createHash('sha256').update(signature).digest()).buffer }),
    }),
    nonce: new Integer({ valueHex: new Uint8Array(nonce).buffer }),
    certReq: true,
  });
  return Buffer.from(request.toSchema().toBER());
}
