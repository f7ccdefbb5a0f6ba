// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import type { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Member } from './archive.ts';
import { CHUNK_BYTES, inflate, invalid, malformed, readRange } from './bytes.ts';
import type { Meter } from './meter.ts';
import { findPaxProblem, unsupported } from './pax.ts';

const BLOCK_BYTES = 512;
const GZIP = Buffer.from([0x1f, 0x8b]);

/** ustar, PAX and GNU tar, plain or in gzip. What follows the end mark is not looked at, as everywhere. */
export async function* readTar(file: FileHandle, sizeBytes: number, meter: Meter): AsyncGenerator<Member> {
  const blocks = wholeBlocks(await openStream(file, sizeBytes), meter);
  const parser = createParser(blocks);
  try {
    for (let count = 1; ; count++) {
      const entry = await parser.next();
      if (entry === undefined) return;
      meter.members(count);
      yield memberOf(entry, parser);
      // What nobody wanted has to be passed over, or the parser waits for ever.
      const rest = readBody(entry, parser);
      while ((await rest.next()).done !== true);
    }
  } finally {
    await blocks.return(undefined);
  }
}

async function openStream(file: FileHandle, sizeBytes: number): Promise<AsyncIterable<Buffer>> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(GZIP.length), 0, GZIP.length, 0);
  const bytes = readRange(file, 0, sizeBytes);
  return buffer.subarray(0, bytesRead).equals(GZIP) ? inflate(bytes, createGunzip({ chunkSize: CHUNK_BYTES })) : bytes;
}

/** The parser decodes the pieces of a long name one by one: with whole blocks, names of less than a block come in one piece. */
async function* wholeBlocks(chunks: AsyncIterable<Buffer>, meter: Meter): AsyncGenerator<Buffer, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  for await (const chunk of chunks) {
    meter.unpacked(chunk.length);
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = bytes.length - (bytes.length % BLOCK_BYTES);
    rest = bytes.subarray(end);
    if (end === 0) continue;
    // The parser would inflate it by itself, and nobody would count.
    if (!started && bytes.subarray(0, GZIP.length).equals(GZIP)) throw invalid('is compressed twice');
    started = true;
    yield bytes.subarray(0, end);
  }
  if (rest.length > 0) throw invalid('does not end with a whole block: it is damaged, or no tar');
}

type PullParser = {
  /** Undefined at the end. */
  next(): Promise<ReadEntry | undefined>;
  /** Gives the parser more bytes, or their end. @throws ARCHIVE_INVALID, FILE_TYPE */
  feed(): Promise<void>;
};

/** The library pushes; asked like this, it gets the next blocks only when everything of the last ones has been taken. */
function createParser(blocks: AsyncIterator<Buffer>): PullParser {
  const parser = new Parser({ zstd: false });
  const entries: ReadEntry[] = [];
  let ended = false;
  let problem: AppError | undefined;
  parser.on('entry', (entry: ReadEntry) => entries.push(entry));
  parser.on('warn', (_code: string, message: string | Error) => {
    problem ??= malformed(message);
  });
  parser.on('error', (error: unknown) => {
    problem ??= malformed(error);
  });
  // Left out by the parser: unknown kinds, and headers beyond its limit, without which the next name would be another.
  parser.on('ignoredEntry', (entry: ReadEntry) => {
    problem ??= entry.meta ? invalid('has an extended header that is too long') : unsupported(entry.path);
  });
  parser.on('meta', (text: string) => {
    problem ??= findPaxProblem(text);
  });
  // From here on the parser would keep all it gets.
  parser.on('eof', () => {
    ended = true;
  });

  async function feed(): Promise<void> {
    const { done, value } = await blocks.next();
    if (done === true) {
      ended = true;
      parser.end();
    } else parser.write(value);
    if (problem !== undefined) throw problem;
  }
  return {
    feed,
    async next() {
      while (entries.length === 0 && !ended) await feed();
      // Some events wait until the member before them has been read.
      if (problem !== undefined) throw problem;
      return entries.shift();
    },
  };
}

function memberOf(entry: ReadEntry, parser: PullParser): Member {
  const { size = 0 } = entry.header;
  if (!Number.isSafeInteger(size)) throw invalid(`gives '${printable(entry.path)}' no proper length`);
  return { name: entry.path, kind: kindOf(entry), sizeBytes: size, read: () => readBody(entry, parser) };
}

function kindOf({ type, path }: ReadEntry): Member['kind'] {
  switch (type) {
    case 'File':
    case 'OldFile':
    case 'ContiguousFile':
      // Old tars have no kind for directories.
      return path.endsWith('/') ? 'directory' : 'file';
    case 'Directory':
    case 'GNUDumpDir':
      return 'directory';
    case 'Link':
    case 'SymbolicLink':
      return 'link';
    default:
      return 'special';
  }
}

async function* readBody(entry: ReadEntry, parser: PullParser): AsyncGenerator<Buffer> {
  while (!entry.emittedEnd) {
    const chunk = entry.read();
    if (chunk !== null) yield chunk;
    else if (!entry.emittedEnd) await parser.feed();
  }
}
