// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { type ArchiveLimits, createMeter } from './meter.ts';

export type ArchiveFormat = 'tar' | 'zip';

/** What an archive says that it holds. Nothing of it is checked: neither the name nor, before it has been read to its end, the length. */
export type Member = {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'link' | 'special';
  readonly sizeBytes: number;
  /** Exactly `sizeBytes` bytes, or an error. Once at most, and before the next member is asked for. @throws ARCHIVE_INVALID, LIMIT_EXCEEDED, IO */
  read(): AsyncIterable<Buffer>;
};

/** By its name, as KServe does. A tar may be compressed with gzip or not, whatever its name says. */
export function archiveFormatOf(name: string): ArchiveFormat | undefined {
  if (/\.(?:tar|tar\.gz|tgz)$/i.test(name)) return 'tar';
  return /\.zip$/i.test(name) ? 'zip' : undefined;
}

/**
 * The members in their order, one at a time: neither the archive nor a member is ever held in memory, and nothing is written.
 * @throws ARCHIVE_INVALID, FILE_TYPE (kinds of tar entries that nobody knows), LIMIT_EXCEEDED, IO
 */
export async function* readArchive(file: FileHandle, format: ArchiveFormat, limits: ArchiveLimits, signal: AbortSignal): AsyncGenerator<Member> {
  const { size } = await file.stat();
  const meter = createMeter(size, limits, signal);
  // The parsers are loaded by the few that need them.
  switch (format) {
    case 'tar':
      return yield* (await import('./tar.ts')).readTar(file, size, meter);
    case 'zip':
      return yield* (await import('./zip.ts')).readZip(file, size, meter);
  }
}
