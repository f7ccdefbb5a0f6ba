// SPDX-License-Identifier: Apache-2.0
import { Header, type HeaderData } from 'tar';
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { readTar, type TarMember } from '../../src/formats/tar.ts';

const END = Buffer.alloc(1024);

/** A header and its content, up to the end of a block. */
function entry(data: HeaderData, content: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(content);
  const header = new Header();
  Object.assign(header, { type: 'File', size: bytes.length, mtime: new Date(0), ...data });
  const block = Buffer.alloc(512);
  header.encode(block, 0);
  return Buffer.concat([block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** Puts a type that the library has no name to write for, and the checksum that belongs to it. */
function typed(block: Buffer, flag: string): Buffer {
  block.write(flag, 156, 'latin1');
  return summed(block);
}

function summed(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** An extended header: each line begins with its own length. */
function records(...pairs: readonly string[]): string {
  return pairs
    .map((pair) => {
      let length = pair.length + 3;
      while (Buffer.byteLength(`${length} ${pair}\n`) !== length) length++;
      return `${length} ${pair}\n`;
    })
    .join('');
}

async function members(...parts: readonly Buffer[]): Promise<readonly TarMember[]> {
  const found: TarMember[] = [];
  for await (const member of readTar(bufferSource(Buffer.concat(parts)))) found.push(member);
  return found;
}

const pax = (...pairs: readonly string[]): Buffer => typed(entry({ path: 'pax' }, records(...pairs)), 'x');
const global = (...pairs: readonly string[]): Buffer => typed(entry({ path: 'pax' }, records(...pairs)), 'g');
const a = (): Buffer => entry({ path: 'a' }, 'aaa');

describe('the members of a tar', () => {
  it('are its files, where they lie', async () => {
    expect(await members(a(), entry({ path: 'd/b' }, Buffer.alloc(600)), entry({ path: 'c' }), END)).toEqual([
      { name: 'a', start: 512, sizeBytes: 3 },
      { name: 'd/b', start: 1536, sizeBytes: 600 },
      { name: 'c', start: 3072, sizeBytes: 0 },
    ]);
  });

  it.each(['\0', '7'])('are files of the old kinds, too: %j', async (flag) => {
    expect(await members(typed(a(), flag), END)).toEqual([{ name: 'a', start: 512, sizeBytes: 3 }]);
  });

  it('need no blocks at the end', async () => {
    expect(await members(a())).toHaveLength(1);
    expect(await members(entry({ path: 'a' }, Buffer.alloc(512)))).toEqual([{ name: 'a', start: 512, sizeBytes: 512 }]);
    expect(await members()).toEqual([]);
  });

  it('do not include directories of incremental backups', async () => {
    expect(await members(typed(entry({ path: 'd/' }), 'D'), a(), END)).toEqual([{ name: 'a', start: 1024, sizeBytes: 3 }]);
  });

  it('may have their size in an extended header', async () => {
    expect(await members(pax('size=2'), a(), END)).toEqual([{ name: 'a', start: 1536, sizeBytes: 2 }]);
    // For the next file only.
    expect(await members(pax('size=600'), entry({ path: 'b' }, Buffer.alloc(600)), a(), END)).toEqual([
      { name: 'b', start: 1536, sizeBytes: 600 },
      { name: 'a', start: 3072, sizeBytes: 3 },
    ]);
  });

  it('do not include directories, nor the long targets of links', async () => {
    const directory = entry({ path: 'd/', type: 'Directory' });
    expect(await members(directory, typed(entry({ path: 'x' }, 'target\0'), 'K'), a(), END)).toEqual([{ name: 'a', start: 2048, sizeBytes: 3 }]);
  });
});

describe('a name', () => {
  it.each(['L', 'N'])('may stand before its file, as %s, and counts for that one only', async (flag) => {
    const long = typed(entry({ path: '././@LongLink' }, 'very/long\0 the rest'), flag);
    expect((await members(long, a(), a(), END)).map(({ name }) => name)).toEqual(['very/long', 'a']);
    expect((await members(long, entry({ path: 'd/', type: 'Directory' }), a(), END)).map(({ name }) => name)).toEqual(['a']);
  });

  it('may stand in an extended header, which counts for the next file only', async () => {
    expect((await members(pax('path=ä/very/long'), a(), a(), END)).map(({ name }) => name)).toEqual(['ä/very/long', 'a']);
    expect((await members(pax('path=other/'), entry({ path: 'd/', type: 'Directory' }), a(), END)).map(({ name }) => name)).toEqual(['a']);
  });

  it('is not taken from a header for all', async () => {
    expect((await members(global('comment=0123'), a(), END)).map(({ name }) => name)).toEqual(['a']);
    expect((await members(pax('path=b'), global('comment=0123'), a(), END)).map(({ name }) => name)).toEqual(['b']);
  });
});

describe('a tar on which readers differ is a defect:', () => {
  const beyond = (): Buffer => {
    const block = a();
    block.write('00000001001\0', 124, 'latin1');
    return summed(block);
  };
  /** With bytes for the size that are no octal digits. */
  const sized = (first: number, rest: number): Buffer => {
    const block = a();
    block.fill(rest, 124, 136)[124] = first;
    return summed(block);
  };
  const full = (): Buffer => {
    const block = entry({ path: 'd/', type: 'Directory' });
    block.write('00000000003\0', 124, 'latin1');
    return summed(block);
  };
  const wrong = (): Buffer => {
    const block = a();
    block.write('b', 0, 'latin1');
    return block;
  };

  it.each<[string, readonly Buffer[], RegExp]>([
    ['a member that reaches beyond the end', [beyond()], /reaches beyond the end/],
    ['a member one byte too long for the file', [a().subarray(0, 514)], /reaches beyond the end/],
    ['a size beyond exact numbers', [sized(0x80, 0xff), END], /has a header that cannot be read: parsed number outside of javascript safe integer range/],
    ['a size in no known base', [sized(0x81, 0), END], /has a header that cannot be read: invalid base256 encoding/],
    ['a size of half a byte', [pax('size=0.5'), a(), END], /reaches beyond the end/],
    ['half a header', [a(), END.subarray(0, 100)], /a header reaches beyond the end of the file/],
    ['a wrong checksum', [a(), wrong(), END], /has a header at byte 1024 whose checksum is wrong/],
    ['sparse members', [pax('GNU.sparse.major=1'), a(), END], /has sparse members/],
    ['sparse members for all', [global('GNU.sparse.size=9'), a(), END], /has sparse members/],
    ['one size for all', [global('size=9'), a(), END], /gives all its members one size or name/],
    ['one name for all', [global('path=b'), a(), END], /gives all its members one size or name/],
    ['a directory with content', [full(), a(), END], /has a directory with content/],
    ['a symbolic link', [entry({ path: 'l', type: 'SymbolicLink', linkpath: '/etc/passwd' }), END], /no file \(SymbolicLink\)/],
    ['a hard link', [entry({ path: 'l', type: 'Link', linkpath: 'a' }), END], /no file \(Link\)/],
    ['a device', [entry({ path: 'l', type: 'CharacterDevice' }), END], /no file \(CharacterDevice\)/],
    ['a FIFO', [entry({ path: 'l', type: 'FIFO' }), END], /no file \(FIFO\)/],
    ['an extended header of more than a MiB', [typed(entry({ path: 'pax' }, Buffer.alloc(1024 * 1024 + 1)), 'x')], /extended header of 1048577 bytes/],
    ['bytes behind the end', [a(), END, Buffer.alloc(2 * 1024 * 1024), Buffer.from('x')], /bytes behind its end/],
    ['a file behind the end', [a(), END, a()], /bytes behind its end/],
  ])('%s', async (_what, parts, message) => {
    await expect(members(...parts)).rejects.toThrow(Defect);
    await expect(members(...parts)).rejects.toThrow(message);
  });

  it('but an extended header of a MiB is none, nor are any number of empty blocks', async () => {
    const large = typed(entry({ path: 'pax' }, records(`comment=${'x'.repeat(1024 * 1024 - 17)}`)), 'x');
    expect(await members(large, a(), END, Buffer.alloc(3 * 1024 * 1024))).toHaveLength(1);
  });
});
