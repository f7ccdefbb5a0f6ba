// SPDX-License-Identifier: Apache-2.0
import { RFC3161Timestamp, X509Certificate } from '@sigstore/core';
import { MAX_CERTIFICATE_BYTES, MAX_TIMESTAMP_BYTES } from '../base/limits.ts';

/** Real certificates hold some 100 values, responses of timestamp authorities some 300. */
const MAX_STEPS = 10_000;
/** As deep as the library follows. */
const MAX_DEPTH = 100;

/**
 * The only door to the DER reader of @sigstore/core. It looks for values inside every OCTET STRING; a value in there may reach
 * beyond the string, so that what follows is read again, and again for each string around it: a few hundred bytes can keep it busy
 * for ever. So its steps are counted first. @throws Error when it would take too many, and what the library throws
 */
export function parseSigstoreCertificate(der: Buffer): X509Certificate {
  return X509Certificate.parse(bounded(der, MAX_CERTIFICATE_BYTES));
}

/** A response of an RFC 3161 authority, see above. @throws as above */
export function parseSigstoreTimestamp(der: Buffer): RFC3161Timestamp {
  return RFC3161Timestamp.parse(bounded(der, MAX_TIMESTAMP_BYTES));
}

/** A copy, as the library keeps views of what it reads. */
function bounded(der: Buffer, maxBytes: number): Buffer<ArrayBuffer> {
  if (der.length > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
  let steps = 0;

  /** Where the value at `at` ends; undefined where the library gives up on it. */
  function endOfValue(at: number, depth: number): number | undefined {
    if (++steps > MAX_STEPS) throw new Error('DER strings that are costly to look into');
    const header = depth > MAX_DEPTH ? undefined : readHeader(der, at);
    if (header === undefined || header.end > der.length) return undefined;
    if (!header.constructed && !header.octetString) return header.end;
    let next: number | undefined = header.start;
    while (next !== undefined && next < header.end) next = endOfValue(next, depth + 1);
    // A string that holds no values is a string.
    return next === header.end || header.octetString ? header.end : undefined;
  }

  endOfValue(0, 0);
  return Buffer.from(der);
}

type Header = { readonly constructed: boolean; readonly octetString: boolean; readonly start: number; readonly end: number };

/** X.690 §8.1.2 and §10.1: tags of one byte, definite lengths of up to six bytes in their shortest form. */
function readHeader(der: Buffer, at: number): Header | undefined {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f || (tag & 0xdf) === 0) return undefined;
  const more = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + more;
  if (more > 6 || start > der.length || (first & 0x80 && more === 0)) return undefined;
  const length = more === 0 ? first : der.readUIntBE(at + 2, more);
  if (more > 0 && (length < 128 || der[at + 2] === 0)) return undefined;
  return { constructed: (tag & 0x20) !== 0, octetString: tag === 0x04, start, end: start + length };
}
