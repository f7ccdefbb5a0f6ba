// SPDX-License-Identifier: Apache-2.0
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { type TrustMaterial, toTrustMaterial } from '@sigstore/verify';
import { AppError } from '../base/errors.ts';
import type { SigstoreRoot } from './trust.ts';

/** What to do when a log or CA is unknown: the one failure where the verifier's own material may be out of date. */
export const REFRESH_HINT =
  'If the signer uses the public instance, update the trusted root (--tuf-refresh, or a newer image); for a private instance give its own with --trusted-root or --trust-config.';

/**
 * The keys and certificates of a Sigstore trusted root. A root without CAs, logs or certificate transparency logs is
 * refused: nothing could ever verify against it, and it is more likely the wrong file.
 * @throws ANCHORS_INVALID
 */
export function readTrustMaterial({ json, description }: SigstoreRoot): TrustMaterial {
  let material: TrustMaterial;
  try {
    // A root is no place for keys by hint: bundles of this method carry a certificate.
    material = toTrustMaterial(TrustedRoot.fromJSON(json));
  } catch (cause) {
    throw new AppError('ANCHORS_INVALID', `${description} is not a usable Sigstore trusted root`, { cause });
  }
  const missing = [
    material.certificateAuthorities.some((ca) => ca.certChain.length > 0) ? undefined : 'certificate authorities',
    material.tlogs.length > 0 ? undefined : 'transparency logs',
    material.ctlogs.length > 0 ? undefined : 'certificate transparency logs',
  ].filter((name) => name !== undefined);
  if (missing.length === 0) return material;
  throw new AppError('ANCHORS_INVALID', `${description} has no ${missing.join(' and no ')}`, {
    hint: 'Give a complete trusted root (trusted_root.json) of the Sigstore instance the publisher signs with.',
  });
}
