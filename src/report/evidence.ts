// SPDX-License-Identifier: Apache-2.0

import type { ErrorCode, SerialisedError } from '../base/errors.ts';
import type { FileOrigin } from '../base/events.ts';
import type { Manifest, Part } from '../oms/manifest.ts';
import type { Signer } from '../trust/trust.ts';

/** A file that was verified, with what its source said of it. */
export type FileEvidence = {
  readonly path: string;
  readonly algorithm: string;
  readonly parts: readonly Part[];
  readonly sizeBytes: number;
  readonly origin: FileOrigin;
  readonly etag?: string;
  readonly versionId?: string;
  readonly lastModified?: string;
};

/** How one layer (floor, policy, flags) decided. `rule` undefined: none was about the model. */
export type DecisionEvidence = {
  readonly layer: string;
  readonly rule?: string;
  readonly mode: 'enforce' | 'warn' | 'off';
  readonly verdict: 'allow' | 'deny' | 'off';
  readonly findings: readonly { readonly code: ErrorCode; readonly message: string }[];
};

/** One bundle that was looked at: who signed it, and what became of it. */
export type SignatureEvidence = {
  readonly bundle: string;
  readonly sha256?: string;
  readonly signer?: Signer;
  /** `counted`: over the manifest that was judged; `otherManifest`: genuine, but over another one; `rejected`: nobody's, or nobody wanted. */
  readonly verdict: 'counted' | 'otherManifest' | 'rejected';
  /** Signers of the policies that this is, as layer and name. */
  readonly satisfies: readonly string[];
  readonly problems: readonly string[];
};

/** What a file was recognised as by its content; judged only where a rule asked for it. */
export type FormatEvidence = { readonly path: string; readonly formats: readonly string[] };

/** What is known of one model so far: it grows while the pipeline runs, so that a failure still tells what was established before it. */
export type ModelEvidence = {
  readonly source: string;
  readonly destination?: string;
  readonly startedAt: Date;
  bundle?: { readonly uri: string; readonly sha256: string; readonly sizeBytes: number };
  signer?: Signer;
  /** The archive the files come from, and whether the manifest covers it as a whole or its members one by one. */
  archive?: { readonly signed: 'whole' | 'members'; readonly file: FileEvidence };
  manifest?: Pick<Manifest, 'rootDigest' | 'predicateType' | 'method' | 'algorithm' | 'subjectName'> & { readonly files: number };
  decisions?: readonly DecisionEvidence[];
  signatures?: readonly SignatureEvidence[];
  /** What a mode other than enforce let through. */
  waived?: { readonly code: ErrorCode; readonly message: string }[];
  formats?: readonly FormatEvidence[];
  files: readonly FileEvidence[];
  notRequested: readonly string[];
  readonly warnings: string[];
  ms?: number;
  verdict: 'verified' | 'warned' | 'skipped' | 'refused' | 'failed' | 'unfinished';
  error?: SerialisedError;
};

/** The whole run. */
export type Evidence = {
  readonly startedAt: Date;
  /** How the trust was set up, for people: 'key', or the trusted root's description. */
  trust?: { readonly method: string; readonly anchors: readonly string[] };
  /** The policies in force, with the SHA-256 of their text. */
  policies?: readonly { readonly layer: string; readonly name: string; readonly sha256?: string }[];
  readonly models: ModelEvidence[];
  relaxations: readonly string[];
};

export function startEvidence(relaxations: readonly string[], now: Date): Evidence {
  return { startedAt: now, models: [], relaxations };
}
