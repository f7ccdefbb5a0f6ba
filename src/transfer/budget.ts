// SPDX-License-Identifier: Apache-2.0
import os from 'node:os';

/** How much may happen at once. */
export type Budget = {
  /** Files in flight from a remote source. */
  readonly connections: number;
  /** Worker threads for large files; 0: everything on the main thread. */
  readonly workers: number;
  /** Segments of SEGMENT_BYTES that may be held ahead of their turn, all threads together. */
  readonly windowSegments: number;
};

const MIB = 1024 * 1024;

/** From the cgroup's CPU quota and memory limit, which Node reads itself. */
export function defaultBudget(connections: number, cpus = os.availableParallelism(), memoryBytes = process.constrainedMemory()): Budget {
  // 0 and huge values both mean that there is no limit.
  const tight = memoryBytes > 0 && memoryBytes < 384 * MIB;
  return { connections, workers: cpus < 2 ? 0 : Math.min(cpus, 4), windowSegments: tight ? 3 : 8 };
}
