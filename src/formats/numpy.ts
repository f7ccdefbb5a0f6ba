// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';
import { type Literal, readLiteral } from './pythonLiteral.ts';

const MAX_HEADER_BYTES = 64 * 1024;
/** As many as numpy has since version 2. */
const MAX_DIMENSIONS = 64;

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
  const dictionary = readLiteral(header);
  if (dictionary.kind !== 'dictionary') throw new Defect('the header is no dictionary');
  const fields = new Map<string, Literal>();
  for (const [key, value] of dictionary.entries) {
    const name = key.kind === 'text' ? key.text : '';
    if (!/^(descr|fortran_order|shape)$/.test(name) || fields.has(name)) throw new Defect('the header has other fields than descr, fortran_order and shape');
    fields.set(name, value);
  }
  const count = itemCount(fields.get('shape'));
  if (count === undefined || fields.get('fortran_order')?.kind !== 'truth') throw new Defect('the header’s shape or order cannot be read');
  const itemBytes = itemSize(fields.get('descr'));
  return itemBytes === 'objects' ? { kind: 'objects' } : { kind: 'numbers', sizeBytes: Number(itemBytes * count) };
}

/** How many items an array of this shape has; undefined when it is none. */
function itemCount(shape: Literal | undefined): bigint | undefined {
  if (shape?.kind !== 'tuple') return undefined;
  if (shape.items.length > MAX_DIMENSIONS) throw new Defect(`the header has a shape of more than ${MAX_DIMENSIONS} dimensions`);
  let count = 1n;
  for (const item of shape.items) {
    if (item.kind !== 'number') return undefined;
    count *= item.value;
  }
  return count;
}

/**
 * Bytes of one item. Structures (lists of fields: a name, a type, perhaps the shape of an array within) are summed; one that holds an object
 * anywhere makes the array a pickle. A pair of a type and a shape is an array of arrays within.
 */
function itemSize(descr: Literal | undefined): bigint | 'objects' {
  if (descr?.kind === 'text') return typeSize(descr.text);
  if (descr?.kind === 'tuple' && descr.items.length === 2) return sizeOf(descr.items);
  if (descr?.kind !== 'list') throw new Defect('the header’s type cannot be read');
  let sum = 0n;
  for (const field of descr.items) {
    const size = sizeOf(field.kind === 'tuple' ? field.items.slice(1) : []);
    if (size === 'objects') return size;
    sum += size;
  }
  return sum;
}

function sizeOf([type, shape, ...more]: readonly Literal[]): bigint | 'objects' {
  const count = shape === undefined ? 1n : itemCount(shape);
  if (type === undefined || count === undefined || more.length > 0) throw new Defect('the header’s structure cannot be read');
  const size = itemSize(type);
  return size === 'objects' ? size : size * count;
}

function typeSize(type: string): bigint | 'objects' {
  const [, kind = '', digits = '', unit] = /^[<>=|]?([a-zA-Z?])(\d{0,10})(\[[^\]]*\])?$/.exec(type) ?? [];
  if (kind === '') throw new Defect('the header’s type cannot be read');
  if (kind === 'O') return 'objects';
  if (!'biufcSaUVMm?'.includes(kind) || (unit !== undefined && !'Mm'.includes(kind))) throw new Defect('the header’s type is unknown');
  // Letters alone mean other sizes than their own: `f` is four bytes, and numpy writes none.
  if ((digits === '') !== (kind === '?')) throw new Defect('the header’s type is unknown');
  return BigInt(digits || 1) * (kind === 'U' ? 4n : 1n);
}
