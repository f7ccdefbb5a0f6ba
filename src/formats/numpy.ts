// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';

const MAX_HEADER_BYTES = 64 * 1024;

/** Where an array's data begins, and whether they are numbers or a pickle. */
export type NpyHeader = {
  readonly dataStart: number;
  readonly content: { readonly kind: 'numbers'; readonly sizeBytes: number } | { readonly kind: 'objects' };
};

/** Reads the header of a .npy file (versions 1 to 3) without evaluating it. @throws Defect */
export async function readNpyHeader(source: ByteSource): Promise<NpyHeader> {
  const start = await readExactly(source, 0, 10, 'the header');
  const version = start[6] ?? 0;
  if (version < 1 || version > 3 || start[7] !== 0) throw new Defect(`has version ${version}.${start[7]}`);
  const lengthBytes = version === 1 ? 2 : 4;
  const length = version === 1 ? start.readUInt16LE(8) : (await readExactly(source, 8, 4, 'the header’s length')).readUInt32LE();
  if (length > MAX_HEADER_BYTES) throw new Defect(`the header has ${length} bytes, more than ${MAX_HEADER_BYTES}`);
  const header = (await readExactly(source, 8 + lengthBytes, length, 'the header')).toString(version === 3 ? 'utf8' : 'latin1');
  return { dataStart: 8 + lengthBytes + length, content: content(header) };
}

/** The header is a Python dictionary of exactly three literals. */
function content(header: string): NpyHeader['content'] {
  const fields = new Map<string, string>();
  const inside = /^\s*\{([\s\S]*)\}\s*$/.exec(header)?.[1];
  if (inside === undefined) throw new Defect('the header is no dictionary');
  for (const part of splitTopLevel(inside)) {
    const [, , name = '', value = ''] = /^\s*(['"])(descr|fortran_order|shape)\1\s*:\s*([\s\S]*?)\s*$/.exec(part) ?? [];
    if (name === '' || fields.has(name)) throw new Defect('the header has other fields than descr, fortran_order and shape');
    fields.set(name, value);
  }
  const descr = fields.get('descr') ?? '';
  const shape = /^\(\s*((?:\d{1,16}L?\s*,\s*)*(?:\d{1,16}L?)?)\s*\)$/.exec(fields.get('shape') ?? '')?.[1];
  if (shape === undefined || !/^(True|False)$/.test(fields.get('fortran_order') ?? '')) throw new Defect('the header’s shape or order cannot be read');
  const itemBytes = itemSize(descr);
  if (itemBytes === 'objects') return { kind: 'objects' };
  const counts = [...shape.matchAll(/\d+/g)].map(([digits]) => BigInt(digits));
  return { kind: 'numbers', sizeBytes: Number(counts.reduce((product, count) => product * count, BigInt(itemBytes))) };
}

/** Bytes of one item. Structures (lists of fields) are summed; one that holds an object anywhere makes the array a pickle. */
function itemSize(descr: string): number | 'objects' {
  const simple = /^(['"])([<>=|]?[a-zA-Z?]\d*(?:\[[^'"]*\])?)\1$/.exec(descr)?.[2];
  if (simple !== undefined) return typeSize(simple);
  if (!/^\[[\s\S]*\]$/.test(descr)) throw new Defect('the header’s type cannot be read');
  let sum = 0;
  for (const field of splitTopLevel(descr.slice(1, -1))) {
    const inside = /^\s*\(([\s\S]*)\)\s*$/.exec(field)?.[1];
    const [name, type = '', shape = '', ...more] = inside === undefined ? [] : splitTopLevel(inside);
    if (name === undefined || more.length > 0) throw new Defect('the header’s structure cannot be read');
    const size = itemSize(type.trim());
    if (size === 'objects') return size;
    if (shape.trim() !== '' && !/^\s*\([\d,\s]*\)\s*$/.test(shape)) throw new Defect('the header’s structure cannot be read');
    sum += [...shape.matchAll(/\d+/g)].reduce((product, [digits]) => product * Number(digits), size);
  }
  return sum;
}

function typeSize(type: string): number | 'objects' {
  const [, kind = '', digits = '', unit] = /^[<>=|]?([a-zA-Z?])(\d*)(\[.*\])?$/.exec(type) ?? [];
  if (kind === 'O') return 'objects';
  if (!'biufcSaUVMm?'.includes(kind) || (unit !== undefined && !'Mm'.includes(kind))) throw new Defect('the header’s type is unknown');
  return (digits === '' ? 1 : Number(digits)) * (kind === 'U' ? 4 : 1);
}

/** Splits at commas that stand in no bracket and no string. */
function splitTopLevel(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const [token] of text.matchAll(/'[^'\\]*'|"[^"\\]*"|[\s\S]/g)) {
    if (token === '(' || token === '[' || token === '{') depth += 1;
    if (token === ')' || token === ']' || token === '}') depth -= 1;
    if (depth > 16) throw new Defect('the header is nested too deeply');
    if (token === ',' && depth === 0) {
      parts.push(part);
      part = '';
    } else part += token;
  }
  return part.trim() === '' ? parts : [...parts, part];
}
