// SPDX-License-Identifier: Apache-2.0
import { Worker } from 'node:worker_threads';
import { AppError, deserialiseError, serialiseError } from '../base/errors.ts';
import type { Executor, ExecutorSettings, TaskHooks } from './executor.ts';
import type { Outcome } from './task.ts';
import type { FromWorker, ToWorker } from './worker.ts';

type Running = {
  readonly hooks: TaskHooks;
  /** Whether there is room, where the worker does not wait for it. */
  admission: Promise<void>;
  resolve(outcome: Outcome): void;
  reject(error: Error): void;
};

/** Runs tasks in a worker thread. Abort reaches it as a message; its tasks then fail one by one, so that descriptors can be closed safely. */
export function createWorkerExecutor(settings: ExecutorSettings, signal: AbortSignal): Executor {
  const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url), { workerData: settings });
  const tasks = new Map<number, Running>();
  const send = (message: ToWorker): void => worker.postMessage(message);
  const onAbort = (): void => send({ kind: 'abort' });
  let ended: AppError | undefined;
  const fail = (error: AppError): void => {
    ended ??= error;
    for (const task of tasks.values()) task.reject(error);
    tasks.clear();
  };

  async function answer(call: number, work: () => Promise<unknown>): Promise<void> {
    try {
      send({ kind: 'reply', call, value: await work() });
    } catch (error) {
      send({ kind: 'reply', call, value: undefined, error: serialiseError(error) });
    }
  }

  worker.on('message', (message: FromWorker) => {
    const task = tasks.get(message.id);
    if (task === undefined) return;
    switch (message.kind) {
      case 'progress':
        task.hooks.progress(message.bytes);
        return;
      case 'relocate':
        void answer(message.call, () => task.hooks.relocate());
        return;
      case 'admit':
        void answer(message.call, () => task.hooks.admit(message.sizeBytes));
        return;
      case 'size':
        task.admission = task.hooks.admit(message.sizeBytes);
        // Handled when the worker has let go of the descriptor.
        task.admission.catch(() => {});
        return;
      case 'done':
        tasks.delete(message.id);
        if (message.bytes > 0) task.hooks.progress(message.bytes);
        task.admission.then(() => task.resolve(message.outcome), task.reject);
        return;
      case 'failed':
        tasks.delete(message.id);
        task.reject(deserialiseError(message.error));
        return;
    }
  });
  worker.on('error', (cause) => fail(new AppError('INTERNAL', 'a worker thread failed', { cause })));
  worker.on('exit', (code) => fail(new AppError('INTERNAL', `a worker thread ended with ${code}`)));
  signal.addEventListener('abort', onAbort, { once: true });

  return {
    isLocal: false,
    get running() {
      return tasks.size;
    },
    run: (task, hooks) =>
      new Promise<Outcome>((resolve, reject) => {
        // Nobody would answer any more.
        if (ended !== undefined) return reject(ended);
        tasks.set(task.id, { hooks, admission: Promise.resolve(), resolve, reject });
        send({ kind: 'run', task });
      }),
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', onAbort);
      await worker.terminate();
    },
  };
}
