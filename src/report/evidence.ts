// SPDX-License-Identifier: Apache-2.0

import type { SerialisedError } from '../base/errors.ts';
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
  files: readonly FileEvidence[];
  notRequested: readonly string[];
  readonly warnings: string[];
  ms?: number;
  verdict: 'verified' | 'refused' | 'failed' | 'unfinished';
  error?: SerialisedError;
};

/** The whole run. */
export type Evidence = {
  readonly startedAt: Date;
  /** How the trust was set up, for people: 'key', or the trusted root's description. */
  trust?: { readonly method: string; readonly anchors: readonly string[] };
  readonly models: ModelEvidence[];
  readonly relaxations: readonly string[];
};

export function startEvidence(relaxations: readonly string[], now: Date): Evidence {
  return { startedAt: now, models: [], relaxations };
}
