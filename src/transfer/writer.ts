// SPDX-License-Identifier: Apache-2.0
import { write as writeCallback, writev as writevCallback } from 'node:fs';
import { promisify } from 'node:util';

const writev = promisify(writevCallback);
const write = promisify(writeCallback);

/** Batch size in bytes: a write per 64 KiB chunk costs up to 1.6 times the CPU (ARCHITECTURE measurements, docs/adr). */
const BATCH_BYTES = 1024 * 1024;

/** Appends to an open file descriptor in batches, with one write in flight while the next batch fills. */
export type Writer = {
  /** Takes ownership of `bytes`: the caller must not change them afterwards. Waits when two batches are outstanding. */
  append(bytes: Uint8Array): Promise<void> | undefined;
  finish(): Promise<void>;
  /** Settles when nothing uses the descriptor any more, however the writing went: only then may it be closed. */
  idle(): Promise<void>;
};

export function createWriter(fd: number): Writer {
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  let position = 0;
  let inFlight: Promise<void> = Promise.resolve();

  function flush(): Promise<void> {
    const chunks = batch;
    const at = position;
    position += batchBytes;
    batch = [];
    batchBytes = 0;
    const previous = inFlight;
    inFlight = previous.then(() => writeAll(fd, chunks, at));
    // The error belongs to whoever waits for `inFlight` next; until then it is not unhandled.
    inFlight.catch(() => {});
    return previous;
  }

  return {
    append(bytes) {
      batch.push(bytes);
      batchBytes += bytes.length;
      return batchBytes >= BATCH_BYTES ? flush() : undefined;
    },
    async finish() {
      if (batchBytes > 0) await flush();
      await inFlight;
    },
    idle: () => inFlight.catch(() => {}),
  };
}

/** A write may be short (signals, quotas, network file systems): go on until everything is down. */
async function writeAll(fd: number, chunks: Uint8Array[], position: number): Promise<void> {
  if (chunks.length === 0) return;
  let { bytesWritten } = await writev(fd, chunks, position);
  let start = position;
  for (const chunk of chunks) {
    let done = Math.min(bytesWritten, chunk.length);
    bytesWritten -= done;
    while (done < chunk.length) {
      const next = await write(fd, chunk, done, chunk.length - done, start + done);
      done += next.bytesWritten;
    }
    start += chunk.length;
  }
}
