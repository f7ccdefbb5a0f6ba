// SPDX-License-Identifier: Apache-2.0

/** Pieces of this size stay in a core's cache from being received or read to being hashed, and the calls for each cost little (docs/performance.md). */
export const PIECE_BYTES = 512 * 1024;

/** Where malloc puts large pieces: so many bytes behind the start of a page... */
const MALLOC_BYTES = 16;
/** ...and a line of a core's cache. */
const LINE_BYTES = 64;
/** Where in a large piece of memory the first line begins: pieces to copy into are so much longer and begin there. */
export const FIRST_LINE = LINE_BYTES - MALLOC_BYTES;

/**
 * Memory for the kernel to copy whole pages into and out of, which begins with a line of the cache. Just behind the start of a page, each
 * load would wait for the store before it, whose address looks the same in its last 12 bits: reading from the page cache takes nearly twice as
 * long there (docs/performance.md).
 */
export function copyBuffer(sizeBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(FIRST_LINE + sizeBytes).subarray(FIRST_LINE);
}
