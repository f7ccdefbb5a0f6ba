// SPDX-License-Identifier: Apache-2.0

/**
 * An RFC 4514 distinguished name from what node:crypto prints: one RDN a line, least specific first. OpenSSL has already
 * escaped separators and control characters in the values. For an empty name (keyless certificates have one) node gives
 * undefined, whatever its types say.
 */
export function distinguishedName(lines: string | undefined): string {
  return (lines ?? '').split('\n').reverse().join(',').replaceAll(' + ', '+');
}
