// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Tests that need mounts or other users run where they can: as root in a container that may mount. */
export const IS_ROOT = process.platform === 'linux' && process.geteuid?.() === 0;
export const CAN_MOUNT = IS_ROOT && canMount();

/** A tmpfs of its own; disposing unmounts it, which a test that fails must not forget. */
export function mountTmpfs(path: string, size = '16m', mode = '0755'): Disposable {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=${mode}`, 'tmpfs', path]);
  return { [Symbol.dispose]: () => unmount(path) };
}

/** The same directory a second time, perhaps for reading only. */
export function bindMount(from: string, to: string, access: 'rw' | 'ro' = 'rw'): Disposable {
  mkdirSync(to, { recursive: true });
  execFileSync('mount', ['--bind', from, to]);
  if (access === 'ro') execFileSync('mount', ['-o', 'remount,bind,ro', to]);
  return { [Symbol.dispose]: () => unmount(to) };
}

function unmount(path: string): void {
  // Lazily: a handle that is not collected yet must not keep the mount.
  execFileSync('umount', ['-l', path]);
}

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
