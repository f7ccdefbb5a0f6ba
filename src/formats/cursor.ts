// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import { Defect } from './finding.ts';

const CHUNK_BYTES = 256 * 1024;

/**
 * Reads a source from front to back through a buffer of fixed size. `buffer(n)` is asynchronous only when the source has to be asked, so that
 * millions of small reads cost no promise each; what is skipped is never read.
 */
export class Cursor {
  readonly #source: ByteSource;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkStart: number;
  #at = 0;

  constructor(source: ByteSource, position = 0) {
    this.#source = source;
    this.#chunkStart = position;
  }

  get position(): number {
    return this.#chunkStart + this.#at;
  }

  get remaining(): number {
    return this.#source.sizeBytes - this.position;
  }

  /** Whether `length` bytes lie in memory. */
  has(length: number): boolean {
    return this.#chunk.length - this.#at >= length;
  }

  /** Brings at least `length` bytes into memory, or all there are. */
  async buffer(length: number): Promise<void> {
    const start = this.position;
    const want = Math.min(Math.max(length, CHUNK_BYTES), this.remaining);
    const bytes = await this.#source.read(start, want);
    this.#chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#chunkStart = start;
    this.#at = 0;
  }

  /** The next `length` bytes, which have to be in memory. @throws Defect at the end of the file */
  take(length: number): Buffer {
    if (!this.has(length)) throw new Defect('ends in the middle');
    this.#at += length;
    return this.#chunk.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    const value = this.#chunk[this.#at];
    if (value === undefined) throw new Defect('ends in the middle');
    this.#at += 1;
    return value;
  }

  /** @throws Defect when fewer bytes than `length` are left */
  skip(length: number): void {
    if (length > this.remaining) throw new Defect('claims more bytes than there are');
    if (this.has(length)) this.#at += length;
    else this.moveTo(this.position + length);
  }

  moveTo(position: number): void {
    this.#chunk = Buffer.alloc(0);
    this.#chunkStart = position;
    this.#at = 0;
  }

  /** Bytes up to a line feed, without it; undefined when the line is longer than `max`, and then it is skipped. At the end of the file a line may lack it. */
  async line(max: number): Promise<{ readonly bytes: Buffer | undefined; readonly ended: boolean }> {
    if (!this.has(max + 1)) await this.buffer(max + 1);
    const end = this.#chunk.indexOf(0x0a, this.#at);
    if (end >= 0) {
      const bytes = this.#chunk.subarray(this.#at, end);
      this.#at = end + 1;
      return { bytes: bytes.length > max ? undefined : bytes, ended: true };
    }
    if (this.#chunk.length - this.#at === this.remaining && this.remaining <= max) return { bytes: this.take(this.remaining), ended: false };
    return { bytes: undefined, ended: await this.#skipLine() };
  }

  async #skipLine(): Promise<boolean> {
    for (;;) {
      const end = this.#chunk.indexOf(0x0a, this.#at);
      if (end >= 0) {
        this.#at = end + 1;
        return true;
      }
      this.moveTo(this.#chunkStart + this.#chunk.length);
      if (this.remaining === 0) return false;
      await this.buffer(1);
    }
  }
}
