// SPDX-License-Identifier: Apache-2.0
import type { NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding } from '../oms/dsse.ts';
import type { Statement } from '../oms/write.ts';
import { type SignerMaterial, writeBundle } from '../oms/write.ts';
import { signEcdsa, verifyEcdsa } from '../trust/ecdsa.ts';
import type { SigningKey } from './key.ts';

/** Who signs. `chain` is DER, leaf first; its leaf belongs to the key. */
export type SigningIdentity =
  | { readonly kind: 'key'; readonly key: SigningKey }
  | { readonly kind: 'certificate'; readonly key: SigningKey; readonly chain: NonEmpty<Buffer> };

/** The bytes of the bundle over a statement. @throws INTERNAL when the signature does not verify */
export function signStatement(statement: Statement, identity: SigningIdentity): Buffer {
  const unsigned: Envelope = { payload: statement.bytes, payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(0) };
  const signed = preAuthEncoding(unsigned);
  const signature = signEcdsa(signed, identity.key.privateKey);
  // A signature made with a fault in it can give the key away (and helps nobody): none leaves without this check.
  if (!verifyEcdsa(signed, identity.key.publicKey, signature)) throw new AppError('INTERNAL', 'the new signature does not verify');
  return writeBundle({ ...unsigned, signature }, materialOf(identity));
}

function materialOf(identity: SigningIdentity): SignerMaterial {
  switch (identity.kind) {
    case 'key':
      return { kind: 'key', hint: identity.key.fingerprint };
    case 'certificate':
      return { kind: 'certificate', chain: identity.chain };
  }
}
