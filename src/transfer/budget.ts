// SPDX-License-Identifier: Apache-2.0
import os from 'node:os';

/** How much may happen at once. */
export type Budget = {
  /** Files in flight from a remote source. */
  readonly connections: number;
  /** Worker threads for large files; 0: everything on the main thread. */
  readonly workers: number;
};

/** From the cgroup's CPU quota, which Node reads itself. */
export function defaultBudget(connections: number, cpus = os.availableParallelism()): Budget {
  return { connections, workers: cpus < 2 ? 0 : Math.min(cpus, 4) };
}
