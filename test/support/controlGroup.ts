// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type ControlGroup = Disposable & {
  /** What stands before a command so that it is in this group from its first instruction on. */
  readonly wrapper: readonly [string, ...string[]];
};

/** A limit in one hierarchy: the group's parent, the file that holds it, its text there. */
type Limit = { readonly parent: string; readonly file: string; readonly value: string };

/** A memory limit (v2 or v1), or undefined: that takes root and a hierarchy that can be written. */
export function limitMemory(limitBytes: number): ControlGroup | undefined {
  return controlGroup([
    { parent: '/sys/fs/cgroup', file: 'memory.max', value: `${limitBytes}` },
    { parent: '/sys/fs/cgroup/memory', file: 'memory.limit_in_bytes', value: `${limitBytes}` },
  ]);
}

/** A share of a processor, as above. */
export function limitCpu(share: number): ControlGroup | undefined {
  return controlGroup([
    { parent: '/sys/fs/cgroup', file: 'cpu.max', value: `${share * 100_000} 100000` },
    { parent: '/sys/fs/cgroup/cpu', file: 'cpu.cfs_quota_us', value: `${share * 100_000}` },
  ]);
}

let groups = 0;

function controlGroup(limits: readonly Limit[]): ControlGroup | undefined {
  const name = `model-gate-test-${process.pid}-${++groups}`;
  for (const { parent, file, value } of limits) {
    const group = join(parent, name);
    try {
      mkdirSync(group);
      if (!existsSync(join(group, file))) {
        rmdirSync(group);
        continue;
      }
      writeFileSync(join(group, file), value);
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
