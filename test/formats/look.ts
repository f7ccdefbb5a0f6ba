// SPDX-License-Identifier: Apache-2.0
import { bufferSource } from '../../src/formats/byteSource.ts';
import { FORMATS } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';
import { judgeFormats } from '../../src/formats/judge.ts';

/** Formats that content is recognised as, in order. */
export async function formatsOf(content: Buffer, name = 'x'): Promise<readonly string[]> {
  return (await identify(bufferSource(content), name)).flatMap((finding) => (finding.kind === 'format' ? [finding.format] : []));
}

/** Reason codes and details of what is refused although every format is allowed. */
export async function refusalsOf(content: Buffer, name = 'x', modelFiles: readonly string[] = []): Promise<readonly string[]> {
  const findings = await identify(bufferSource(content), name);
  return judgeFormats({ allow: FORMATS, rules: {} }, name, findings, new Set(modelFiles)).map(({ code, detail }) => `${code} ${detail}`);
}

export const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer);
export const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
export const u64 = (value: bigint | number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);

/** A field of a protobuf message: a number, or bytes with their length. */
export function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}
