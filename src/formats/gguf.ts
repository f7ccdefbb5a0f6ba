// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import { Cursor } from './cursor.ts';
import { Defect, type Finding } from './finding.ts';
import { codeInTemplate } from './remoteCode.ts';

const MAX_PAIRS = 65_536;
const MAX_TENSORS = 1_000_000;
const MAX_ELEMENTS = 64_000_000;
const MAX_STRING_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 4;
const MAX_TEMPLATE_BYTES = 1024 * 1024;
/** Bytes of the value types of fixed size: integers, floats and booleans by their number in the format. */
const FIXED: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const STRING = 8;
const ARRAY = 9;

/** Checks the header of a GGUF file: every key, value and tensor lies inside it. What its chat templates reach for is told. @throws Defect */
export async function checkGguf(source: ByteSource): Promise<readonly Finding[]> {
  const reader = new Reader(source);
  await reader.need(24);
  reader.cursor.skip(4);
  const version = reader.cursor.take(4).readUInt32LE();
  if (version !== 2 && version !== 3) throw new Defect(version === 1 ? 'has version 1, which nothing loads any more' : `has version ${version}`);
  const tensors = reader.count(MAX_TENSORS, 'tensors');
  const pairs = reader.count(MAX_PAIRS, 'values');
  let alignment = 32;
  let code: string | undefined;
  for (let i = 0; i < pairs; i++) {
    const key = await reader.string(65_535);
    await reader.need(12);
    const type = reader.cursor.take(4).readUInt32LE();
    if (key === 'general.alignment') {
      alignment = type === 4 ? reader.cursor.take(4).readUInt32LE() : 0;
      if (alignment === 0 || alignment % 8 !== 0) throw new Defect('has no valid alignment');
    } else if (key.startsWith('tokenizer.chat_template') && type === STRING) code ??= codeInTemplate(await reader.string(MAX_TEMPLATE_BYTES));
    else await reader.value(type, 0);
  }
  const offsets: bigint[] = [];
  for (let i = 0; i < tensors; i++) offsets.push(await reader.tensor());
  const dataStart = Math.ceil(reader.cursor.position / alignment) * alignment;
  const beyond = offsets.some((offset) => offset % BigInt(alignment) !== 0n || offset + BigInt(dataStart) > BigInt(source.sizeBytes));
  if (beyond) throw new Defect('has a tensor beyond the end of the file, or not aligned');
  return code === undefined ? [] : [{ kind: 'format', format: 'remote-code', detail: code }];
}

class Reader {
  readonly cursor: Cursor;
  #elements = MAX_ELEMENTS;

  constructor(source: ByteSource) {
    this.cursor = new Cursor(source);
  }

  async need(length: number): Promise<void> {
    if (!this.cursor.has(length)) await this.cursor.buffer(length);
  }

  count(max: number, what: string): number {
    const count = this.cursor.take(8).readBigUInt64LE();
    if (count > BigInt(max)) throw new Defect(`has ${count} ${what}, more than ${max}`);
    return Number(count);
  }

  async length(): Promise<number> {
    await this.need(8);
    return this.count(MAX_STRING_BYTES, 'bytes in a text');
  }

  async string(max: number): Promise<string> {
    const length = await this.length();
    if (length > max) throw new Defect(`has a name or template of ${length} bytes`);
    await this.need(length);
    return this.cursor.take(length).toString('utf8');
  }

  async value(type: number, depth: number): Promise<void> {
    const size = FIXED[type];
    if (size !== undefined) return this.cursor.skip(size);
    if (type === STRING) return this.cursor.skip(await this.length());
    if (type !== ARRAY) throw new Defect(`has a value of unknown type ${type}`);
    if (depth >= MAX_DEPTH) throw new Defect('has arrays nested too deeply');
    await this.need(12);
    const inner = this.cursor.take(4).readUInt32LE();
    const count = this.count(this.#elements, 'elements in arrays');
    this.#elements -= count;
    const innerSize = FIXED[inner];
    if (innerSize !== undefined) return this.cursor.skip(innerSize * count);
    for (let i = 0; i < count; i++) {
      if (inner === STRING && this.cursor.has(8)) this.cursor.skip(this.count(MAX_STRING_BYTES, 'bytes in a text'));
      else await this.value(inner, depth + 1);
    }
  }

  async tensor(): Promise<bigint> {
    await this.string(65_535);
    await this.need(4);
    const dimensions = this.cursor.take(4).readUInt32LE();
    if (dimensions > 8) throw new Defect(`has a tensor of ${dimensions} dimensions`);
    await this.need(dimensions * 8 + 12);
    this.cursor.skip(dimensions * 8 + 4);
    return this.cursor.take(8).readBigUInt64LE();
  }
}
