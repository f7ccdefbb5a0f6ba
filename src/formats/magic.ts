// SPDX-License-Identifier: Apache-2.0
import type { Format } from './finding.ts';

/** Formats told by their first bytes, of which nothing more is checked. `head` holds the first 4 KiB. */
export function byMagic(head: Buffer): { readonly format: Format; readonly detail: string } | undefined {
  for (const [bytes, format, detail] of MAGIC) if (head.subarray(0, bytes.length).equals(bytes)) return { format, detail };
  if (head.toString('latin1', 4, 8) === 'TFL3') return { format: 'tflite', detail: 'TensorFlow Lite' };
  if (head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WEBP') return { format: 'image', detail: 'WebP' };
  if (isPortableExecutable(head)) return { format: 'executable', detail: 'Windows' };
  return undefined;
}

const MAGIC: readonly (readonly [Buffer, Format, string])[] = (
  [
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
  ] as const
).map(([bytes, format, detail]) => [Buffer.from(bytes, 'latin1'), format, detail] as const);

/** Two letters are no evidence: the header they announce has to be there, or the small DOS program that every linker puts in. */
function isPortableExecutable(head: Buffer): boolean {
  if (head.length < 64 || head.toString('latin1', 0, 2) !== 'MZ') return false;
  const at = head.readUInt32LE(60);
  return head.toString('latin1', at, at + 4) === 'PE\0\0' || head.includes('This program cannot be run');
}
