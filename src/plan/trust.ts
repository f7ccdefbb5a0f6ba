// SPDX-License-Identifier: Apache-2.0
import type { HexDigest, NonEmpty } from '../base/brands.ts';

/** Where trust material comes from: a file or directory, PEM or JSON text itself, or a URI, possibly pinned by digest. */
export type MaterialRef =
  | { readonly kind: 'file'; readonly path: string; readonly sha256?: HexDigest }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'uri'; readonly uri: string; readonly sha256?: HexDigest };

/** Exactly one method (OMS §4.1); the embedded public-good root is the default of the sigstore method only. */
export type TrustPlan =
  | { readonly kind: 'key'; readonly keys: NonEmpty<MaterialRef> }
  | {
      readonly kind: 'certificate';
      readonly certificates: NonEmpty<MaterialRef>;
      readonly timestampAuthorities: readonly MaterialRef[];
      readonly expired: 'refuse' | 'allow';
      /** Subjects or SANs, exact; empty: any signer below the anchors. */
      readonly identities: readonly string[];
    }
  | { readonly kind: 'sigstore'; readonly root: RootPlan; readonly signers: NonEmpty<SigstoreIdentity> };

export type RootPlan =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'trusted-root'; readonly ref: MaterialRef }
  | { readonly kind: 'trust-config'; readonly ref: MaterialRef }
  | { readonly kind: 'tuf'; readonly mirror?: string; readonly rootFile?: string; readonly cacheDir?: string };

/** Exact text, or a pattern that has to match the whole identity. */
export type SigstoreIdentity = {
  readonly identity: { readonly kind: 'exact'; readonly text: string } | { readonly kind: 'pattern'; readonly source: string };
  readonly issuer: string;
};
