// SPDX-License-Identifier: Apache-2.0
import type { KeyObject } from 'node:crypto';
import type { Brand, HexDigest, NonEmpty } from '../base/brands.ts';
import type { Method, ParsedBundle } from '../oms/bundle.ts';
import type { SignerClaims } from './claimNames.ts';

/** A public key the caller gave. `fingerprint` is the SHA-256 of its SubjectPublicKeyInfo as PEM text, as bundles write it into `hint`. */
export type TrustedKey = { readonly key: KeyObject; readonly curve: Curve; readonly fingerprint: HexDigest };

export type Curve = 'P-256' | 'P-384' | 'P-521';

/**
 * Whom the caller trusts: one method, several anchors of it.
 * `anchors` and `timestampAuthorities` are DER certificates; `helpers` only complete paths and are never believed.
 */
export type TrustAnchors =
  | { readonly kind: 'key'; readonly keys: NonEmpty<TrustedKey>; readonly timestampAuthorities?: readonly Buffer[] }
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

/** A time at which the signature existed, and who vouches for that. It says "not later than". */
export type SigningTime = { readonly source: 'log' | 'timestamp'; readonly at: Date };

/** The key of a certificate; `fingerprint` as of a TrustedKey. */
export type SigningKey = { readonly fingerprint: HexDigest; readonly curve: Curve };

/** Who made the signature: established facts, for policy and evidence. */
export type Signer =
  | { readonly kind: 'key'; readonly fingerprint: HexDigest; readonly curve: Curve; readonly times?: readonly SigningTime[] }
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
      readonly times?: readonly SigningTime[];
      readonly key?: SigningKey;
      /** Extended key usages, as object identifiers. */
      readonly purposes?: readonly string[];
    }
  | {
      readonly kind: 'sigstore';
      readonly identity: string;
      readonly issuer: string;
      readonly times: readonly SigningTime[];
      readonly logs: readonly { readonly logId: string; readonly logIndex: string }[];
      readonly root: string;
      readonly key?: SigningKey;
      readonly claims?: SignerClaims;
    }
  /** In warn mode only: nobody who is trusted. Matches no rule. */
  | { readonly kind: 'nobody'; readonly method: Method };

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
