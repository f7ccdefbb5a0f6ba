// SPDX-License-Identifier: Apache-2.0
import type { HexDigest, NonEmpty } from '../base/brands.ts';
import type { FormatPolicy } from '../formats/judge.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';
import type { ModelPath } from '../oms/path.ts';
import type { SourceSettings } from '../source/source.ts';
import type { Foreign } from './foreign.ts';
import type { MaterialRef, RootPlan, TrustPlan } from './trust.ts';
import type { SourceSpec } from './uri.ts';

/** A URI as given (may hold secrets in its query: never print it) and taken apart. */
export type Address = { readonly uri: string; readonly spec: SourceSpec };

/** What both commands decide before any work. Times in ms, sizes in bytes. */
export type GatePlan = {
  /** Absent: a policy says whom to trust. */
  readonly trust?: TrustPlan;
  readonly policy?: MaterialRef;
  readonly narrowing: Narrowing;
  /** Absent: looked for beside the model. */
  readonly bundle?: Address;
  readonly source: SourceSettings;
  /** Canonical names below the model root; the caller's, not the signer's. */
  readonly ignorePaths: readonly ModelPath[];
  readonly ignoreGitPaths: boolean;
  readonly unsignedFiles: 'refuse' | 'ignore';
  /** `recorded`: as the signer recorded it (OMS §6.1.1); `allow`: also where he did not. */
  readonly symlinks: 'recorded' | 'allow';
  /** Root digests of which the model must have one; empty: any. */
  readonly expectDigests: readonly HexDigest[];
  /** Globs over manifest names; empty include: all. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** The same in KServe's words: fnmatch patterns. */
  readonly patterns: Foreign['patterns'];
  readonly limits: {
    readonly bundleBytes: number;
    readonly entries: number;
    readonly fileBytes: number;
    /** Of an archive, in all; and per byte of the archive. */
    readonly unpackedBytes: number;
    readonly unpackRatio: number;
  };
  /** What happens to a model that is one archive. */
  readonly archives: 'unpack' | 'keep';
  readonly timeoutMs?: number;
  readonly connections: number;
  /** Names of the settings that make the check weaker than the default; they stand in every report. */
  readonly relaxations: readonly string[];
};

/** Short flags of policies; times as written. */
export type Narrowing = {
  readonly modelName?: string;
  readonly mode: 'enforce' | 'warn' | 'off';
  readonly signedAfter?: string;
  readonly requireTimestamp: boolean;
  readonly formats?: FormatPolicy;
};

export const NO_NARROWING: Narrowing = { mode: 'enforce', requireTimestamp: false };

export type PullPlan = GatePlan & {
  readonly command: 'pull';
  readonly models: NonEmpty<{ readonly source: Address; readonly destination: string }>;
  readonly replace: boolean;
  readonly prune: boolean;
  readonly keepBundle: boolean;
  /** SHA-256 that the one object of a single-file model must have, besides being signed. */
  readonly objectDigest?: HexDigest;
};

export type VerifyPlan = GatePlan & {
  readonly command: 'verify';
  readonly model: Address & { readonly spec: Extract<SourceSpec, { kind: 'file' }> };
  /** The model is a snapshot of a Hugging Face cache, whose links lead into `blobs`. */
  readonly hubCache: boolean;
  /** Most bytes read in a second. */
  readonly maxRate?: number;
};

/** How often a model that stands is checked again, and what follows. Times in ms. */
export type WatchSettings = {
  readonly intervalMs: number;
  /** A check by the clock reads `of` slices of `parts`, the next ones each time. */
  readonly share: { readonly of: number; readonly parts: number };
  readonly pollMs: number;
  readonly graceMs: number;
  readonly onFailure:
    | { readonly kind: 'unready' }
    | { readonly kind: 'exit'; readonly failures: number }
    | { readonly kind: 'gateFile'; readonly path: string };
  readonly readiness: 'current' | 'sticky';
  /** Without `address`: all. */
  readonly health: { readonly port: number; readonly address?: string };
};

export type WatchPlan = WatchSettings & { readonly command: 'watch'; readonly check: VerifyPlan };

/** What the gate does: its answer decides whether a server starts. */
export type Plan = PullPlan | VerifyPlan;

/** How a model that nobody has signed yet is listed and hashed. */
export type MeasurePlan = {
  readonly model: Address & { readonly spec: Extract<SourceSpec, { kind: 'file' }> };
  readonly algorithm: HashAlgorithm;
  /** Present: shards of this many bytes in place of whole files. */
  readonly shardSizeBytes?: number;
  readonly ignorePaths: readonly ModelPath[];
  readonly ignoreGitPaths: boolean;
  readonly symlinks: 'reject' | 'follow';
  /** The bundle is no part of the model (OMS §6.2). `customary`: model.sig in the model, FILE.sig beside a single file. */
  readonly bundle: { readonly kind: 'customary' } | { readonly kind: 'path'; readonly path: string } | { readonly kind: 'none' };
  /** What a single-file model's file is called: its name (OMS §6.1.2(5)), or '.' as the reference does. */
  readonly singleFile: 'basename' | 'dot';
  readonly source: SourceSettings;
  readonly limits: { readonly entries: number; readonly fileBytes: number };
  readonly timeoutMs?: number;
};

/** A file, or the text itself. */
export type SecretRef = { readonly kind: 'file'; readonly path: string } | { readonly kind: 'text'; readonly text: string };

export type KeySignerPlan =
  | { readonly kind: 'key'; readonly privateKey: SecretRef; readonly password?: SecretRef }
  | {
      readonly kind: 'certificate';
      readonly privateKey: SecretRef;
      readonly password?: SecretRef;
      readonly certificate: SecretRef;
      readonly chain: readonly SecretRef[];
    };

/** `root`: the new bundle has to verify with it. */
export type KeylessSignerPlan = { readonly kind: 'sigstore'; readonly token: TokenPlan; readonly services: ServicesPlan; readonly root?: RootPlan };

export type SignerPlan = KeySignerPlan | KeylessSignerPlan;

/** Where the OIDC identity token of a keyless signer comes from. `given` wins over `ambient`, what a CI job provides for this `audience`. */
export type TokenPlan = { readonly given?: SecretRef; readonly ambient: 'use' | 'ignore'; readonly audience: string };

export type ServicesPlan =
  | { readonly kind: 'urls'; readonly fulcio: URL; readonly rekor: URL }
  | { readonly kind: 'signing-config' | 'trust-config'; readonly ref: MaterialRef };

/** `timestampUrl`: the RFC 3161 authority to ask, in place of those of a signing configuration. */
export type SignPlan = MeasurePlan & { readonly command: 'sign'; readonly signer: SignerPlan; readonly timestampUrl?: URL };
export type DigestPlan = MeasurePlan & { readonly command: 'digest'; readonly json: boolean };

/** Without `trust` nothing of the bundle is believed, and the output says so. */
export type InspectPlan = {
  readonly command: 'inspect';
  readonly bundle: Address;
  readonly trust?: TrustPlan;
  readonly source: SourceSettings;
  readonly limits: { readonly bundleBytes: number; readonly entries: number };
  readonly timeoutMs?: number;
  readonly json: boolean;
};

/** Which files are looked into, and what they may be. */
export type ScanPlan = Pick<MeasurePlan, 'model' | 'ignorePaths' | 'ignoreGitPaths' | 'source' | 'timeoutMs'> & {
  readonly command: 'scan';
  readonly formats: FormatPolicy;
  readonly limits: { readonly entries: number };
  readonly json: boolean;
};

/** `path`: of the JSON report. Without `output` the result goes to standard output. */
export type ReportPlan = {
  readonly command: 'report';
  readonly path: string;
  readonly form: 'text' | 'html';
  readonly output?: string;
  readonly timeoutMs?: number;
};

/** What people do beside the gate: no pod waits for it. */
export type ToolPlan = SignPlan | DigestPlan | InspectPlan | ScanPlan | ReportPlan;
