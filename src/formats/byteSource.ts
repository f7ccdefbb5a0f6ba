// SPDX-License-Identifier: Apache-2.0
import { BeyondLimits, Defect } from './finding.ts';

/** Bytes at random access: a file, a buffer, or a part of either. `read` gives fewer bytes than asked only at the end. */
export type ByteSource = {
  readonly sizeBytes: number;
  /** Only so much can be read, from the beginning: the rest was not decompressed. */
  readonly readableBytes?: number;
  read(position: number, length: number): Promise<Uint8Array>;
};

/** No structure is ever held in memory beyond this. */
export const MAX_READ_BYTES = 64 * 1024 * 1024;

export function bufferSource(bytes: Uint8Array): ByteSource {
  return { sizeBytes: bytes.length, read: async (position, length) => bytes.subarray(position, position + length) };
}

/** The beginning of something longer, decompressed as far as memory allows: reading behind it cannot be judged. */
export function windowSource(bytes: Uint8Array, sizeBytes: number): ByteSource {
  return {
    sizeBytes,
    readableBytes: bytes.length,
    read: async (position, length) => {
      const end = Math.min(position + length, sizeBytes);
      if (end > bytes.length && end > position) throw new BeyondLimits(`needs more than the first ${bytes.length} decompressed bytes to be judged`);
      return bytes.subarray(position, Math.max(position, end));
    },
  };
}

export function slice(source: ByteSource, start: number, sizeBytes: number): ByteSource {
  return {
    sizeBytes,
    read: (position, length) => source.read(start + position, Math.max(0, Math.min(length, sizeBytes - position))),
  };
}

/** Exactly `length` bytes. @throws Defect when they are not there, or too many */
export async function readExactly(source: ByteSource, position: number, length: number, what: string): Promise<Buffer> {
  if (length > MAX_READ_BYTES) throw new Defect(`${what} has ${length} bytes, more than the ${MAX_READ_BYTES} that are read at once`);
  if (position < 0 || position + length > source.sizeBytes) throw new Defect(`${what} reaches beyond the end of the file`);
  const bytes = await source.read(position, length);
  if (bytes.length !== length) throw new Defect(`${what} cannot be read whole`);
  return asBuffer(bytes);
}

/** At most `length` bytes from the beginning. */
export async function readHead(source: ByteSource, length: number): Promise<Buffer> {
  return asBuffer(await source.read(0, Math.min(length, source.sizeBytes)));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
