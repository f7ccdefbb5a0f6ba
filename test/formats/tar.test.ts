// SPDX-License-Identifier: Apache-2.0
import { brotliDecompressSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { readTar, type TarMember } from '../../src/formats/tar.ts';
import { refusalsOf } from './look.ts';

const END = Buffer.alloc(1024);
const EVIL = "cos\nsystem\n(S'id'\ntR.";

/** A header and its content, up to the end of a block. */
function entry(data: HeaderData, content: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(content);
  const header = new Header();
  Object.assign(header, { type: 'File', size: bytes.length, mtime: new Date(0), ...data });
  const block = Buffer.alloc(512);
  header.encode(block, 0);
  return Buffer.concat([block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** Puts a type that the library has no name to write for. */
function typed(block: Buffer, flag: string): Buffer {
  return put(block, 156, flag);
}

/** Puts bytes where the field begins, and the checksum that belongs to them. */
function put(block: Buffer, at: number, bytes: string): Buffer {
  block.write(bytes, at, 'latin1');
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
  return membersOf(bufferSource(Buffer.concat(parts)));
}

async function membersOf(source: ByteSource): Promise<readonly TarMember[]> {
  const found: TarMember[] = [];
  for await (const member of readTar(source)) found.push(member);
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

  it('may have their size in an extended header, once more', async () => {
    expect(await members(pax('size=600'), entry({ path: 'b' }, Buffer.alloc(600)), a(), END)).toEqual([
      { name: 'b', start: 1536, sizeBytes: 600 },
      { name: 'a', start: 3072, sizeBytes: 3 },
    ]);
  });

  it.each<[string, Buffer]>([
    ['an extended header, as GNU tar and Python write it', Buffer.concat([pax('size=9663676416'), entry({ path: 'b' })])],
    ['base 256', put(entry({ path: 'b' }), 124, '\x80\0\0\0\0\0\0\x02@\0\0\0')],
    ['an octal number without an end, as bsdtar writes it', put(entry({ path: 'b' }), 124, '110000000000')],
  ])('may be large: the size is in %s', async (_how, head) => {
    const sizeBytes = 9 * 2 ** 30;
    const source: ByteSource = { sizeBytes: head.length + sizeBytes, read: async (at, length) => head.subarray(at, at + length) };
    expect(await membersOf(source)).toEqual([{ name: 'b', start: head.length, sizeBytes }]);
  });

  it('do not include directories, which to old tars are files with a slash', async () => {
    const directory = entry({ path: 'd/', type: 'Directory' });
    const old = typed(entry({ path: 'e/' }), '\0');
    expect(await members(directory, old, pax('path=f/'), entry({ path: 'f' }), a(), END)).toEqual([{ name: 'a', start: 3072, sizeBytes: 3 }]);
  });
});

describe('a name', () => {
  it('may stand before its file, and counts for that one only', async () => {
    const long = typed(entry({ path: '././@LongLink' }, 'very/long\0'), 'L');
    expect((await members(long, a(), a(), END)).map(({ name }) => name)).toEqual(['very/long', 'a']);
    expect((await members(long, entry({ path: 'd/', type: 'Directory' }), a(), END)).map(({ name }) => name)).toEqual(['a']);
  });

  it('may stand in an extended header, which counts for the next file only', async () => {
    expect((await members(pax('path=ä/very/long'), a(), a(), END)).map(({ name }) => name)).toEqual(['ä/very/long', 'a']);
    expect((await members(pax('path=other/'), entry({ path: 'd/', type: 'Directory' }), a(), END)).map(({ name }) => name)).toEqual(['a']);
  });

  it('is not taken from a header for all', async () => {
    expect((await members(global('comment=0123'), a(), END)).map(({ name }) => name)).toEqual(['a']);
  });

  it('has its first part elsewhere, behind which there may be times', async () => {
    const times = put(a(), 476, '01234567012 01234567012 ');
    const [short, long] = ['p'.repeat(130), 'p'.repeat(155)];
    const found = await members(put(a(), 345, short), put(times, 345, short), put(a(), 345, long), END);
    expect(found.map(({ name }) => name)).toEqual([`${short}/a`, `${short}/a`, `${long}/a`]);
  });
});

describe('a tar', () => {
  /** As they are written, compressed: of `d/a`, mostly with a directory and something of a long name. */
  const WRITTEN: readonly [string, string, readonly string[]][] = [
    [
      'GNU tar',
      'F/8n4Behkptt+0xJC0X2k21Ur1uKHkEKzd5srju+H8IwiCgKOWqnPPMn0jwRzJKstYXB52HgNnRJ0HN3S1Sw2tlDMUDbI0AEPdDAPDyT+/L1tCQkAL0orJhAVw+9IGBtuo' +
        'fubKqZzw5KbJ9ZQKradMzQgAdzlT/6xqKD1iC7dCTk5PFD/29bCFO956L70HmffmzeIMMYuhEAAA==',
      ['d/a', 'd/ü-n+.bin'],
    ],
    [
      'GNU tar, in its oldest format',
      'F/8nwBahkvvV7R8ndCDdvm1/2ngiNQedZLllrTu+H8IwiCgKOWqnPPMn0jwRzJKstYXB52FQN/wTZfzZKqkT6+whaKCtCBBBDzRQD8/kNv16ahItAL06rFiDrh5yQsDadN' +
        '++05Spzw5KbO+5gNSlaC+iQRHmKH/9jUaB1iBLOhLt4PFD/m99EKZ+zYfet8/8/aPlBlnG0I0AMA==',
      ['d/a', 'd/ü-n+.bin'],
    ],
    [
      'GNU tar, as of Unix 7',
      'F/8n4B8JdmzFwtZxpYQhQwMd27IlGeKBH1u2XtLeOL7GYcBhomn3WRekOx+3wYcNuLKE52eHgL4EEXJIKMch9XjltosbRIQqhNX5ALJrn24OT6U74Gw3AH4Q',
      ['d/a'],
    ],
    [
      'GNU tar, by POSIX of 1988',
      'F/8n4Aaibm1WktAsDi2bEWhf/ulxW9iWSJBJwJFHYdvJ6N+3fxcKjniwTxIymdanbBqUGYGEjKpTY8TQtsw1h+5kqfiPwxMFJXwh+bb3JWLdTPX81Ue1cpd/tr+jewEA',
      ['d/a', 'p+/a'],
    ],
    [
      'GNU tar, by POSIX of 2001',
      'F/8nIMZs22dLMhTdD7aRDN1Q8QhSKJ539GBz6ib/wAk4iaJAo8jTrEATLaHEYM3zcOrCQKdrHUIhWeDi626CArTFHSSgC5RQc4vJ1Pr1YkGsDoM3In6CBCYBpxBsukkFgH' +
        'nDLAKOWYTa0kEu27svMGly1nkIP+2R/9sGqVaAVwshc07BCZtUv5Em/iwIjxaAwnsN7Vcfe6fwk8/2CXCDzBau9LoRAAI=',
      ['d/a', 'd/ü-n+.bin'],
    ],
    [
      'GNU tar, with an owner and a time in base 256',
      'F/8n+J8F7t5GmlhAnBvF+3WIoOZ2hUIr8MCIyaDrNgwgyP9GAG+vVyBhbnAcUBRYEAhHroNsA+kJAALfrD6RkLEzhG2PUPOnh6ilYtA/PjE42w6A+xw=',
      ['d/a'],
    ],
    [
      'bsdtar, by POSIX of 1988',
      'F/8NABahkqu6Vd+oCfeWbpvTJAhwN6w7PR70wBf7rvqtBZhZbYklRl9thyigIEAI8mI/hegWFIXwrn72jQKyzgyw9qbv7lCZmh46g1JeQhDkf6SA5NCiZ6a9oIfxbN9vge' +
        'AH3ByeqhsgkNydu6OwD+BIJvuTqxX8tOmvpVs=',
      ['d/a', 'p+/a'],
    ],
    [
      'bsdtar, with an attribute that has lines',
      'F/8TAI7DOBacqr9Vb3HO6BgVYdYnLR9IEanJA5DXTxje//+7qWeeaDQmUKLDPuC9KEpwTZUpEJhtsIkTC8iydv59ilHULzi6wWChj2bfedhlYQYFMcFbS8D2tgaZeEdsEo' +
        'uRfHSgLwBeHMGAyUEW/MQ4D7AP3TBMCyLkVyQk56NEzcp0anUUJ2gj9drND6YS/z5wART3Gqn57lzJx9ddYxRT/rmYdmuTVmM0iabxlL38j2iGc7iywEDfyg/BeZhBa84A' +
        'KWajpKdDgBiz0Xa3IzsGiwY42r/sXPmFhNb2BTHOO21YJF4tgQoFWu+qJMiOymM8OZRavvRBa4APpPHivU26AQ==',
      ['a', 'ü-n+.bin'],
    ],
    [
      'Python',
      'F/8nAI7EOEZyWYWzLG+Xpc79j2pCFarNhqLZXu4acMMtxYcIqlg//bnnhe8JjGhYPsKyUeT5zgdeJeiRv4O+JpSe99qYDLAiZUAOzM6vzSZjfHBUvPuiWA6ykdpfP/MGJJ' +
        '098oJBAoamXyzv1fyfg8vuBJDgmUFJzHvsirO8hhlo7DFA3ANTbxA26JpFh3BonSvwY0Dl74Ccp45AOQsPQ9U8LQK5c+P9rtqjoMOlcZeVD/cOIMdulqVP5HsHkRKoR27l' +
        'cMR7/IsauVEy7RlyHQbdAgAB',
      ['d/a', 'd/ü-n+', 'x+/y'],
    ],
    [
      'Python, in the format of GNU',
      'F/8nAB4Hdkz4jU4xsngdoZLryaQoFPZYbQ+SZiN3jdON2DwIvLpuviikTV7jgW3gI5pOYOJPkehV5y9GlRaN//74YNvaToTe9peoQnPfJAcA1wa8mI3vv14q0CBiGzHFFD' +
        'CgQGp2gHih6rFjeGzzoO6nxRdFOUvSGBkxNScO8wag3Ywdn4+nP6uUUKZ+B+z9A/C3ltKiFHcEKS0fbyoLWj7EzBdkqKXRTQAQ',
      ['d/a', 'd/ü-n+', 'x+/y'],
    ],
    [
      'node-tar',
      'F/8RAMbC6V7HqAhDe5/NiGIuhWw3Wy0vcBzd1MOnSBILMJDEx8bsiygbSyCDcHlgvLaHk6JUzy498InNIVjYIXHsMqUMIHlrJcGxzespbDXYOw9tCJx+HV6SJaovH2GQAH' +
        'KeYM3Ftq423S6nLtOMCIjrjPGBqCaAFWTd1gG8tu1ZEE/4/3UeCOYMoDNK6drdAYv9hbnLvgFGgwGzwtMCHMvUHSpPa5KfH0IZWQQgeZF917rAQSHR1vdRZyhwOcjjcDZf' +
        'nZKyekdnoYxQ2p50fjwjAy5AF4KD+ojFiiKLIJtzGSGY5X0AA6L7mkfR/fDijNrr7471RFXlNz7YGODLtYcHdjAlet0C',
      ['d/a', 'd/ü-n+.bin'],
    ],
    [
      'Go',
      'F/8dAB4HbizNaEm8GvTZ/I1U7dvfrarwFfYKCMwJCEm9J2FAyEqBd+CcvMASGVH5dDTiDTPIk2BCFkkDqXoB+CG8dVeiT4x6Z5YGPpmAiJEJBDhYgX8d6kgjgfi7I3xCwE' +
        'LQh3DYzusBzjnvPLjE7yaAFTEHkJlgpxs26Db/lcx+ln8Sjn+EpGuAkaVLDHBfxpLrcr4h4V2NEhpdXK3MKT3avky2BjhDRlbTzpdpvQGM8lx5bjvv1QGf/Hx/dgSU3VUY' +
        'vg+6R8i88igH1GEE',
      ['a', 'ü', 'n+', 'd+/e+'],
    ],
    [
      'git archive',
      'F/8nII6UrFOr/L0z0VN+7ScEaHcovReS3Yf3C97RU229qUJTKi4zeMc/j+gKzWCAExgQnBu/8RsfEEy3uSlFZ4/0RDIMKryV3yqmntTMaEAAQwREwIT/3TKxCtjNIUoAZ0' +
        '1MW4L1TpGAgNygpTRLovfXhmZr+sRSctl4DW+ailbXJpYG3bAZHihce2njWpWTBJfCCfmxW0+AyOmuEsAEPhssDFJIKTD/Ar5mmSxGtqWDwOVwt1f0bFlp1hgHibVYuFT4' +
        'MLQ61qjhViMGbKpHQL27lV+NWLMSkIsdXoK3pYN+DDjhZZHQX9//p5d5DnWxv+hONhIgXRkbUgJcH90gmHQbABw=',
      ['d/a', 'd/ü-n+.bin'],
    ],
  ];
  const read = (packed: string): Buffer => brotliDecompressSync(Buffer.from(packed, 'base64'));

  it.each(WRITTEN)('as written by %s is read', async (_writer, packed, names) => {
    expect((await members(read(packed))).map(({ name }) => name.replace(/(.)\1{9,}/g, '$1+'))).toEqual(names);
    expect(await refusalsOf(read(packed), 'x.tar')).toEqual([]);
  });

  it.each([
    ['nothing', ''],
    ['a binary value', 'SCHILY.xattr.user.x=a\n\0b=c\n7 x=y\n'],
    ['nothing about a value', 'comment='],
  ])('may say %s in an extended header', async (_what, record) => {
    expect(await members(record === '' ? pax() : pax(record), a(), END)).toHaveLength(1);
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
  const sizeless = (): Buffer => put(entry({ path: 'evil.pkl' }, EVIL), 124, '00000000000');
  const long = (): Buffer => typed(entry({ path: '././@LongLink' }, 'very/long\0'), 'L');
  /** An extended header of whatever text. */
  const raw = (content: string): Buffer => typed(entry({ path: 'pax' }, content), 'x');
  const behind = (): Buffer => {
    const block = pax('comment=b');
    block.write(records('path=../../evil'), 512 + 100);
    return block;
  };
  /** All eight bytes of the checksum are digits, and those that follow read on to another number. */
  const unended = (): Buffer => {
    const block = a();
    block.write(`00${block.toString('latin1', 148, 154)}`, 148);
    return block;
  };
  const wrong = (): Buffer => {
    const block = a();
    block.write('b', 0, 'latin1');
    return block;
  };

  it.each<[string, readonly Buffer[], RegExp]>([
    ['a member that reaches beyond the end', [beyond()], /reaches beyond the end/],
    ['a member one byte too long for the file', [a().subarray(0, 514)], /reaches beyond the end/],
    ['a size beyond exact numbers', [sized(0x80, 0xff), END], /a number that cannot be read/],
    ['a size in no known base', [sized(0x81, 0), END], /a number that cannot be read/],
    ['a size below nothing', [sized(0xff, 0xff), END], /a number that cannot be read/],
    ['a size of nothing', [sized(0x20, 0x20), END], /a number that cannot be read/],
    ['a size behind a zero, which GNU tar skips', [put(a(), 124, '\x000000001000'), END], /a number that cannot be read/],
    ['a size behind a size', [put(a(), 124, '3\x003\0       \0'), END], /a number that cannot be read/],
    ['a mode in no known base', [put(a(), 100, '\x81'), END], /a number that cannot be read/],
    ['an owner beyond exact numbers', [put(a(), 108, '\x80\x01'), END], /a number that cannot be read/],
    ['a date in words', [put(a(), 136, 'today'), END], /a number that cannot be read/],
    ['a device in words', [put(a(), 337, 'x'), END], /a number that cannot be read/],
    ['a time in words', [put(a(), 488, 'x'), END], /a number that cannot be read/],
    ['a size of half a byte', [pax('size=0.5'), a(), END], /a size that cannot be read/],
    ['a size with a sign', [pax('size=+3'), a(), END], /a size that cannot be read/],
    ['another size in an extended header', [pax('size=2'), a(), END], /two sizes/],
    ['another size in an extended header, of nothing', [pax('size=0'), a(), END], /two sizes/],
    ['a checksum that ends where the type begins', [unended(), END], /whose checksum is wrong/],
    ['half a header', [a(), END.subarray(0, 100)], /a header reaches beyond the end of the file/],
    ['a wrong checksum', [a(), wrong(), END], /has a header at byte 1024 whose checksum is wrong/],
    ['sparse members', [pax('GNU.sparse.major=1'), a(), END], /has sparse members/],
    ['sparse members for all', [global('GNU.sparse.size=9'), a(), END], /has sparse members/],
    ['one size for all', [global('size=9'), a(), END], /gives all its members one size or name/],
    ['one name for all', [global('path=b'), a(), END], /gives all its members one size or name/],
    ['one target for all', [global('linkpath=b'), a(), END], /gives all its members one size or name/],
    ['a directory with content', [full(), a(), END], /has a directory with content/],
    ['a directory with content in an extended header', [pax(`size=${8 ** 11}`), entry({ path: 'd/', type: 'Directory' })], /directory with/],
    ['a file that is a directory to some', [entry({ path: 'd/' }, EVIL), END], /directory with content/],
    ['a file that is a directory by its long name', [typed(entry({ path: 'l' }, 'd/\0'), 'L'), a(), END], /directory with content/],
    ['an old file that is a directory to Python', [pax('path=a'), typed(entry({ path: 'd/' }, EVIL), '\0'), END], /directory with content/],
    ['a directory that is a file to Python', [pax(`size=${EVIL.length}`), typed(sizeless(), 'D'), END], /no file \(type "D"\)/],
    ['a file of which another header says the size', [pax('size=512'), entry({ path: 'd/' }), entry({ path: 'x' }, EVIL), END], /two sizes/],
    ['a symbolic link', [entry({ path: 'l', type: 'SymbolicLink', linkpath: '/etc/passwd' }), END], /no file \(a link\)/],
    ['a symbolic link to nothing', [entry({ path: 'l', type: 'SymbolicLink' }), END], /no file \(type "2"\)/],
    ['a hard link', [entry({ path: 'l', type: 'Link', linkpath: 'a' }), END], /no file \(a link\)/],
    ['a file with the target of a link', [put(a(), 157, 'b'), END], /no file \(a link\)/],
    ['a device', [entry({ path: 'l', type: 'CharacterDevice' }), END], /no file \(type "3"\)/],
    ['a FIFO', [entry({ path: 'l', type: 'FIFO' }), END], /no file \(type "6"\)/],
    ['a long target of a link', [typed(entry({ path: 'l' }, 'b\0'), 'K'), a(), END], /no file \(type "K"\)/],
    ...[...'14DIKMNSVXAZ', '\xff'].map((type): [string, readonly Buffer[], RegExp] => [
      `a member of the type ${type}`,
      [typed(entry({ path: 'x' }, EVIL), type), END],
      /no file \(type /,
    ]),
    ['a name that only some readers see in a value', [pax(`comment=x\n${records('path=../../evil')}`), a(), END], /read in two ways/],
    ['a size that only some readers see in a value', [pax('comment=x\n9\tsize=9'), a(), END], /read in two ways/],
    ['a size that ends with a line feed', [pax('size=3\n'), a(), END], /read in two ways/],
    ['a name with a line feed', [pax('path=../../evil\nx'), a(), END], /read in two ways/],
    ['a target with a line feed', [pax('linkpath=b\n'), a(), END], /read in two ways/],
    ['a name with a zero', [pax('path=b\0c'), a(), END], /read in two ways/],
    ['a name of nothing in an extended header', [pax('path='), a(), END], /read in two ways/],
    ['a name that is no UTF-8', [typed(entry({ path: 'pax' }, Buffer.from('9 path=\xff\n', 'latin1')), 'x'), a(), END], /read in two ways/],
    ['a record that is cut off', [raw('12 path=b\n'), a(), END], /extended header that cannot be read/],
    ['a record that ends before its value', [raw('7 path=b\n'), a(), END], /extended header that cannot be read/],
    ['a record of no length', [raw('0 path=b\n'), a(), END], /extended header that cannot be read/],
    ['a record behind blanks, which GNU tar skips', [raw('11  path=b\n'), a(), END], /extended header that cannot be read/],
    ['a record without a line feed', [raw('9 path=bc'), a(), END], /extended header that cannot be read/],
    ['a record without a value', [raw('7 path\n'), a(), END], /extended header that cannot be read/],
    ['bytes behind the last record', [raw('9 path=b\n\0'), a(), END], /extended header that cannot be read/],
    ['a record behind the length of the header', [behind(), a(), END], /bytes behind a member/],
    ['a record twice', [pax('path=b', 'path=c'), a(), END], /says path twice/],
    ['two extended headers', [pax('path=b'), pax('path=c'), a(), END], /more than one header before a member/],
    ['two long names', [long(), long(), a(), END], /more than one header before a member/],
    ['an extended header and a long name', [pax('path=b'), long(), a(), END], /more than one header before a member/],
    ['a long name and an extended header', [long(), pax('path=b'), a(), END], /more than one header before a member/],
    ['a header for all between a header and its member', [pax('path=b'), global('comment=c'), a(), END], /more than one header before a member/],
    ['a long name of no member', [a(), long(), END], /a header before no member/],
    ['an extended header at the end of the file', [a(), pax('path=b')], /a header before no member/],
    ['bytes behind a long name', [typed(entry({ path: 'l' }, 'b\0c'), 'L'), a(), END], /a name with bytes behind its end/],
    ['a long name of nothing', [typed(entry({ path: 'l' }, '\0'), 'L'), a(), END], /a member without a name/],
    ['bytes behind a name', [put(a(), 2, '\nb'), END], /a name with bytes behind its end/],
    ['bytes behind the first part of a name', [put(a(), 345, 'p\0\nq'), END], /a name with bytes behind its end/],
    ['no name', [put(a(), 0, '\0'), END], /a member without a name/],
    ['an extended header without a name', [put(pax('path=b'), 0, '\0\0\0'), a(), END], /a header without a name/],
    ['the first part of a name in a header of GNU tar', [put(put(a(), 345, '../..'), 257, 'ustar  \0'), END], /only some readers see/],
    ['the first part of a name in an old header', [put(put(a(), 345, '../..'), 257, '\0'.repeat(8)), END], /only some readers see/],
    ['the first part of a name in another version', [put(put(a(), 345, '../..'), 257, 'ustar\x0001'), END], /only some readers see/],
    ['another size in a header of GNU tar, which bsdtar takes', [put(put(a(), 483, '00000001000'), 257, 'ustar  \0'), END], /bytes behind its end/],
    ['bytes behind a file', [put(a(), 1023, 'x'), END], /bytes behind a member/],
    ['a block that is cut off', [a().subarray(0, 515)], /ends within a block/],
    ['an extended header of more than a MiB', [typed(entry({ path: 'pax' }, Buffer.alloc(1024 * 1024 + 1)), 'x')], /header of 1048577 bytes/],
    ['bytes behind the end', [a(), END, Buffer.alloc(2 * 1024 * 1024), Buffer.from('x')], /bytes behind its end/],
    ['a file behind the end', [a(), END, a()], /bytes behind its end/],
  ])('%s', async (_what, parts, message) => {
    await expect(members(...parts)).rejects.toThrow(Defect);
    await expect(members(...parts)).rejects.toThrow(message);
    expect(await refusalsOf(Buffer.concat(parts))).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED tar: /));
  });

  it('but an extended header of a MiB is none, nor are any number of empty blocks', async () => {
    const large = typed(entry({ path: 'pax' }, records(`comment=${'x'.repeat(1024 * 1024 - 17)}`)), 'x');
    expect(await members(large, a(), END, Buffer.alloc(3 * 1024 * 1024))).toHaveLength(1);
  });
});
