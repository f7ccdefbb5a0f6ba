// SPDX-License-Identifier: Apache-2.0
import type { KeyObject } from 'node:crypto';
import type { Brand, HexDigest, NonEmpty } from '../base/brands.ts';
import type { Method, ParsedBundle } from '../oms/bundle.ts';

/** A public key the caller gave. `fingerprint` is the SHA-256 of its SubjectPublicKeyInfo as PEM text, as bundles write it into `hint`. */
export type TrustedKey = { readonly key: KeyObject; readonly curve: Curve; readonly fingerprint: HexDigest };

export type Curve = 'P-256' | 'P-384' | 'P-521';

/**
 * Whom the caller trusts: one method, several anchors of it.
 * `anchors` and `timestampAuthorities` are DER certificates; `helpers` only complete paths and are never believed.
 */
export type TrustAnchors =
  | { readonly kind: 'key'; readonly keys: NonEmpty<TrustedKey> }
  | {
      readonly kind: 'certificate';
      readonly anchors: NonEmpty<Buffer>;
      readonly helpers: readonly Buffer[];
      readonly timestampAuthorities: readonly Buffer[];
      readonly expired: 'refuse' | 'allow';
    }
  | { readonly kind: 'sigstore'; readonly root: SigstoreRoot };

/** A Sigstore trusted root (JSON of dev.sigstore.trustroot.v1.TrustedRoot) and where it came from. */
export type SigstoreRoot = {
  readonly json: unknown;
  /** For people: 'embedded public-good instance of 2026-10-01', or the file's path. */
  readonly description: string;
  readonly date?: string;
};

/** Who made the signature: established facts, for policy and evidence. */
export type Signer =
  | { readonly kind: 'key'; readonly fingerprint: HexDigest; readonly curve: Curve }
  | {
      readonly kind: 'certificate';
      readonly subject: string;
      /** Subject alternative names, without their type prefix (e-mail addresses, URIs, DNS names). */
      readonly names: readonly string[];
      readonly issuer: string;
      readonly serial: string;
      readonly fingerprint: HexDigest;
      readonly anchor: string;
      readonly notBefore: Date;
      readonly notAfter: Date;
      /** The time at which the path was checked, and what vouches for it. */
      readonly checkedAt: Date;
      readonly timeSource: 'clock' | 'timestamp' | 'notBefore';
    }
  | {
      readonly kind: 'sigstore';
      readonly identity: string;
      readonly issuer: string;
      /** Times of signing that a log or a timestamp authority vouches for. */
      readonly times: readonly { readonly source: 'log' | 'timestamp'; readonly at: Date }[];
      readonly logs: readonly { readonly logId: string; readonly logIndex: string }[];
      readonly root: string;
    };

/** The exact bytes a trusted signer signed. Only this folder mints it, after the signature held. */
export type VerifiedPayload = Brand<
  {
    readonly bytes: Buffer;
    readonly signer: Signer;
    /** The encoding the signature is over; 'v0.2.0' is the defective one of that version. */
    readonly encoding: 'DSSEv1' | 'v0.2.0';
  },
  'VerifiedPayload'
>;

type AnchorsOf<K extends Method> = Extract<TrustAnchors, { kind: K }>;
type BundleOf<K extends Method> = ParsedBundle & { readonly material: Extract<ParsedBundle['material'], { kind: K }> };
export type SignatureVerifier<K extends Method> = (bundle: BundleOf<K>, anchors: AnchorsOf<K>, now: Date) => Promise<VerifiedPayload>;

/** For the method modules only: call it once the signature over `bytes` has held. */
export function mintVerifiedPayload(facts: Omit<VerifiedPayload, '__brand'>): VerifiedPayload {
  return facts as VerifiedPayload;
}
