// SPDX-License-Identifier: Apache-2.0
import type { HttpSettings } from '../source/source.ts';
import { createConnections } from './connections.ts';
import type { HttpTransport } from './http.ts';
import { type Outcome, runTask, type Task, type TaskDeps } from './task.ts';

/** What a running task asks of the engine. */
export type TaskHooks = Pick<TaskDeps, 'relocate' | 'admit' | 'keeps' | 'progress' | 'pace'>;

/** Something that runs tasks: this thread, or a worker. */
export interface Executor extends AsyncDisposable {
  readonly isLocal: boolean;
  readonly running: number;
  run(task: Task, hooks: TaskHooks): Promise<Outcome>;
}

/** What a thread needs to run tasks; plain data. */
export type ExecutorSettings = {
  readonly http?: HttpSettings;
  /** Most connections of this thread: one for each of its files, and further ones where they help. */
  readonly connections: number;
};

/** Runs tasks in this thread. The HTTP library is loaded with the first task that needs it. */
export function createLocalExecutor(settings: ExecutorSettings, { mayBlock, signal }: Pick<TaskDeps, 'mayBlock' | 'signal'>): Executor {
  const connections = createConnections(settings.connections);
  const buffers: Buffer[] = [];
  let transport: Promise<HttpTransport> | undefined;
  let running = 0;
  const openTransport = async (http: HttpSettings): Promise<HttpTransport> => (await import('./http.ts')).createHttpTransport(http, settings.connections);
  return {
    isLocal: true,
    get running() {
      return running;
    },
    async run(task, hooks) {
      running++;
      connections.use();
      try {
        if (task.input.kind === 'http' && settings.http !== undefined) transport ??= openTransport(settings.http);
        return await runTask(task, { ...hooks, http: await transport, connections, buffers, mayBlock, signal });
      } finally {
        running--;
        connections.release();
      }
    },
    async [Symbol.asyncDispose]() {
      await (await transport)?.close();
    },
  };
}
