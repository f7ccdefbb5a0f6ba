// SPDX-License-Identifier: Apache-2.0
import type { HexDigest, NonEmpty } from '../base/brands.ts';
import type { FormatPolicy } from '../formats/judge.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';
import type { Curve } from '../trust/trust.ts';
import type { SourcePattern } from './match.ts';
import type { TextPattern } from './pattern.ts';

export const POLICY_VERSION = 'model-gate/policy/v1';

/** `warn`: what would be refused is let through and told; `off`: not even looked at, where that is possible. */
export type Mode = 'enforce' | 'warn' | 'off';

/** Strictness of modes, weakest first. */
export const MODES = ['off', 'warn', 'enforce'] as const satisfies readonly Mode[];

/**
 * A policy file. First matching rule decides; without one the model is refused. `checks` hold for every rule, besides its own.
 * Materials (keys, roots) are as written: a path, PEM text or a URI.
 */
export type Policy = {
  readonly mode: Mode;
  readonly signers: ReadonlyMap<string, SignerSpec>;
  /** Who may date signatures of the key and certificate methods. */
  readonly timestampAuthorities: readonly Material[];
  /** Servers besides the standard ones of which s3:// and hf:// names may be asked; undefined: not said. */
  readonly endpoints: readonly string[] | undefined;
  /** Options that make the check weaker and are tolerated all the same, without their dashes. */
  readonly relaxations: readonly string[];
  readonly checks: Checks;
  readonly rules: NonEmpty<Rule>;
};

export type Rule = {
  readonly name: string;
  /** Any of these; empty: any source. */
  readonly sources: readonly SourcePattern[];
  /** The operator's own --model-name; undefined: any. Never a value out of the bundle. */
  readonly modelNames: readonly string[] | undefined;
  /** Undefined: the policy's mode. */
  readonly mode: Mode | undefined;
  /** Undefined: no signers of its own, which no file can say. */
  readonly require: Requirement | undefined;
  /** Names of further bundles in the model, besides the one that is found anyway. */
  readonly bundles: readonly string[];
  readonly checks: Checks;
};

/** Names of signers, combined. `threshold` counts distinct signers: each of `of` can be satisfied by somebody else. */
export type Requirement =
  | { readonly kind: 'signer'; readonly signer: string }
  | { readonly kind: 'anyOf' | 'allOf'; readonly of: NonEmpty<Requirement> }
  | { readonly kind: 'threshold'; readonly atLeast: number; readonly of: NonEmpty<NonEmpty<string>> };

/** A material and where the policy says so, for messages. */
export type Material = { readonly value: string; readonly where: string };

export type SignerSpec =
  | { readonly kind: 'key'; readonly keys: NonEmpty<Material> }
  | {
      readonly kind: 'certificate';
      readonly roots: NonEmpty<Material>;
      /** Subject alternative names, exactly; any of them. */
      readonly names: readonly string[];
      /** RFC 4514 subjects, exactly; any of them. */
      readonly subjects: readonly string[];
      /** Extended key usages (OIDs) the certificate must list, all of them. */
      readonly purposes: readonly string[];
    }
  | {
      readonly kind: 'sigstore';
      readonly identity: TextPattern;
      readonly issuer: string;
      readonly claims: ReadonlyMap<string, TextPattern>;
      readonly root: { readonly kind: 'embedded' | 'tuf' } | { readonly kind: 'trusted-root' | 'trust-config'; readonly material: Material };
    };

/** What has to hold besides the signers. Times in ms, sizes in bytes; undefined: not asked. */
export type Checks = {
  readonly allowDigests: readonly HexDigest[] | undefined;
  readonly denyDigests: readonly { readonly digest: HexDigest; readonly reason: string }[];
  readonly signedAfter: Date | undefined;
  readonly maxAgeMs: number | undefined;
  /** The signed subject name, exactly. */
  readonly name: string | undefined;
  readonly transparencyLog: boolean;
  readonly timestamp: boolean;
  readonly hashes: readonly HashAlgorithm[] | undefined;
  readonly keyTypes: readonly Curve[] | undefined;
  readonly files: FileChecks;
  readonly formats: FormatPolicy | undefined;
};

/** Globs are on whole names, signed or not. `undefined`: nothing said, which is the strict default. */
export type FileChecks = {
  readonly allow: readonly string[] | undefined;
  readonly deny: readonly string[];
  readonly maxFileBytes: number | undefined;
  readonly maxTotalBytes: number | undefined;
  readonly maxCount: number | undefined;
  readonly unsigned: 'refuse' | 'ignore' | undefined;
  /** `recorded`: as the signer recorded it; `allow`: --allow-symlinks is tolerated. */
  readonly symlinks: 'refuse' | 'recorded' | 'allow' | undefined;
};

export const NO_CHECKS: Checks = {
  allowDigests: undefined,
  denyDigests: [],
  signedAfter: undefined,
  maxAgeMs: undefined,
  name: undefined,
  transparencyLog: false,
  timestamp: false,
  hashes: undefined,
  keyTypes: undefined,
  files: { allow: undefined, deny: [], maxFileBytes: undefined, maxTotalBytes: undefined, maxCount: undefined, unsigned: undefined, symlinks: undefined },
  formats: undefined,
};
