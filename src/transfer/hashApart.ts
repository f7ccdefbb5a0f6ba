// SPDX-License-Identifier: Apache-2.0
import { Worker } from 'node:worker_threads';
import { AppError, deserialiseError } from '../base/errors.ts';
import type { Part } from '../oms/manifest.ts';
import type { FromHashWorker, HashWorkerData } from './hashWorker.ts';
import type { InOrder } from './inOrder.ts';
import { createRing, ringWriter } from './ring.ts';
import type { Subject } from './sink.ts';

/**
 * In a thread of its own, for one big file whose hash would otherwise wait in line with its bytes: what arrives in its turn is hashed from
 * the memory it was received into, everything else is read back from the file.
 */
export function hashApart(file: Subject, fd: number): InOrder {
  const ring = createRing();
  const writer = ringWriter(ring);
  const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './hashWorker.ts' : './hashWorker.js', import.meta.url), {
    workerData: { file, fd, ring } satisfies HashWorkerData,
  });
  let failure: { readonly error: unknown } | undefined;
  let reached = 0;
  let lent: Buffer | undefined;
  const result = new Promise<readonly Part[]>((resolve, reject) => {
    worker.once('message', (message: FromHashWorker) => {
      if (message.kind === 'done') resolve(message.parts);
      else reject(deserialiseError(message.error));
    });
    worker.once('error', (cause) => reject(new AppError('INTERNAL', 'the hashing thread failed', { cause })));
    worker.once('exit', () => reject(new AppError('INTERNAL', 'the hashing thread ended early')));
  });
  result.catch((error: unknown) => {
    failure = { error };
  });
  const ended = new Promise((resolve) => worker.once('exit', resolve));

  return {
    lend(position) {
      lent = position === reached ? writer.lend() : undefined;
      return lent;
    },
    written(bytes, position, reach) {
      if (failure !== undefined) throw failure.error;
      if (position === reached && lent !== undefined && bytes.buffer === lent.buffer && bytes.byteOffset === lent.byteOffset) {
        writer.publish(position, bytes.length);
        lent = undefined;
      }
      reached = reach;
      writer.advance(reach);
    },
    finish() {
      writer.close();
      return result;
    },
    async [Symbol.asyncDispose]() {
      writer.close();
      await worker.terminate();
      await ended;
    },
  };
}
