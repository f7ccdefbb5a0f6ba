// SPDX-License-Identifier: Apache-2.0

/** Up to the last @ of the authority. For http, URL parsers take backslashes, and any number of slashes, for the two. */
const USER_INFO = /^(\s*(?:(?:oms\+)?https?:[\\/]*|[a-z][a-z0-9+.-]*:\/\/))[^\\/]*@/i;
/** What follows host: is no port, so it is a password that a '/', '?' or '#' tears apart (S3 secrets hold slashes). */
const TORN_USER_INFO = /^(\s*[a-z][a-z0-9+.-]*:\/\/)[^\\/[]*:(?!\d*(?:[\\/]|$)).*$/is;

/** A URI without user info, with the values of its query string masked: what may stand in logs, reports and errors. */
export function redactUri(uri: string): string {
  const end = uri.search(/[?#]/);
  const base = (end < 0 ? uri : uri.slice(0, end)).replace(USER_INFO, '$1').replace(TORN_USER_INFO, '$1<redacted>');
  return printable(end >= 0 && uri[end] === '?' ? `${base}?<redacted>` : base);
}

/** Text of unknown origin as one printable line: control characters and bidirectional overrides are escaped (log and terminal injection). */
export function printable(text: string, maxLength = 2000): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.length > maxLength ? `${safe.slice(0, maxLength)}…` : safe;
}
