// SPDX-License-Identifier: Apache-2.0

/** For http, URL parsers take backslashes, and any number of slashes, for the two. */
const SCHEME = String.raw`\s*(?:(?:oms\+)?https?:[\\/]*|[a-z][a-z0-9+.-]*:\/\/)`;
const USER_INFO = new RegExp(String.raw`^(${SCHEME})[^\\/?#]*@([^\\/?#]*)(.*)$`, 'is');
/** What follows host: is no port, so it is a password that a '/', '?' or '#' tears apart (S3 secrets hold slashes). */
const TORN_USER_INFO = new RegExp(String.raw`^(${SCHEME})[^\\/?#[]*:(?!\d*(?:[\\/?#]|$))`, 'i');

/** A URI without user info, with the values of its query string masked: what may stand in logs, reports and errors. */
export function redactUri(uri: string): string {
  const [, scheme, host, rest = ''] = USER_INFO.exec(uri) ?? [];
  // Behind a second @ the password may go on: nobody can tell where it ends.
  if (rest.includes('@')) return printable(`${scheme}<redacted>`);
  const plain = scheme === undefined ? uri : `${scheme}${host}${rest}`;
  const [, torn] = TORN_USER_INFO.exec(plain) ?? [];
  if (torn !== undefined) return printable(`${torn}<redacted>`);
  const end = plain.search(/[?#]/);
  return printable(end < 0 ? plain : `${plain.slice(0, end)}${plain[end] === '?' ? '?<redacted>' : ''}`);
}

/** Text of unknown origin as one printable line: control characters and bidirectional overrides are escaped (log and terminal injection). */
export function printable(text: string, maxLength = 2000): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.length > maxLength ? `${safe.slice(0, maxLength)}…` : safe;
}
