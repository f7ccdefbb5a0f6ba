// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, getFileNameLowLevel, RandomAccessReader, type ZipFile } from 'yauzl';
import { printable } from '../base/redact.ts';
import type { Member } from './archive.ts';
import { CHUNK_BYTES, inflate, invalid, malformed, readRange } from './bytes.ts';
import type { Meter } from './meter.ts';

const STORED = 0;
const DEFLATED = 8;

/** Zip and zip64, members stored or deflated. The central directory says what there is; local headers may not say otherwise. */
export async function* readZip(file: FileHandle, sizeBytes: number, meter: Meter): AsyncGenerator<Member> {
  // Names stay bytes: the library would take backslashes for slashes.
  const opening = fromRandomAccessReaderPromise(new HandleReader(file), sizeBytes, { autoClose: false, decodeStrings: false });
  const zip = await opening.catch((error: unknown) => Promise.reject(malformed(error)));
  meter.members(zip.entryCount);
  const entries = zip.eachEntry();
  let compressedBytes = 0;
  for (;;) {
    const { done, value: entry } = await entries.next().catch((error: unknown) => Promise.reject(malformed(error)));
    if (done === true) return await refuseMore(zip, file);
    compressedBytes += entry.compressedSize;
    if (compressedBytes > sizeBytes) throw invalid('has members that overlap');
    const name = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
    // Some programs take them for slashes.
    if (name.includes('\\')) throw invalid(`names '${printable(name, 300)}' with a backslash, which can be read in two ways`);
    yield { name, kind: kindOf(entry, name), sizeBytes: entry.uncompressedSize, read: () => readBody(zip, file, entry, name, meter) };
  }
}

/** Members beyond the count (which without zip64 wraps at 65,536) would be left out here and unpacked elsewhere. */
async function refuseMore(zip: ZipFile, file: FileHandle): Promise<void> {
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, Number(zip.readEntryCursor)).catch((error: unknown) => Promise.reject(malformed(error)));
  if (buffer.toString('latin1') === 'PK\x01\x02') throw invalid(`has more members than the ${zip.entryCount} that it says`);
}

/** Over the caller's handle, which stays his to close. */
class HandleReader extends RandomAccessReader {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    super();
    this.#file = file;
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(readRange(this.#file, start, end));
  }

  override read(buffer: Buffer, offset: number, length: number, position: number, callback: (error: Error | null) => void): void {
    const work = async (): Promise<void> => {
      for (let done = 0; done < length; ) {
        const { bytesRead } = await this.#file.read(buffer, offset + done, length - done, position + done);
        if (bytesRead === 0) throw invalid('is cut off');
        done += bytesRead;
      }
    };
    work().then(
      () => callback(null),
      (error: unknown) => callback(malformed(error)),
    );
  }
}

/** A trailing slash means a directory; Unix modes, where an archive has them, tell links and devices. */
function kindOf(entry: Entry, name: string): Member['kind'] {
  switch ((entry.externalFileAttributes >>> 16) & 0o170000) {
    case 0o120000:
      return 'link';
    case 0o020000:
    case 0o060000:
    case 0o010000:
    case 0o140000:
      return 'special';
    default:
      return name.endsWith('/') ? 'directory' : 'file';
  }
}

async function* readBody(zip: ZipFile, file: FileHandle, entry: Entry, name: string, meter: Meter): AsyncGenerator<Buffer> {
  const display = `'${printable(name)}'`;
  if (entry.isEncrypted()) throw invalid(`holds ${display} encrypted`);
  const { compressionMethod } = entry;
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED)
    throw invalid(`holds ${display} compressed by method ${compressionMethod}; only deflate is known`);
  const local = await zip.readLocalFileHeaderPromise(entry).catch((error: unknown) => Promise.reject(malformed(error)));
  if (!local.fileName.equals(entry.fileNameRaw)) throw invalid(`calls ${display} by another name in its header`);
  const bytes = readRange(file, local.fileDataStart, local.fileDataStart + entry.compressedSize);
  const content = compressionMethod === DEFLATED ? inflate(bytes, createInflateRaw({ chunkSize: CHUNK_BYTES })) : bytes;
  let [length, checksum] = [0, 0];
  for await (const chunk of content) {
    meter.unpacked(chunk.length);
    length += chunk.length;
    if (length > entry.uncompressedSize) break;
    checksum = crc32(chunk, checksum);
    yield chunk;
  }
  if (length !== entry.uncompressedSize) throw invalid(`gives ${display} the length ${entry.uncompressedSize}, but its content has another`);
  if (checksum !== entry.crc32) throw invalid(`holds ${display} with a wrong checksum`);
}
