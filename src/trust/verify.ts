// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import type { Method, ParsedBundle } from '../oms/bundle.ts';
import type { TrustAnchors, VerifiedPayload } from './trust.ts';

/**
 * Checks a bundle's signature with the caller's anchors (OMS §8.2). The method is the caller's choice, never the bundle's.
 * @throws SIGNATURE_INVALID and the codes of the method
 */
export async function verifySignature(bundle: ParsedBundle, anchors: TrustAnchors, now: Date): Promise<VerifiedPayload> {
  const { material } = bundle;
  switch (anchors.kind) {
    case 'key':
      if (material.kind !== 'key') throw methodMismatch(anchors.kind, material.kind);
      return (await import('./key.ts')).verifyWithKey({ ...bundle, material }, anchors, now);
    case 'certificate':
      if (material.kind !== 'certificate') throw methodMismatch(anchors.kind, material.kind);
      return (await import('./certificate.ts')).verifyWithCertificate({ ...bundle, material }, anchors, now);
    case 'sigstore':
      if (material.kind !== 'sigstore') throw methodMismatch(anchors.kind, material.kind);
      return (await import('./sigstore.ts')).verifyWithSigstore({ ...bundle, material }, anchors, now);
  }
}

const SETTINGS: Readonly<Record<Method, string>> = {
  key: '--public-key',
  certificate: '--ca (and --certificate-identity)',
  sigstore: '--identity and --issuer',
};

function methodMismatch(wanted: Method, found: Method): AppError {
  return new AppError('SIGNATURE_INVALID', `the bundle was signed with the ${found} method, but trust is given for the ${wanted} method`, {
    hint: `If the publisher signs that way, give ${SETTINGS[found]}; a bundle never chooses its own method.`,
    context: { expected: wanted, found },
  });
}
