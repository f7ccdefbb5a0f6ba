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

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among what this finds
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Text of unknown origin as one printable line: control characters, bidirectional controls and letters without a glyph are escaped (log and terminal injection). */
export function printable(text: string, maxLength = 2000): string {
  const safe = text.replace(INVISIBLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.length > maxLength ? `${safe.slice(0, maxLength)}…` : safe;
}
