// SPDX-License-Identifier: Apache-2.0

/** A brand marks a property that only the minting function can vouch for. */
export type Brand<T, B extends string> = T & { readonly __brand: B };

export type NonEmpty<T> = readonly [T, ...T[]];

/** Lower-case hexadecimal digest, without algorithm prefix. */
export type HexDigest = Brand<string, 'HexDigest'>;

/** Byte offsets, end exclusive. */
export type ByteRange = { readonly start: number; readonly end: number };

export function isNonEmpty<T>(list: readonly T[]): list is NonEmpty<T> {
  return list.length > 0;
}

const HEX = /^(?:[0-9a-f]{2})+$/;

/** Lower-case hex of exactly `bytes` bytes, or undefined. */
export function hexDigest(text: string, bytes: number): HexDigest | undefined {
  return text.length === bytes * 2 && HEX.test(text) ? (text as HexDigest) : undefined;
}

export function toHexDigest(digest: Buffer): HexDigest {
  return digest.toString('hex') as HexDigest;
}
