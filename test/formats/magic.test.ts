// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { byMagic } from '../../src/formats/magic.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('first bytes', () => {
  const KNOWN: readonly (readonly [string, string, string])[] = [
    ['\x7fELF', 'executable', 'ELF'],
    ['\xfe\xed\xfa\xce', 'executable', 'Mach-O'],
    ['\xfe\xed\xfa\xcf', 'executable', 'Mach-O'],
    ['\xce\xfa\xed\xfe', 'executable', 'Mach-O'],
    ['\xcf\xfa\xed\xfe', 'executable', 'Mach-O'],
    ['\xca\xfe\xba\xbe', 'executable', 'Java class or Mach-O'],
    ['\0asm\x01\0\0\0', 'executable', 'WebAssembly'],
    ['dex\n0', 'executable', 'Android'],
    ['!<arch>\n', 'executable', 'static library'],
    ['\x89HDF\r\n\x1a\n', 'hdf5', 'HDF5'],
    ['PAR1', 'parquet', 'Parquet'],
    ['%PDF-', 'pdf', 'PDF'],
    ['\x89PNG\r\n\x1a\n', 'image', 'PNG'],
    ['\xff\xd8\xff', 'image', 'JPEG'],
    ['GIF87a', 'image', 'GIF'],
    ['GIF89a', 'image', 'GIF'],
    ['BZh', 'unknown', 'bzip2: not looked into'],
    ['\xfd7zXZ\0', 'unknown', 'xz: not looked into'],
    ['\x5d\0\0\x80\0', 'unknown', 'LZMA: not looked into'],
    ['\x28\xb5\x2f\xfd', 'unknown', 'Zstandard: not looked into'],
    ['\x04\x22\x4d\x18', 'unknown', 'LZ4: not looked into'],
    ['7z\xbc\xaf\x27\x1c', 'unknown', '7z archive: not looked into'],
    ['Rar!\x1a\x07', 'unknown', 'RAR archive: not looked into'],
    ['xxxxTFL3', 'tflite', 'TensorFlow Lite'],
    ['RIFFxxxxWEBP', 'image', 'WebP'],
  ];

  it.each(KNOWN)('%j are those of %s: %s', (magic, format, detail) => {
    expect(byMagic(bytes(magic))).toEqual({ format, detail });
    expect(byMagic(bytes(`${magic}more`))).toEqual({ format, detail });
  });

  it.each(KNOWN)('%j are nothing when one is missing, or stands before them', (magic) => {
    expect(byMagic(bytes(magic.slice(0, -1)))).toBeUndefined();
    expect(byMagic(bytes(` ${magic}`))).toBeUndefined();
  });

  it.each(['', 'hello', 'RIFFxxxxWAVE', 'XXXXxxxxWEBP', 'RIFFWEBP', 'TFL3'])('%j are those of none', (text) => {
    expect(byMagic(bytes(text))).toBeUndefined();
  });
});

describe('a program for Windows', () => {
  const WINDOWS = { format: 'executable', detail: 'Windows' };

  /** A DOS header that says where the other begins. */
  function program(at: number, start = 'MZ', rest: Buffer = Buffer.alloc(0)): Buffer {
    const head = Buffer.alloc(64);
    head.write(start, 'latin1');
    head.writeUInt32LE(at, 60);
    return Buffer.concat([head, rest]);
  }

  it('is one when the header stands where it says', () => {
    expect(byMagic(program(64, 'MZ', bytes('PE\0\0')))).toEqual(WINDOWS);
    expect(byMagic(program(66, 'MZ', bytes('PEPE\0\0')))).toEqual(WINDOWS);
  });

  it('is one by the small program that linkers put in', () => {
    expect(byMagic(program(0, 'MZ', bytes('!This program cannot be run in DOS mode.')))).toEqual(WINDOWS);
  });

  it.each<[string, Buffer]>([
    ['other letters', program(64, 'MY', bytes('PE\0\0'))],
    ['the header elsewhere', program(65, 'MZ', bytes('PE\0\0'))],
    ['half of a header', program(64, 'MZ', bytes('PE\0'))],
    ['a header beyond all files', program(0xffffffff, 'MZ', bytes('PE\0\0'))],
    ['another header', program(64, 'MZ', bytes('NE\0\0'))],
    ['letters only', bytes('MZ is a movie zone')],
  ])('is none with %s', (_what, head) => {
    expect(byMagic(head)).toBeUndefined();
  });

  it('has 64 bytes at least', () => {
    const smallest = program(4, 'MZ\0\0PE\0\0');
    expect(byMagic(smallest)).toEqual(WINDOWS);
    expect(byMagic(smallest.subarray(0, 63))).toBeUndefined();
  });
});
