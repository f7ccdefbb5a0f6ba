// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Brand, ByteRange, HexDigest, NonEmpty } from '../base/brands.ts';
import type { Signer } from '../trust/trust.ts';
import type { ModelPath } from './path.ts';

/** OMS algorithm registry: name → digest length in bytes. `blake2b` is BLAKE2b-512. */
export const HASH_BYTES = { sha256: 32, blake2b: 64, blake3: 32 } as const;
export type HashAlgorithm = keyof typeof HASH_BYTES;

/** A stretch of a file with its own digest: the whole file, or one shard (OMS §6.3). */
export type Part = { readonly range: ByteRange | 'whole'; readonly digest: HexDigest };

/** `sizeBytes` is known for shards only: the manifest of whole files says nothing of lengths. */
export type ManifestFile = {
  readonly path: ModelPath;
  readonly algorithm: HashAlgorithm;
  readonly parts: NonEmpty<Part>;
  readonly sizeBytes?: number;
};

/** What the signer listed. Minted by statement.ts from a verified payload, and nowhere else. */
export type Manifest = Brand<
  {
    readonly files: NonEmpty<ManifestFile>;
    readonly predicateType: string;
    readonly method: 'files' | 'shards';
    readonly algorithm: HashAlgorithm;
    readonly shardSizeBytes?: number;
    /** Recorded ignore paths, harmless ones only: canonical and below the root. */
    readonly ignored: readonly ModelPath[];
    readonly symlinks: 'reject' | 'follow';
    readonly rootDigest: HexDigest;
    /** Information, never a selector (OMS §6.5). */
    readonly subjectName: string;
    readonly signer: Signer;
  },
  'Manifest'
>;

/** Left out at the model's top level, whether recorded or not (OMS §6.2). */
export const GIT_PATHS = ['.git', '.gitignore', '.gitattributes', '.github'] as const;

/** SHA-256 over the raw digests in listed order (OMS §6.5.1). It binds content and order; names only the signature binds. */
export function rootDigest(digests: Iterable<string>): HexDigest {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(digest, 'hex');
  return hash.digest('hex') as HexDigest;
}

/** Whether `path`, or a directory above it, is one of `ignored` (OMS §6.2.1); at the same cost however many there are: a signer chooses their number. */
export function isIgnored(path: string, ignored: ReadonlySet<string>): boolean {
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    if (ignored.has(path.slice(0, slash))) return true;
  }
  return ignored.has(path);
}

/**
 * The manifest of a signed archive with its members in place of the archive: the signature binds them through its digest. What the signer
 * recorded of a directory (ignored paths, links) has no meaning here.
 */
export function replaceByMembers(manifest: Manifest, members: NonEmpty<ManifestFile>): Manifest {
  const { shardSizeBytes: _, ...rest } = manifest;
  return { ...rest, method: 'files', algorithm: 'sha256', ignored: [], symlinks: 'reject', files: members };
}

/** A single-file model's manifest with its file under `basename`, in place of the '.' that the reference writes. */
export function nameSingleFile(manifest: Manifest, basename: ModelPath): Manifest {
  const [file] = manifest.files;
  return { ...manifest, files: [{ ...file, path: basename }] };
}
