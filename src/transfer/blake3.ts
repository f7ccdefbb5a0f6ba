// SPDX-License-Identifier: Apache-2.0
import { createBLAKE3 } from 'hash-wasm';
import type { HexDigest } from '../base/brands.ts';
import type { Hasher } from './hash.ts';

/** BLAKE3 by WebAssembly. One instance is one state; parts of a file are hashed one after the other, so it is reused. */
export async function blake3Factory(): Promise<() => Hasher> {
  const wasm = await createBLAKE3();
  return () => {
    wasm.init();
    return { update: (bytes) => void wasm.update(bytes), digest: () => wasm.digest('hex') as HexDigest };
  };
}
