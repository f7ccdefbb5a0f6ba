// SPDX-License-Identifier: Apache-2.0
import { basename, dirname } from 'node:path';
import type { Call } from './trace.ts';

const STAGING = /\/\.model-gate-/;

/**
 * What a power loss could break, in the calls of one pull: a name may be given only to a file that was synced after its last write, to a
 * directory only when everything below it was; the entries of a directory are safe when the directory was synced after they were made, which
 * all have to be at the end, and before the bundle gets its name. `root`: directory that existed before.
 */
export function findUnsafeWrites(calls: readonly Call[], root: string, bundle?: string): readonly string[] {
  const problems: string[] = [];
  /** Files with bytes, or directories with entries, that no sync has covered: the line their last change ended at. */
  const dirty = new Map<string, number>();
  const syncedAt = new Map<string, number>();
  const inRoot = (path: string): boolean => path === root || path.startsWith(`${root}/`);
  const published = new Set<string>();

  const changed = (path: string, at: number): void => {
    if (inRoot(path)) dirty.set(path, at);
  };
  /** Staging directories and locks may vanish. */
  const entered = (path: string, at: number): void => {
    if (!basename(path).startsWith('.model-gate-')) changed(dirname(path), at);
  };
  const unsynced = (path: string, before: number): boolean => dirty.has(path) || (syncedAt.get(path) ?? -1) > before;

  for (const { name, paths, flags, began, ended } of calls) {
    const [path = '', target = ''] = paths;
    switch (name) {
      case 'openat':
        if (flags.includes('O_CREAT')) entered(path, ended);
        break;
      case 'mkdir':
        entered(path, ended);
        if (inRoot(path) && !STAGING.test(path)) published.add(dirname(path));
        break;
      case 'write':
      case 'pwrite64':
      case 'writev':
      case 'pwritev':
      case 'ftruncate':
        changed(path, ended);
        break;
      case 'fsync':
      case 'fdatasync':
        // A sync that began before a change ended may have missed it.
        if ((dirty.get(path) ?? -1) < began) {
          dirty.delete(path);
          syncedAt.set(path, ended);
        }
        break;
      case 'rename':
      case 'renameat':
      case 'renameat2': {
        const below = [...new Set([...dirty.keys(), ...syncedAt.keys()])].filter((known) => known === path || known.startsWith(`${path}/`));
        if (inRoot(target) && !STAGING.test(target)) {
          for (const known of below) if (unsynced(known, began)) problems.push(`${known} got the name ${target} before it was synced`);
          if (basename(target) === bundle)
            for (const dir of published) if (unsynced(dir, began)) problems.push(`the bundle got its name before the entries of ${dir} were synced`);
          published.add(dirname(target));
        }
        for (const known of below) {
          const moved = target + known.slice(path.length);
          for (const map of [dirty, syncedAt]) {
            const value = map.get(known);
            map.delete(known);
            if (value !== undefined) map.set(moved, value);
          }
        }
        entered(target, ended);
        break;
      }
      case 'unlink':
      case 'rmdir':
        dirty.delete(path);
        syncedAt.delete(path);
        break;
      default:
        break;
    }
  }
  for (const dir of published) if (dirty.has(dir)) problems.push(`the entries of ${dir} were never synced`);
  return [...new Set(problems)];
}
