// SPDX-License-Identifier: Apache-2.0

/** The only payload type of an OMS envelope (OMS §6.7). */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** The one DSSE signature of a bundle, still unverified. `payload` holds the decoded bytes, exactly as signed. */
export type Envelope = {
  readonly payload: Buffer;
  readonly payloadType: typeof PAYLOAD_TYPE;
  readonly signature: Buffer;
};

/** DSSE pre-authentication encoding: the bytes a signer signs (DSSE protocol v1; OMS §6.7(3)). */
export function preAuthEncoding(envelope: Envelope): Buffer {
  return Buffer.concat(preAuthPieces(envelope));
}

/** The same bytes without a copy of the payload, which can be large. */
export function preAuthPieces({ payload, payloadType }: Envelope): readonly Buffer[] {
  return [Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `), payload];
}

/**
 * What model_signing v0.2.0 signed instead: a capital V and Python's repr() of the payload.
 * Accepted for certificate bundles with the predicate of that version only (OMS §5.1, §11.2(4)).
 */
export function preAuthEncodingV020(envelope: Envelope): Buffer {
  const { payload, payloadType } = envelope;
  return Buffer.from(`DSSEV1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} ${pythonBytesRepr(payload)}`);
}

function pythonBytesRepr(bytes: Buffer): string {
  const quote = bytes.includes("'") && !bytes.includes('"') ? '"' : "'";
  let out = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    if (char === '\\' || char === quote) out += `\\${char}`;
    else if (char === '\n') out += '\\n';
    else if (char === '\r') out += '\\r';
    else if (char === '\t') out += '\\t';
    else if (byte < 0x20 || byte >= 0x7f) out += `\\x${byte.toString(16).padStart(2, '0')}`;
    else out += char;
  }
  return `b${quote}${out}${quote}`;
}
