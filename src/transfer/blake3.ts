// SPDX-License-Identifier: Apache-2.0
// A module of its own, so that only manifests with BLAKE3 digests load the WebAssembly.
export { createBLAKE3 } from 'hash-wasm';
