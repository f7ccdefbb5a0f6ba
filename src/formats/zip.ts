// SPDX-License-Identifier: Apache-2.0
// Imports yauzl (CommonJS): load this file lazily.
import { type Entry, type ExtraField, fromRandomAccessReader, type LocalFileHeader, parseExtraFields, RandomAccessReader, type ZipFile } from 'yauzl';
import { type ByteSource, readExactly, slice } from './byteSource.ts';
import { Defect } from './finding.ts';
import { type InflateBudget, inflate } from './inflate.ts';
import { findDirectory } from './zipEnd.ts';
import { isRenamed, nameOf } from './zipNames.ts';

const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
/** Encrypted, patched, strongly encrypted, masked: readers disagree on what such members hold. */
const ODD_FLAGS = 0x0001 | 0x0020 | 0x0040 | 0x2000;
const DESCRIPTOR_FLAG = 0x0008;
const ZIP64_FIELD = 0x0001;
/** A size that is told in the extra field. */
const ELSEWHERE = 0xffffffff;

export type ZipMember = {
  readonly name: string;
  readonly sizeBytes: number;
  /** The content; stored members are read where they lie. @throws Defect */
  open(budget: InflateBudget): Promise<ByteSource>;
};

export type Zip = {
  readonly members: readonly ZipMember[];
  /** What readers of archives disagree on, so that one could be shown other members than another. */
  readonly problems: readonly string[];
};

/** Lists an archive by its central directory, and holds that against what stands before the members. @throws Defect */
export async function readZip(source: ByteSource, maxMembers: number): Promise<Zip> {
  const problems = new Set<string>();
  const extents: { readonly start: number; readonly end: number; readonly slack: number }[] = [];
  const names = new Set<string>();
  const members: ZipMember[] = [];
  const directory = await findDirectory(source);
  if (directory.entries > maxMembers) throw new Defect(`has ${directory.entries} members, more than are judged`);
  let listedBytes = 0;
  await listEntries(source, (entry, local) => {
    listedBytes += 46 + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
    const name = nameOf(entry.fileNameRaw, entry.generalPurposeBitFlag);
    if (names.has(name)) problems.add(`has two members ‘${name}’`);
    names.add(name);
    for (const problem of disagreements(name, entry, local)) problems.add(`${problem} (‘${name}’)`);
    const { compressionMethod: method, compressedSize: packedBytes, uncompressedSize: sizeBytes, relativeOffsetOfLocalHeader: start } = entry;
    const slack = (entry.generalPurposeBitFlag & DESCRIPTOR_FLAG) !== 0 ? 24 : 0;
    extents.push({ start, end: local.fileDataStart + packedBytes, slack });
    if (name.endsWith('/') && sizeBytes === 0 && packedBytes === 0) return;
    const packed = slice(source, local.fileDataStart, packedBytes);
    // Without the entry, whose fields would be held by the million.
    members.push({ name, sizeBytes, open: (budget) => openMember(packed, method, sizeBytes, budget) });
  });
  // One reader counts them, another reads to the directory's end.
  if (directory.start + listedBytes !== directory.end) problems.add('has more in its directory than the members that it counts');
  extents.sort((a, b) => a.start - b.start);
  let reached = 0;
  let slack = 0;
  for (const extent of [...extents, { ...directory, slack: 0 }]) {
    if (extent.start < reached) problems.add('has members that overlap');
    if (extent.start > reached + slack) problems.add('has bytes between its members that belong to none');
    reached = Math.max(reached, extent.end);
    slack = extent.slack;
  }
  return { members, problems: [...problems] };
}

function disagreements(name: string, entry: Entry, local: LocalFileHeader): readonly string[] {
  const problems: string[] = [];
  const told = extraFields(local.extraField);
  // zipfile never looks at them.
  if (told === undefined) problems.push('a member has extra fields that cannot be read');
  const localFields = told ?? [];
  const same = local.fileName.equals(entry.fileNameRaw) && nameOf(local.fileName, local.generalPurposeBitFlag) === name;
  if (!same || isRenamed(name, [...entry.extraFields, ...localFields])) problems.push('a member has two names');
  if (local.compressionMethod !== entry.compressionMethod) problems.push('a member has two compression methods');
  if (((entry.generalPurposeBitFlag | local.generalPurposeBitFlag) & ODD_FLAGS) !== 0) problems.push('a member is marked as encrypted or patched');
  const [size, packed] = localSizes(local, localFields);
  // Told behind the data, as a flag says.
  const later = (local.generalPurposeBitFlag & DESCRIPTOR_FLAG) !== 0;
  const differs = (before: number | undefined, listed: number): boolean => before !== listed && !(later && before === 0);
  const twice = entry.extraFields.filter(({ id }) => id === ZIP64_FIELD).length > 1;
  if (differs(size, entry.uncompressedSize) || differs(packed, entry.compressedSize) || twice) problems.push('a member has two sizes');
  if (name.endsWith('/') && entry.uncompressedSize !== 0) problems.push('a directory has content');
  return problems;
}

function extraFields(bytes: Buffer): readonly ExtraField[] | undefined {
  try {
    return parseExtraFields(bytes);
  } catch {
    return undefined;
  }
}

/** Of the content, unpacked and packed, by the header before it. */
function localSizes(local: LocalFileHeader, fields: readonly ExtraField[]): readonly number[] {
  const wide = fields.find(({ id }) => id === ZIP64_FIELD)?.data ?? Buffer.alloc(0);
  let at = 0;
  return [local.uncompressedSize, local.compressedSize].map((size) => {
    if (size !== ELSEWHERE || at + 8 > wide.length) return size;
    at += 8;
    return Number(wide.readBigUInt64LE(at - 8));
  });
}

/** CRCs are not compared: PyTorch may write others, and the bytes are judged whatever they are. */
async function openMember(packed: ByteSource, method: number, sizeBytes: number, budget: InflateBudget): Promise<ByteSource> {
  switch (method) {
    case 0:
      return packed;
    case 8:
      return inflate(packed, 'deflate', budget, sizeBytes);
    default:
      throw new Defect(`is compressed by method ${method}, which cannot be read`);
  }
}

/** Names are read here, comments never: the library decodes each byte of them by itself, which takes long. */
const OPTIONS = { lazyEntries: true, autoClose: false, validateEntrySizes: true, decodeStrings: false };

/** yauzl with this project's reader beneath: whatever goes wrong inside its callbacks ends here, not as an uncaught exception. */
function listEntries(source: ByteSource, visit: (entry: Entry, local: LocalFileHeader) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      if (error instanceof ReadFailure) reject(error.cause);
      else reject(error instanceof Defect ? error : new Defect(`is no readable zip: ${textOf(error)}`));
    };
    const guard = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        fail(error);
      }
    };
    const visitAll = (zip: ZipFile): void => {
      zip.on('error', fail);
      zip.on('end', resolve);
      zip.on('entry', (entry: Entry) =>
        guard(() =>
          zip.readLocalFileHeader(entry, (error, local) =>
            guard(() => {
              if (error !== null) return fail(error);
              visit(entry, local);
              zip.readEntry();
            }),
          ),
        ),
      );
      zip.readEntry();
    };
    guard(() =>
      fromRandomAccessReader(new Reader(source, fail), source.sizeBytes, OPTIONS, (error, zip) =>
        guard(() => {
          if (error !== null) fail(error);
          else visitAll(zip);
        }),
      ),
    );
  });
}

/** The source failed, not the archive. */
class ReadFailure extends Error {}

class Reader extends RandomAccessReader {
  readonly #source: ByteSource;
  readonly #fail: (error: unknown) => void;
  #readBytes = 0;

  constructor(source: ByteSource, fail: (error: unknown) => void) {
    super();
    this.#source = source;
    this.#fail = fail;
  }

  override read(buffer: Buffer, offset: number, length: number, position: number, callback: (error: Error | null) => void): void {
    this.#readBytes += length;
    const done =
      this.#readBytes > MAX_DIRECTORY_BYTES ? Promise.reject(new Defect('has a directory larger than is read')) : this.#copy(buffer, offset, length, position);
    done
      .then(
        () => callback(null),
        (error: unknown) => callback(error instanceof Defect ? error : new ReadFailure('read', { cause: error })),
      )
      .catch(this.#fail);
  }

  async #copy(buffer: Buffer, offset: number, length: number, position: number): Promise<void> {
    if (length > 0) buffer.set(await readExactly(this.#source, position, length, 'a record'), offset);
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
