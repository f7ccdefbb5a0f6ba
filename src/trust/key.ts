// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { preAuthPieces } from '../oms/dsse.ts';
import { verifyEcdsa } from './ecdsa.ts';
import { mintVerifiedPayload, type SignatureVerifier, type Signer } from './trust.ts';

/**
 * The `key` method (OMS §8.2): the signature has to hold with one of the keys the caller gave.
 * @throws SIGNATURE_INVALID
 */
export const verifyWithKey: SignatureVerifier<'key'> = async ({ envelope, material }, { keys, timestampAuthorities = [] }, now) => {
  // The hint is unsigned. It can only exclude keys, so that a bundle says plainly which key it wants.
  const candidates = material.hint === undefined ? keys : keys.filter((k) => k.fingerprint === material.hint);
  const signed = preAuthPieces(envelope);
  const key = candidates.find((k) => verifyEcdsa(signed, k.key, envelope.signature));
  if (key !== undefined) {
    const times = timestampAuthorities.length === 0 ? [] : await (await import('./timestamp.ts')).provenTimes(material, envelope, timestampAuthorities, now);
    const signer: Signer = { kind: 'key', fingerprint: key.fingerprint, curve: key.curve, ...(times.length > 0 && { times }) };
    return mintVerifiedPayload({ bytes: envelope.payload, signer, encoding: 'DSSEv1' });
  }
  const given = keys.map((k) => k.fingerprint).join(', ');
  const found = material.hint === undefined ? undefined : printable(material.hint, 64);
  throw new AppError('SIGNATURE_INVALID', `the signature does not match key ${given}${found === undefined ? '' : `; the bundle names key ${found}`}`, {
    context: { expected: given, ...(found !== undefined && { found }) },
    hint: 'If the publisher changed keys, give the new public key; otherwise the bundle was altered or made by somebody else.',
  });
};
