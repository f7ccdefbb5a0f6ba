// SPDX-License-Identifier: Apache-2.0
import type { ResponseHeaders } from './httpHeaders.ts';

/** A head that announces a body of a known length, sent as it is stored; or no object at all. */
export type ResponseHead = {
  readonly status: number;
  /** Names in lower case; a name that occurs twice has a list. */
  readonly headers: ResponseHeaders;
  /** `open`: an answer that is not the object, and says in some other way where it ends. */
  readonly bodyBytes: number | 'open';
  /** Whether another request may follow on the connection. */
  readonly keepAlive: boolean;
  /** Length of the head itself, the empty line included. */
  readonly headBytes: number;
};

const END = Buffer.from('\r\n\r\n');
const STATUS_LINE = /^HTTP\/1\.1 ([2-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;
const MAX_FIELDS = 200;

/**
 * Reads the head of an HTTP/1.1 response (RFC 9112) if it is of the plainest kind. Everything that has a subtle rule (chunks, codings,
 * interim answers, bodies that end with the connection, folded lines, lengths said twice) is `unusual`: the HTTP library's business.
 * `undefined`: not all of it is there yet.
 */
export function parseHead(bytes: Buffer): ResponseHead | 'unusual' | undefined {
  const end = bytes.indexOf(END);
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(STATUS_LINE.exec(statusLine)?.[1]);
  if (!Number.isInteger(status) || lines.length > MAX_FIELDS) return 'unusual';

  const headers: Record<string, string | string[]> = Object.create(null);
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) return 'unusual';
    const key = name.toLowerCase();
    const before = headers[key];
    headers[key] = before === undefined ? value : [before, value].flat();
  }
  if (headers['upgrade'] !== undefined) return 'unusual';
  const head = { status, headers, headBytes: end + END.length };
  if (status === 204 || status === 304) return { ...head, bodyBytes: 0, keepAlive: false };
  const length = headers['content-length'];
  const plain =
    typeof length === 'string' &&
    /^\d{1,15}$/.test(length) &&
    headers['transfer-encoding'] === undefined &&
    (headers['content-encoding'] ?? 'identity') === 'identity';
  // Of what is not the object, only a message is wanted: servers send these in chunks more often than not.
  if (!plain) return status < 300 ? 'unusual' : { ...head, bodyBytes: 'open', keepAlive: false };
  const connection = headers['connection'] ?? 'keep-alive';
  return { ...head, bodyBytes: Number(length), keepAlive: /^keep-alive$/i.test(connection.toString()) };
}
