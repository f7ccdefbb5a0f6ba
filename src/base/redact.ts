// SPDX-License-Identifier: Apache-2.0

/** A URI without user info, with the values of its query string masked: what may stand in logs, reports and errors. */
export function redactUri(uri: string): string {
  const query = uri.indexOf('?');
  const fragment = uri.indexOf('#');
  const end = [query, fragment].filter((i) => i >= 0).reduce((a, b) => Math.min(a, b), uri.length);
  const base = uri.slice(0, end).replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
  return printable(query >= 0 && query === end ? `${base}?<redacted>` : base);
}

/** Text of unknown origin as one printable line: control characters and bidirectional overrides are escaped (log and terminal injection). */
export function printable(text: string, maxLength = 2000): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.length > maxLength ? `${safe.slice(0, maxLength)}…` : safe;
}
