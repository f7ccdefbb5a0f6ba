// SPDX-License-Identifier: Apache-2.0

/**
 * An RFC 4514 distinguished name from what node:crypto prints: one RDN a line, least specific first. OpenSSL has already
 * escaped separators and control characters in the values.
 */
export function distinguishedName(lines: string): string {
  return lines.split('\n').reverse().join(',').replaceAll(' + ', '+');
}
