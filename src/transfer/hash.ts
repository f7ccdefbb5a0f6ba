// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { HexDigest } from '../base/brands.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';

export type Hasher = { update(bytes: Uint8Array): void; digest(): HexDigest };

/** Makes a fresh hasher. BLAKE3 needs a WebAssembly module to load, hence the promise; making more of them is then free of waiting. */
export async function hasherFactory(algorithm: HashAlgorithm): Promise<() => Hasher> {
  switch (algorithm) {
    case 'sha256':
      return () => opensslHasher('sha256');
    case 'blake2b':
      return () => opensslHasher('blake2b512');
    case 'blake3':
      return (await import('./blake3.ts')).blake3Factory();
  }
}

function opensslHasher(name: string): Hasher {
  const hash = createHash(name);
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') as HexDigest };
}
