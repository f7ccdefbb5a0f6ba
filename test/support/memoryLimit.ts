// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type MemoryLimit = Disposable & {
  /** What stands before a command so that it is in this control group from its first instruction on. */
  readonly wrapper: readonly [string, ...string[]];
};

/** A memory control group (v2 or v1) with a limit, or undefined: that takes root and a hierarchy that can be written. */
export function limitMemory(limitBytes: number): MemoryLimit | undefined {
  for (const { parent, limit } of HIERARCHIES) {
    const group = join(parent, `model-gate-test-${process.pid}`);
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
      wrapper: ['sh', '-c', 'echo $$ >"$0" && exec "$@"', join(group, 'cgroup.procs')],
      [Symbol.dispose]: () => rmdirSync(group),
    };
  }
  return undefined;
}

const HIERARCHIES = [
  { parent: '/sys/fs/cgroup', limit: 'memory.max' },
  { parent: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes' },
] as const;
