// SPDX-License-Identifier: Apache-2.0
import type { HexDigest } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { Manifest } from '../oms/manifest.ts';

/** The answer to swapped models: a genuine signature over an older or another model is still refused. @throws DIGEST_NOT_PINNED */
export function checkDigestPin(expected: readonly HexDigest[], manifest: Manifest): void {
  if (expected.length === 0 || expected.includes(manifest.rootDigest)) return;
  const pins = expected.map((digest) => `sha256:${digest}`).join(' or ');
  throw new AppError('DIGEST_NOT_PINNED', `the signed model digest sha256:${manifest.rootDigest} is not the pinned ${pins}`, {
    context: { expected: pins, found: `sha256:${manifest.rootDigest}` },
  });
}
