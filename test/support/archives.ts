// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { type Files, scratch, writeTree } from './model.ts';

export const FORMATS = ['model.tar', 'model.tar.gz', 'model.tgz', 'model.zip'] as const;

/** Made by the tools that people use: GNU tar and Python's zipfile. Names in tars begin with './'. */
export function packed(name: string, files: Files): Buffer {
  using tmp = scratch();
  writeTree(tmp.at('tree'), files);
  const to = tmp.at(name);
  if (name.endsWith('.zip')) execFileSync('python3', ['-m', 'zipfile', '-c', to, '.'], { cwd: tmp.at('tree') });
  else execFileSync('tar', [name.endsWith('.tar') ? '-cf' : '-czf', to, '-C', tmp.at('tree'), '.']);
  return readFileSync(to);
}

export type TarEntry = {
  readonly name: string | Buffer;
  readonly body?: Buffer | string;
  /** '0' file, '1' hard link, '2' symbolic link, '3' character device, '5' directory, '6' FIFO, 'x' PAX header… */
  readonly type?: string;
  readonly link?: string;
  /** What the header says, when it lies. */
  readonly size?: number;
};

/** A tar with whatever is asked for in it. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(tarEntry), Buffer.alloc(1024)]);
}

export function tgzOf(entries: readonly TarEntry[]): Buffer {
  return gzipSync(tarOf(entries));
}

/** PAX records for the entry that follows. */
export function paxOf(records: Readonly<Record<string, string>>): TarEntry {
  const line = ([key, value]: [string, string]): string => {
    const rest = ` ${key}=${value}\n`;
    const length = Buffer.byteLength(rest);
    const digits = `${length + `${length + 3}`.length}`.length;
    return `${length + digits}${rest}`;
  };
  return { name: 'PaxHeader', type: 'x', body: Object.entries(records).map(line).join('') };
}

function tarEntry({ name, body = '', type = '0', link = '', size }: TarEntry): Buffer[] {
  const content = Buffer.from(body);
  const header = Buffer.alloc(512);
  Buffer.from(name).copy(header, 0, 0, 100);
  header.write(`0000644\0${'0000000\0'.repeat(2)}`, 100);
  header.write(`${(size ?? content.length).toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0${' '.repeat(8)}${type}`, 124);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}

export type ZipEntry = {
  readonly name: string;
  readonly body?: Buffer | string;
  /** Name in the local header, when it is another. */
  readonly localName?: string;
  readonly flags?: number;
  readonly method?: number;
  readonly mode?: number;
  /** What the central directory says, when it lies. */
  readonly size?: number;
  readonly crc?: number;
  /** Points at the content of the entry before. */
  readonly overlaps?: boolean;
};

/** A zip with whatever is asked for in it; `count` is what its end says, when it lies. */
export function zipOf(entries: readonly ZipEntry[], count = entries.length): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let [offset, last] = [0, 0];
  for (const { name, body = '', localName = name, flags = 0x800, method = 8, mode = 0o100644, size, crc, overlaps = false } of entries) {
    const content = Buffer.from(body);
    const data = method === 8 ? deflateRawSync(content, { level: 9 }) : content;
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt16LE(flags, 2);
    facts.writeUInt16LE(method, 4);
    facts.writeUInt32LE(crc ?? crc32(content), 10);
    facts.writeUInt32LE(data.length, 14);
    facts.writeUInt32LE(size ?? content.length, 18);
    facts.writeUInt16LE(Buffer.byteLength(localName), 22);
    if (!overlaps) {
      last = offset;
      const local = Buffer.concat([Buffer.from('PK\x03\x04'), facts, Buffer.from(localName), data]);
      locals.push(local);
      offset += local.length;
    }
    facts.writeUInt16LE(Buffer.byteLength(name), 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(mode * 0x10000, 6);
    tail.writeUInt32LE(last, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), facts, tail, Buffer.from(name)]));
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
