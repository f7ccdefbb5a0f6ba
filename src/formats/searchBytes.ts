// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import type { Finding, Format } from './finding.ts';

const CHUNK_BYTES = 1024 * 1024;
/** Longer than anything that is looked for, but for its blanks. */
const OVERLAP_CHARS = 256;
/** In every place of a pattern there may be any number of blanks, or fewer than these. */
const MANY_BLANKS = /\s{64}/;

/** A format of which no structure is read: code is looked for in all of it, and what was not decompressed might have some. */
export async function judgeBySearch(source: ByteSource, format: Format, code: readonly RegExp[], detail: string): Promise<readonly Finding[]> {
  if (await searchBytes(source, code))
    return [
      { kind: 'format', format },
      { kind: 'format', format: 'remote-code', detail },
    ];
  if (source.readableBytes === undefined) return [{ kind: 'format', format }];
  return [
    { kind: 'format', format },
    { kind: 'malformed', format, detail: `needs more than the first ${source.readableBytes} decompressed bytes to be judged` },
  ];
}

/**
 * Whether one of the patterns stands anywhere in the bytes, read as Latin-1, with however many blanks it has. What was not decompressed is not
 * looked at.
 */
export async function searchBytes(source: ByteSource, patterns: readonly RegExp[]): Promise<boolean> {
  const end = source.readableBytes ?? source.sizeBytes;
  let before = '';
  for (let position = 0; position < end; position += CHUNK_BYTES) {
    const text = before + Buffer.from(await source.read(position, Math.min(CHUNK_BYTES, end - position))).toString('latin1');
    if (patterns.some((pattern) => pattern.test(text))) return true;
    before = tail(text);
  }
  return false;
}

/** What has to stand in front of the next piece, so that what reaches across is found. To patterns, many blanks are the same as more. */
function tail(text: string): string {
  const end = text.slice(-OVERLAP_CHARS);
  if (!MANY_BLANKS.test(end)) return end;
  return text.replace(/\s{64,}/g, ' '.repeat(64)).slice(-OVERLAP_CHARS);
}
