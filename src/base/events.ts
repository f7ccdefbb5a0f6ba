// SPDX-License-Identifier: Apache-2.0
import type { HexDigest } from './brands.ts';
import type { ErrorCode, SerialisedError } from './errors.ts';

/** How a file came to be verified: fetched now, out of an archive, found right in the destination, found right in an earlier staging, read in place, or read in place by an earlier check and, by all that the file system says, unchanged since. */
export type FileOrigin = 'fetched' | 'unpacked' | 'kept' | 'resumed' | 'inPlace' | 'unchanged';

/** Everything worth telling while it happens. Outside text (names, URIs) is already printable and free of secrets. */
export type Event =
  | { readonly kind: 'modelStart'; readonly source: string; readonly destination?: string }
  | { readonly kind: 'bundleFound'; readonly uri: string; readonly sizeBytes: number }
  | { readonly kind: 'signatureVerified'; readonly signer: string; readonly method: string }
  | { readonly kind: 'manifestRead'; readonly files: number; readonly totalBytes?: number; readonly rootDigest: HexDigest; readonly predicateType: string }
  /** Without `files`, the archive alone says what is in it. */
  | { readonly kind: 'unpacking'; readonly archive: string; readonly sizeBytes: number; readonly files?: number }
  | { readonly kind: 'treeRead'; readonly source: string; readonly files: number; readonly totalBytes: number }
  | { readonly kind: 'sizeKnown'; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'fileRetried'; readonly path: string; readonly attempt: number; readonly error: SerialisedError }
  | { readonly kind: 'fileDone'; readonly path: string; readonly sizeBytes: number; readonly origin: FileOrigin }
  | { readonly kind: 'published'; readonly destination: string; readonly files: number }
  | {
      readonly kind: 'modelDone';
      readonly source: string;
      readonly files: number;
      readonly totalBytes: number;
      readonly ms: number;
      readonly rootDigest: HexDigest;
    }
  | {
      readonly kind: 'modelSigned';
      readonly source: string;
      readonly bundle: string;
      readonly signer: string;
      readonly files: number;
      readonly totalBytes: number;
      readonly ms: number;
      readonly rootDigest: HexDigest;
    }
  /** Of watch: its endpoints answer; and /ready does so with 200 from now on. */
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'warning'; readonly message: string }
  /** A policy in warn mode let through what it would have refused. */
  | { readonly kind: 'waived'; readonly code: ErrorCode; readonly message: string; readonly rule: string }
  | { readonly kind: 'ruleDecided'; readonly layer: string; readonly rule?: string; readonly mode: string }
  /** `exitCode`: where it is not the one of the reason alone (which signal it was, a drop-in’s own codes). */
  | { readonly kind: 'failed'; readonly error: SerialisedError; readonly exitCode?: number };

export type Emit = (event: Event) => void;
