// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from 'node:worker_threads';
import { deserialiseError, type SerialisedError, serialiseError } from '../base/errors.ts';
import type { Locator } from '../source/source.ts';
import { createLocalExecutor, type ExecutorSettings } from './executor.ts';
import type { Outcome, Task } from './task.ts';

/** Engine → worker. */
export type ToWorker =
  | { readonly kind: 'run'; readonly task: Task }
  | { readonly kind: 'reply'; readonly call: number; readonly value: unknown; readonly error?: SerialisedError }
  | { readonly kind: 'abort' };

/** Worker → engine. A call is answered by a reply of the same number. */
export type FromWorker =
  | { readonly kind: 'done'; readonly id: number; readonly outcome: Outcome; readonly bytes: number }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SerialisedError }
  | { readonly kind: 'progress'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'relocate'; readonly id: number; readonly call: number }
  | { readonly kind: 'admit'; readonly id: number; readonly call: number; readonly sizeBytes: number }
  | { readonly kind: 'size'; readonly id: number; readonly sizeBytes: number };

/** Progress is told in steps of this many bytes, or messages would cost more than the bytes. */
const PROGRESS_STEP = 4 * 1024 * 1024;

/** For files up to this long the worker goes on while the engine finds out whether there is room: waiting for its answer would take longer. */
const TOLD_BYTES = 4 * 1024 * 1024;

if (parentPort !== null) serve(parentPort, workerData as ExecutorSettings);

function serve(port: NonNullable<typeof parentPort>, settings: ExecutorSettings): void {
  const abort = new AbortController();
  const executor = createLocalExecutor(settings, { mayBlock: true, signal: abort.signal });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let calls = 0;

  const send = (message: FromWorker): void => port.postMessage(message);
  const call = (message: (call: number) => FromWorker): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const number = ++calls;
      waiting.set(number, { resolve, reject });
      send(message(number));
    });

  async function run(task: Task): Promise<void> {
    const { id } = task;
    let untold = 0;
    try {
      const outcome = await executor.run(task, {
        relocate: () => call((n) => ({ kind: 'relocate', id, call: n })) as Promise<Extract<Locator, { kind: 'http' }>>,
        async admit(sizeBytes) {
          if (sizeBytes <= TOLD_BYTES) send({ kind: 'size', id, sizeBytes });
          else await call((n) => ({ kind: 'admit', id, call: n, sizeBytes }));
        },
        progress(bytes) {
          untold += bytes;
          if (untold < PROGRESS_STEP) return;
          send({ kind: 'progress', id, bytes: untold });
          untold = 0;
        },
      });
      send({ kind: 'done', id, outcome, bytes: untold });
    } catch (error) {
      send({ kind: 'failed', id, error: serialiseError(error) });
    }
  }

  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'run':
        void run(message.task);
        return;
      case 'reply': {
        const caller = waiting.get(message.call);
        waiting.delete(message.call);
        if (message.error === undefined) caller?.resolve(message.value);
        else caller?.reject(deserialiseError(message.error));
        return;
      }
      case 'abort':
        abort.abort();
        for (const caller of waiting.values()) caller.reject(new Error('aborted'));
        waiting.clear();
        return;
    }
  });
}
