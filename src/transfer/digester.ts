// SPDX-License-Identifier: Apache-2.0
import type { HashAlgorithm, Part } from '../oms/manifest.ts';
import type { ModelPath } from '../oms/path.ts';
import { type Hasher, hasherFactory } from './hash.ts';

/** A file whose digests are wanted: nobody has signed it yet. */
export type UnsignedFile = {
  readonly path: ModelPath;
  readonly algorithm: HashAlgorithm;
  /** Present: one digest for each stretch of this many bytes. */
  readonly shardSizeBytes?: number;
};

/** The checker's counterpart: hashes one file's bytes as they pass, and says what they are. */
export type Digester = {
  /** Bytes in file order. */
  update(bytes: Uint8Array): void;
  /** After the last byte. A file of zero bytes has one part as a whole, and no shards (OMS §6.3.2(1)). */
  finish(): readonly Part[];
};

export async function createDigester({ algorithm, shardSizeBytes }: UnsignedFile): Promise<Digester> {
  const newHasher = await hasherFactory(algorithm);
  let hasher: Hasher = newHasher();
  if (shardSizeBytes === undefined) return { update: (bytes) => hasher.update(bytes), finish: () => [{ range: 'whole', digest: hasher.digest() }] };

  const parts: Part[] = [];
  let start = 0;
  let position = 0;
  function closeShard(): void {
    parts.push({ range: { start, end: position }, digest: hasher.digest() });
    start = position;
    hasher = newHasher();
  }
  return {
    update(bytes) {
      for (let offset = 0; offset < bytes.length; ) {
        const take = Math.min(bytes.length - offset, start + shardSizeBytes - position);
        hasher.update(bytes.subarray(offset, offset + take));
        offset += take;
        position += take;
        if (position === start + shardSizeBytes) closeShard();
      }
    },
    finish() {
      if (position > start) closeShard();
      return parts;
    },
  };
}
