// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import os from 'node:os';
import { AppError, fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ModelPath } from '../oms/path.ts';
import type { Destination } from './destination.ts';
import { type Dir, ignoreMissing } from './dir.ts';
import { claim, lastHeartbeat, volumeNow } from './owner.ts';

/** Every name we make on a volume, apart from the model's own, begins with this. */
export const STAGING_PREFIX = '.model-gate-';

export const TREE = 'tree';
const PART = 'part';
/** The tree that is being replaced, while the two change places. */
export const OLD = 'old';
const FOREIGN_AFTER_MS = 24 * 60 * 60 * 1000;
const MAX_NEIGHBOURS = 16;

/** Permissions of what is published: for all to read, whatever the umask; below a setgid directory also for its group to write. */
export type Modes = { readonly file: number; readonly dir: number };

/**
 * A private directory on the destination's file system. `tree` holds verified files only, under their final relative names;
 * `part` holds what is still arriving. What an earlier start of this pod left in `tree` is a candidate to be hashed again, never believed.
 */
export type Staging = AsyncDisposable & {
  readonly name: string;
  readonly tree: Dir;
  readonly modes: Modes;
  /** A new file for `path`. `settle('verified')` makes it durable and gives it its name; anything else removes it. */
  create(path: ModelPath): Promise<{ readonly fd: number; settle(result: 'verified' | 'failed'): Promise<void> }>;
  /** Removes a candidate that turned out wrong, or is not wanted. */
  drop(path: string): Promise<void>;
  /** The staging directory itself. */
  readonly root: Dir;
  /** Whether disposing keeps verified files for the next start. */
  keepOnDispose(keep: boolean): void;
};

/** @throws READ_ONLY, NO_SPACE, IO */
export async function openStaging(destination: Destination): Promise<Staging> {
  try {
    await removeForeign(destination);
    return await claimStaging(destination);
  } catch (error) {
    throw fromSystemError(error, `staging beside ${printable(destination.path)}`, { path: printable(destination.path) });
  }
}

async function claimStaging(destination: Destination): Promise<Staging> {
  const { base } = destination;
  const baseStats = await base.stat();
  const modes: Modes = (baseStats.mode & 0o2000) === 0 ? { file: 0o644, dir: 0o755 } : { file: 0o664, dir: 0o2775 };
  for (let n = 1; n <= MAX_NEIGHBOURS; n++) {
    const name = `${stagingName(destination)}${n === 1 ? '' : `-${n}`}`;
    if (!(await base.makeDirExclusive(name)) && !(await isOurs(base, name))) continue;
    const root = await base.openDir(name);
    const owner = await claim(root);
    if (owner === undefined) {
      await root[Symbol.asyncDispose]();
      continue;
    }
    await recoverSwap(destination, root);
    await root.removeTree(PART);
    const [tree, part] = [await root.ensureDir(TREE, modes.dir), await root.ensureDir(PART, 0o700)];
    return build({ base, root, tree, part, name, modes, owner });
  }
  throw new AppError('IO', `more than ${MAX_NEIGHBOURS} processes are staging beside ${printable(destination.path)}`);
}

type Parts = {
  readonly base: Dir;
  readonly root: Dir;
  readonly tree: Dir;
  readonly part: Dir;
  readonly name: string;
  readonly modes: Modes;
  readonly owner: AsyncDisposable;
};

function build({ base, root, tree, part, name, modes, owner }: Parts): Staging {
  let count = 0;
  let keep = false;
  return {
    name,
    root,
    tree,
    modes,
    keepOnDispose(value) {
      keep = value;
    },
    async create(path) {
      const partName = `${++count}`;
      const file = await part.createFile(partName, 0o600).catch((error: unknown) => Promise.reject(fromSystemError(error, `creating ${printable(path)}`)));
      return {
        fd: file.fd,
        async settle(result) {
          try {
            if (result === 'verified') {
              await file.chmod(modes.file);
              await file.sync();
              const parent = await tree.parentOf(path, modes.dir);
              await using dir = parent.dir;
              await part.moveTo(partName, dir, parent.name);
            } else await part.removeFile(partName);
          } catch (error) {
            throw fromSystemError(error, `staging ${printable(path)}`);
          } finally {
            await file.close();
          }
        },
      };
    },
    async drop(path) {
      const parent = await tree.parentOf(path);
      await using dir = parent.dir;
      await dir.removeTree(parent.name);
    },
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]();
      if (keep) await root.removeTree(PART);
      for (const dir of [tree, part, root]) await dir[Symbol.asyncDispose]();
      if (!keep) await base.removeTree(name);
    },
  };
}

/** A start that died while two trees changed places: what stood there before goes back, or away when the new one arrived. */
async function recoverSwap(destination: Destination, root: Dir): Promise<void> {
  const { base, name } = destination;
  if ((await root.lstat(OLD).catch(ignoreMissing)) === undefined) return;
  if ((await base.lstat(name).catch(ignoreMissing)) === undefined) await root.moveTo(OLD, base, name);
  else await root.removeTree(OLD);
}

/** The next start of this pod finds it again: same host name, same destination. Other pods on a shared volume make their own. */
function stagingName(destination: Destination): string {
  const host = os
    .hostname()
    .replace(/[^A-Za-z0-9.-]/g, '_')
    .slice(0, 63);
  const id = createHash('sha256').update(destination.path).digest('hex').slice(0, 12);
  return `${STAGING_PREFIX}${host}-${id}`;
}

/** Somebody else could have made a directory of our name, to have us publish what he put there. */
async function isOurs(base: Dir, name: string): Promise<boolean> {
  const stats = await base.lstat(name);
  return stats.isDirectory() && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

/** Left by pods that are gone for good. A living one shows a heartbeat. */
async function removeForeign(destination: Destination): Promise<void> {
  const { base } = destination;
  const mine = stagingName(destination);
  const names = (await base.list()).map((name) => name.toString()).filter((name) => name.startsWith(STAGING_PREFIX) && !name.startsWith(mine));
  if (names.length === 0) return;
  const now = await volumeNow(base);
  for (const name of names) {
    try {
      if (now - (await heartbeatOf(base, name)) > FOREIGN_AFTER_MS) await base.removeTree(name);
    } catch {
      // Not ours to open or remove; it stays.
    }
  }
}

async function heartbeatOf(base: Dir, name: string): Promise<number> {
  const stats = await base.lstat(name);
  if (!stats.isDirectory()) return stats.mtimeMs;
  await using dir = await base.openDir(name);
  return lastHeartbeat(dir);
}
