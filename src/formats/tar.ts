// SPDX-License-Identifier: Apache-2.0
import { Header, Pax } from 'tar';
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';

const BLOCK_BYTES = 512;
const MAX_EXTENSION_BYTES = 1024 * 1024;

export type TarMember = { readonly name: string; readonly start: number; readonly sizeBytes: number };

/** Whether the block is a header whose checksum is right. */
export function isHeader(block: Buffer): boolean {
  try {
    const header = new Header(block);
    return header.cksumValid && !header.nullBlock;
  } catch {
    return false;
  }
}

/** The regular files of an archive, where they lie. Everything on which readers differ is a defect. @throws Defect */
export async function* readTar(source: ByteSource): AsyncGenerator<TarMember> {
  let position = 0;
  let name: string | undefined;
  let pax: Pax | undefined;
  while (position < source.sizeBytes) {
    const block = await readExactly(source, position, BLOCK_BYTES, 'a header');
    const header = decode(block, pax);
    position += BLOCK_BYTES;
    if (header.nullBlock) return checkEnd(source, position);
    if (!header.cksumValid) throw new Defect(`has a header at byte ${position - BLOCK_BYTES} whose checksum is wrong`);
    const sizeBytes = header.size ?? 0;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || position + sizeBytes > source.sizeBytes)
      throw new Defect('has a member that reaches beyond the end');
    switch (header.type) {
      case 'ExtendedHeader':
      case 'GlobalExtendedHeader': {
        const text = await extension(source, position, sizeBytes);
        if (/\bGNU\.sparse\b/.test(text)) throw new Defect('has sparse members');
        if (header.type === 'GlobalExtendedHeader' && /\b(size|path)=/.test(text)) throw new Defect('gives all its members one size or name');
        if (header.type === 'ExtendedHeader') pax = Pax.parse(text);
        break;
      }
      case 'NextFileHasLongPath':
      case 'OldGnuLongPath':
        name = (await extension(source, position, sizeBytes)).replace(/\0[\s\S]*$/, '');
        break;
      case 'NextFileHasLongLinkpath':
        break;
      case 'File':
      case 'OldFile':
      case 'ContiguousFile':
        yield { name: name ?? header.path ?? '', start: position, sizeBytes };
        name = undefined;
        pax = undefined;
        break;
      case 'Directory':
      case 'GNUDumpDir':
        // The library takes a file whose name ends with a slash for a directory, and gives both no size; others read on by the size.
        if (/[1-7\x80-\xff]/.test(block.toString('latin1', 124, 136))) throw new Defect('has a directory with content');
        name = undefined;
        pax = undefined;
        break;
      default:
        throw new Defect(`has a member that is no file (${header.type})`);
    }
    position += Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
}

function decode(block: Buffer, pax: Pax | undefined): Header {
  try {
    return new Header(block, 0, pax);
  } catch (error) {
    throw new Defect(`has a header that cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function extension(source: ByteSource, position: number, sizeBytes: number): Promise<string> {
  if (sizeBytes > MAX_EXTENSION_BYTES) throw new Defect(`has an extended header of ${sizeBytes} bytes`);
  return (await readExactly(source, position, sizeBytes, 'an extended header')).toString('utf8');
}

/** Some readers stop at the first empty block, others go on. */
async function checkEnd(source: ByteSource, position: number): Promise<void> {
  for (let at = position; at < source.sizeBytes; at += 1024 * 1024) {
    const bytes = await source.read(at, 1024 * 1024);
    if (bytes.some((byte) => byte !== 0)) throw new Defect('has bytes behind its end');
  }
}
