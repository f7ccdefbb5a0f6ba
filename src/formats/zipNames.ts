// SPDX-License-Identifier: Apache-2.0
// Imports yauzl (CommonJS): load this file lazily.
import { isUtf8 } from 'node:buffer';
import { type ExtraField, validateFileName } from 'yauzl';
import { Defect } from './finding.ts';

const UTF8_FLAG = 0x0800;
const UNICODE_PATH_FIELD = 0x7075;
const UPPER_CP437 = 'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';
/** The character of each byte in code page 437. */
const CP437 = Uint16Array.from({ length: 256 }, (_, byte) => (byte < 128 ? byte : UPPER_CP437.charCodeAt(byte - 128)));

/** A member's name as Python's zipfile reads it. @throws Defect when another reader would have another name, or write it outside */
export function nameOf(raw: Buffer, flags: number): string {
  const utf8 = (flags & UTF8_FLAG) !== 0;
  if (utf8 && !isUtf8(raw)) throw new Defect('has a member whose name is not UTF-8');
  const name = utf8 ? raw.toString() : Buffer.from(new Uint16Array(raw).map((byte) => CP437[byte] ?? 0).buffer).toString('utf16le');
  // There some readers end it.
  if (name.includes('\0')) throw new Defect('has a member with a NUL in its name');
  const problem = validateFileName(name);
  if (problem !== null) throw new Defect(`is no readable zip: ${problem}`);
  return name;
}

/** Whether a member has another name, which some readers prefer. */
export function isRenamed(name: string, fields: readonly ExtraField[]): boolean {
  return fields.some(({ id, data }) => id === UNICODE_PATH_FIELD && data.toString('utf8', 5) !== name);
}
