// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from 'node:worker_threads';
import { type SerialisedError, serialiseError } from '../base/errors.ts';
import type { Part } from '../oms/manifest.ts';
import { createHashing, readBack } from './inOrder.ts';
import { copyBuffer, PIECE_BYTES } from './memory.ts';
import { type Ring, ringReader } from './ring.ts';
import type { Subject } from './sink.ts';

export type HashWorkerData = { readonly file: Subject; readonly fd: number; readonly ring: Ring };

export type FromHashWorker = { readonly kind: 'done'; readonly parts: readonly Part[] } | { readonly kind: 'failed'; readonly error: SerialisedError };

if (parentPort !== null) {
  const answer: FromHashWorker = await hashAll(workerData as HashWorkerData).then(
    (parts) => ({ kind: 'done', parts }) as const,
    (error: unknown) => ({ kind: 'failed', error: serialiseError(error) }) as const,
  );
  parentPort.postMessage(answer);
}

/** Hashes what comes until nothing more will; from a slot where the bytes are in one, else from the file. */
async function hashAll({ file, fd, ring }: HashWorkerData): Promise<readonly Part[]> {
  const hashing = await createHashing(file);
  const reader = ringReader(ring);
  const buffer = copyBuffer(PIECE_BYTES);
  for (let hashed = 0; ; ) {
    const bell = reader.bell();
    const closed = reader.closed();
    const slot = reader.peek();
    const reach = slot?.position ?? reader.reach();
    if (slot?.position === hashed) {
      hashing.update(slot.bytes);
      hashed += slot.bytes.length;
      reader.release();
    } else if (slot !== undefined && slot.position < hashed) {
      // Read back already, before the slot was seen.
      reader.release();
    } else if (hashed < reach) hashed += readBack(fd, file, buffer, hashed, reach, hashing);
    else if (closed) return hashing.finish();
    else reader.wait(bell);
  }
}
