// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly, readHead } from './byteSource.ts';
import { Defect } from './finding.ts';
import { isObject, parseStrictJson } from './json.ts';

/** As the reference library: a longer header would only serve to exhaust memory. It also has to fit what is read at once here. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

const BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

/** Whether the file begins like safetensors: a length of a header that fits, and the beginning of a JSON object. */
export async function looksLikeSafetensors(source: ByteSource): Promise<boolean> {
  const head = await readHead(source, 10);
  return head.length === 10 && /^\{[\s"}]$/.test(head.toString('latin1', 8)) && head.readBigUInt64LE() <= BigInt(source.sizeBytes);
}

/** Checks the whole header as the reference library does, and that the tensors cover the rest of the file exactly, each byte once. @throws Defect */
export async function checkSafetensors(source: ByteSource): Promise<void> {
  const headerBytes = Number((await readExactly(source, 0, 8, 'the header’s length')).readBigUInt64LE());
  if (headerBytes > MAX_HEADER_BYTES) throw new Defect(`the header has ${headerBytes} bytes, more than ${MAX_HEADER_BYTES}`);
  const header = parseStrictJson(await readExactly(source, 8, headerBytes, 'the header'));
  if (!isObject(header)) throw new Defect('the header is no JSON object');
  const ranges = Object.entries(header).flatMap(([name, value]) => (name === '__metadata__' ? checkMetadata(value) : [range(name, value)]));
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const tensor of ranges) {
    if (tensor.begin !== end) throw new Defect(`tensor ‘${tensor.name}’ ${tensor.begin < end ? 'overlaps another' : 'leaves a hole before it'}`);
    end = tensor.end;
  }
  const dataBytes = source.sizeBytes - 8 - headerBytes;
  if (end !== dataBytes) throw new Defect(`the tensors have ${end} bytes, the file has ${dataBytes} for them`);
}

type Range = { readonly name: string; readonly begin: number; readonly end: number };

function checkMetadata(value: unknown): readonly Range[] {
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== 'string')) throw new Defect('__metadata__ is no map of texts');
  return [];
}

function range(name: string, value: unknown): Range {
  if (!isObject(value)) throw new Defect(`tensor ‘${name}’ is not described`);
  const { dtype, shape, data_offsets: offsets, ...others } = value;
  const bits = typeof dtype === 'string' && Object.hasOwn(BITS, dtype) ? BITS[dtype] : undefined;
  if (bits === undefined) throw new Defect(`tensor ‘${name}’ has an unknown dtype`);
  if (Object.keys(others).length > 0) throw new Defect(`tensor ‘${name}’ has unknown fields`);
  if (!isCounts(shape)) throw new Defect(`tensor ‘${name}’ has no valid shape`);
  if (!isCounts(offsets) || offsets.length !== 2) throw new Defect(`tensor ‘${name}’ has no valid offsets`);
  const [begin = 0, end = 0] = offsets;
  const sizeBits = shape.reduce((product, count) => product * BigInt(count), BigInt(bits));
  if (BigInt(end) - BigInt(begin) !== sizeBits / 8n || sizeBits % 8n !== 0n) throw new Defect(`tensor ‘${name}’ has not the size of its shape`);
  return { name, begin, end };
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length <= 64 && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}
