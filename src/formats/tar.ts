// SPDX-License-Identifier: Apache-2.0
import { isUtf8 } from 'node:buffer';
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';
import { BLOCK_BYTES, readHeader, type TarHeader, text } from './tarHead.ts';

/** Records of POSIX for the next member or for all, and the long name of GNU. */
const EXTENSIONS = ['x', 'g', 'L'];
const FILES = ['0', '\0', '7'];
const DIRECTORY = '5';
const MAX_EXTENSION_BYTES = 1024 * 1024;
/** What does not fit into the octal digits of a header: only then a record may give another size. */
const LARGE_BYTES = 8 ** 11;

export type TarMember = { readonly name: string; readonly start: number; readonly sizeBytes: number };

/** What stands before a member about it. */
type Extension = { readonly name?: string | undefined; readonly sizeBytes?: number | undefined };

/** The regular files of an archive, where they lie. Everything on which readers differ is a defect. @throws Defect */
export async function* readTar(source: ByteSource): AsyncGenerator<TarMember> {
  let position = 0;
  let extension: Extension | undefined;
  while (position < source.sizeBytes) {
    const header = readHeader(await readExactly(source, position, BLOCK_BYTES, 'a header'), position);
    position += BLOCK_BYTES;
    if (header === undefined) break;
    let { sizeBytes } = header;
    if (EXTENSIONS.includes(header.type)) {
      // Readers differ in which of them counts, and in what a size is the size of.
      if (extension !== undefined) throw new Defect('has more than one header before a member');
      if (header.name === '') throw new Defect('has a header without a name');
      extension = await readExtension(source, position, header);
    } else {
      const file = fileOf(header, extension ?? {});
      extension = undefined;
      sizeBytes = file?.sizeBytes ?? 0;
      if (position + sizeBytes > source.sizeBytes) throw new Defect('has a member that reaches beyond the end');
      if (file !== undefined) yield { start: position, ...file };
    }
    const end = position + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
    // Python looks for more records there.
    await checkZeros(source, position + sizeBytes, end, 'bytes behind a member');
    position = end;
  }
  if (extension !== undefined) throw new Defect('has a header before no member');
  // Some readers stop at the first empty block, others go on.
  await checkZeros(source, position, source.sizeBytes, 'bytes behind its end');
}

/** Undefined for a directory. What is neither is a link, or one reader's file and nothing to another. */
function fileOf({ type, ...header }: TarHeader, extension: Extension): Pick<TarMember, 'name' | 'sizeBytes'> | undefined {
  const { name = header.name, sizeBytes = header.sizeBytes } = extension;
  if (type !== DIRECTORY && !FILES.includes(type)) throw new Defect(`has a member that is no file (type ${JSON.stringify(type)})`);
  if (name === '') throw new Defect('has a member without a name');
  if (sizeBytes !== header.sizeBytes && sizeBytes < LARGE_BYTES) throw new Defect('has a member of two sizes');
  // To some, a slash at the end makes a directory of a file; to Python, only that of an old header, whatever the name is.
  const directory = type === DIRECTORY || name.endsWith('/') || (type === '\0' && header.name.endsWith('/'));
  if (directory && sizeBytes > 0) throw new Defect('has a directory with content');
  return directory ? undefined : { name, sizeBytes };
}

/** What counts for the next member; nothing does that is said for all. */
async function readExtension(source: ByteSource, position: number, { type, sizeBytes }: TarHeader): Promise<Extension | undefined> {
  if (sizeBytes > MAX_EXTENSION_BYTES) throw new Defect(`has an extended header of ${sizeBytes} bytes`);
  const bytes = await readExactly(source, position, sizeBytes, 'an extended header');
  if (type === 'L') return { name: text(bytes) };
  const records = readRecords(bytes);
  const [path, size] = [records.get('path'), records.get('size')];
  if (type === 'x') return { name: path && Buffer.from(path, 'latin1').toString(), sizeBytes: sizeOf(size) };
  if (path !== undefined || size !== undefined || records.has('linkpath')) throw new Defect('gives all its members one size or name');
  return undefined;
}

function sizeOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^(0|[1-9]\d{0,14})$/.test(value)) throw new Defect('has a size that cannot be read');
  return Number(value);
}

/** Records as POSIX has them, each with its own length in front. Some readers go by lines instead, and would find others in a value. */
function readRecords(bytes: Buffer): ReadonlyMap<string, string> {
  const all = bytes.toString('latin1');
  if (/\bGNU\.sparse\b|SCHILY\.realsize|SUN\.holesdata/.test(all)) throw new Defect('has sparse members');
  const record = /([1-9]\d{0,6}) ([A-Za-z][^=\n\0]*)=/y;
  const records = new Map<string, string>();
  for (let at = 0; at < all.length; ) {
    record.lastIndex = at;
    const [, length, key = ''] = record.exec(all) ?? [];
    const end = at + Number(length) - 1;
    if (!(end >= record.lastIndex) || all[end] !== '\n') throw new Defect('has an extended header that cannot be read');
    const value = all.slice(record.lastIndex, end);
    if (records.has(key)) throw new Defect(`has an extended header that says ${key} twice`);
    const doubtful = /^(path|linkpath|size)$/.test(key)
      ? value === '' || /[\n\0]/.test(value) || !isUtf8(Buffer.from(value, 'latin1'))
      : /\n[^\n]{2,8}(path|linkpath|size)=/.test(value);
    if (doubtful) throw new Defect('has an extended header that can be read in two ways');
    records.set(key, value);
    at = end + 1;
  }
  return records;
}

async function checkZeros(source: ByteSource, start: number, end: number, what: string): Promise<void> {
  if (end > source.sizeBytes) throw new Defect('ends within a block');
  for (let at = start; at < end; at += 1024 * 1024) {
    const bytes = await source.read(at, Math.min(1024 * 1024, end - at));
    if (bytes.some((byte) => byte !== 0)) throw new Defect(`has ${what}`);
  }
}
