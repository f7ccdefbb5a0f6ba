// SPDX-License-Identifier: Apache-2.0
import type { ByteRange } from '../base/brands.ts';
import { printable } from '../base/redact.ts';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** A header that must not occur twice: undefined when absent or repeated. */
export function headerOf(headers: ResponseHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

/** The ETag where it is strong: equal only for equal bytes (RFC 9110 §8.8.3). */
export function strongEtag(headers: ResponseHeaders): string | undefined {
  const etag = headerOf(headers, 'etag');
  return etag !== undefined && /^"[\x21\x23-\x7e]{1,1024}"$/.test(etag) ? etag : undefined;
}

/** What the source says of the object besides its bytes, for reports. */
export function objectFacts(headers: ResponseHeaders): { readonly etag?: string; readonly versionId?: string; readonly lastModified?: string } {
  const etag = strongEtag(headers);
  const version = headerOf(headers, 'x-amz-version-id');
  const modified = headerOf(headers, 'last-modified');
  return {
    ...(etag !== undefined && { etag }),
    // An unversioned object of a versioned bucket has the version 'null'.
    ...(version !== undefined && version !== 'null' && { versionId: printable(version, 1024) }),
    ...(modified !== undefined && { lastModified: printable(modified, 64) }),
  };
}

/** The commit a Hugging Face hub serves a file of. */
export function hubCommit(headers: ResponseHeaders): string | undefined {
  const commit = headerOf(headers, 'x-repo-commit');
  return commit !== undefined && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(commit) ? commit : undefined;
}

/** Content-Length; undefined when absent, NaN when it is no number. */
export function contentLength(headers: ResponseHeaders): number | undefined {
  if (headers['content-length'] === undefined) return undefined;
  const value = headerOf(headers, 'content-length') ?? '';
  return /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
}

/** `bytes 0-99/200`: the range (end exclusive) and the length of the whole, undefined for `*`. */
export function contentRange(headers: ResponseHeaders): { readonly range: ByteRange; readonly total: number | undefined } | undefined {
  const parts = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/.exec(headerOf(headers, 'content-range') ?? '');
  if (parts === null) return undefined;
  const range = { start: Number(parts[1]), end: Number(parts[2]) + 1 };
  const total = parts[3] === undefined ? undefined : Number(parts[3]);
  return range.start < range.end && (total === undefined || range.end <= total) ? { range, total } : undefined;
}
