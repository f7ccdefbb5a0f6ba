// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from './measure.ts';

export type MemoryLimit = Disposable & {
  /** The same command, in this control group from its first instruction on. */
  within(command: Command): Command;
  /** Includes page cache, which fills any limit there is; undefined where the kernel does not say. */
  peakBytes(): number | undefined;
};

/** A memory control group (v2 or v1) with a limit, or undefined: that takes root and a hierarchy that can be written. */
export function limitMemory(limitBytes: number): MemoryLimit | undefined {
  for (const { parent, limit, peak } of HIERARCHIES) {
    const group = join(parent, `model-gate-bench-${process.pid}`);
    try {
      mkdirSync(group);
      if (!existsSync(join(group, limit))) {
        rmdirSync(group);
        continue;
      }
      writeFileSync(join(group, limit), `${limitBytes}`);
    } catch {
      continue;
    }
    return {
      within: ({ argv, env }) => ({
        argv: ['sh', '-c', 'echo $$ >"$0" && exec "$@"', join(group, 'cgroup.procs'), ...argv],
        ...(env !== undefined && { env }),
      }),
      peakBytes: () => (existsSync(join(group, peak)) ? Number(readFileSync(join(group, peak), 'utf8')) : undefined),
      [Symbol.dispose]: () => rmdirSync(group),
    };
  }
  return undefined;
}

const HIERARCHIES = [
  { parent: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' },
  { parent: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
] as const;
