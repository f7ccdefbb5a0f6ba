// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding } from '../oms/dsse.ts';
import type { Statement } from '../oms/write.ts';
import { signEcdsa, verifyEcdsa } from '../trust/ecdsa.ts';
import type { SigningKey } from './key.ts';

/** The DSSE envelope over a statement. @throws INTERNAL when the signature does not verify */
export function signStatement({ bytes }: Statement, { privateKey, publicKey }: Pick<SigningKey, 'privateKey' | 'publicKey'>): Envelope {
  const unsigned: Envelope = { payload: bytes, payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(0) };
  const signed = preAuthEncoding(unsigned);
  const signature = signEcdsa(signed, privateKey);
  // A signature made with a fault in it can give the key away (and helps nobody): none leaves without this check.
  if (!verifyEcdsa(signed, publicKey, signature)) throw new AppError('INTERNAL', 'the new signature does not verify');
  return { ...unsigned, signature };
}
