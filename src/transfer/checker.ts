// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile, Part } from '../oms/manifest.ts';
import { type Hasher, hasherFactory } from './hash.ts';

/** Hashes one file's bytes as they pass, part by part, and refuses at the first part that is not what was signed. */
export type Checker = {
  /** Bytes in file order. @throws DIGEST_MISMATCH, SIZE_MISMATCH */
  update(bytes: Uint8Array): void;
  /** After the last byte; the parts that matched. @throws DIGEST_MISMATCH, SIZE_MISMATCH */
  finish(): readonly Part[];
};

export async function createChecker(file: ManifestFile): Promise<Checker> {
  const newHasher = await hasherFactory(file.algorithm);
  let index = 0;
  let position = 0;
  let current: Hasher | undefined;

  function closePart(): void {
    const part = file.parts[index];
    const found = (current ?? newHasher()).digest();
    if (part?.digest !== found) throw mismatch(file, part?.digest ?? '', found, part?.range);
    index++;
    current = undefined;
  }

  return {
    update(bytes) {
      let offset = 0;
      while (offset < bytes.length) {
        const range = file.parts[index]?.range;
        if (range === undefined) throw wrongLength(file, `more than ${position} bytes`);
        current ??= newHasher();
        const hasher = current;
        if (range === 'whole') {
          hasher.update(offset === 0 ? bytes : bytes.subarray(offset));
          position += bytes.length - offset;
          return;
        }
        const take = Math.min(bytes.length - offset, range.end - position);
        hasher.update(bytes.subarray(offset, offset + take));
        offset += take;
        position += take;
        if (position === range.end) closePart();
      }
    },
    finish() {
      if (file.parts[index]?.range === 'whole') closePart();
      if (index < file.parts.length) throw wrongLength(file, `${position} bytes`);
      return file.parts;
    },
  };
}

function mismatch(file: ManifestFile, expected: string, found: string, range: { start: number; end: number } | 'whole' | undefined): AppError {
  const name = printable(file.path);
  const where = range === undefined || range === 'whole' ? `'${name}'` : `'${name}' (bytes ${range.start} to ${range.end})`;
  return new AppError('DIGEST_MISMATCH', `Hash mismatch for ${where}: Expected '${expected}', Actual '${found}' (${file.algorithm})`, {
    context: { path: name, expected, found },
  });
}

function wrongLength(file: ManifestFile, found: string): AppError {
  const name = printable(file.path);
  const expected = `${file.sizeBytes ?? '?'} bytes`;
  return new AppError('SIZE_MISMATCH', `Wrong length of '${name}': expected ${expected}, found ${found}`, { context: { path: name, expected, found } });
}
