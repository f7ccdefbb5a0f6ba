// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import type { Finding } from './finding.ts';
import { judgeBySearch } from './searchBytes.ts';

const MAGIC = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');
const FIRST_BLOCK_BYTES = 512;

/** Where it begins: at once, or behind a block of the user's. */
export async function startOfHdf5(source: ByteSource): Promise<number | undefined> {
  // What was not decompressed cannot be looked at.
  const end = (source.readableBytes ?? source.sizeBytes) - MAGIC.length;
  for (let at = 0; at <= end; at = at === 0 ? FIRST_BLOCK_BYTES : at * 2) {
    if (MAGIC.equals(await source.read(at, MAGIC.length))) return at;
  }
  return undefined;
}

/** A text as JSON may write it: with an escape for any of its characters. */
function inJson(text: string): string {
  const hex = (character: string): string =>
    Buffer.from(character)
      .toString('hex')
      .replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
  return `"${[...text].map((character) => `(?:${character}|\\\\u00${hex(character)})`).join('')}"`;
}

/** Keras keeps a model's layers as JSON in an attribute, which is never packed. A name with an escape might be any. */
const LAYERS_OF_CODE = [new RegExp(`${inJson('class_name')}\\s*:\\s*"(?:Lambda"|[^"\\\\]{0,40}\\\\u)`), /__lambda__/];

/** Nothing of the structure is read; the names of Keras' layers of code are looked for in all of it. */
export function judgeHdf5(source: ByteSource): Promise<readonly Finding[]> {
  return judgeBySearch(source, 'hdf5', LAYERS_OF_CODE, 'has a Keras layer of code');
}
