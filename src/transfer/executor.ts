// SPDX-License-Identifier: Apache-2.0
import type { HttpSettings } from '../source/source.ts';
import type { HttpTransport } from './http.ts';
import { createWindow } from './ranged.ts';
import { type Outcome, runTask, type Task, type TaskDeps } from './task.ts';

/** What a running task asks of the engine. */
export type TaskHooks = Pick<TaskDeps, 'relocate' | 'admit' | 'progress'>;

/** Something that runs tasks: this thread, or a worker. */
export interface Executor extends AsyncDisposable {
  readonly running: number;
  run(task: Task, hooks: TaskHooks): Promise<Outcome>;
}

/** What a thread needs to run tasks; plain data. */
export type ExecutorSettings = { readonly http?: HttpSettings; readonly connections: number; readonly windowSegments: number };

/** Runs tasks in this thread. The HTTP library is loaded with the first task that needs it. */
export function createLocalExecutor(settings: ExecutorSettings, signal: AbortSignal): Executor {
  const window = createWindow(settings.windowSegments);
  let transport: Promise<HttpTransport> | undefined;
  let running = 0;
  const openTransport = async (http: HttpSettings): Promise<HttpTransport> => (await import('./http.ts')).createHttpTransport(http, settings.connections);
  return {
    get running() {
      return running;
    },
    async run(task, hooks) {
      running++;
      try {
        if (task.input.kind === 'http' && settings.http !== undefined) transport ??= openTransport(settings.http);
        return await runTask(task, { ...hooks, http: await transport, window, signal });
      } finally {
        running--;
      }
    },
    async [Symbol.asyncDispose]() {
      await (await transport)?.close();
    },
  };
}
