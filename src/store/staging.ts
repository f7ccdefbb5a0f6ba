// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ModelPath } from '../oms/path.ts';
import type { Destination } from './destination.ts';
import { type Dir, ignoreMissing } from './dir.ts';
import { AT_ONCE, type FileCalls, VIA_THREADS } from './fileCalls.ts';
import { enter, lastHeartbeat, volumeNow } from './owner.ts';

/** Every name we make on a volume, apart from the model's own, begins with this. */
export const STAGING_PREFIX = '.model-gate-';
/** What was a staging directory, on its way out: nobody works there any more. */
const REMOVED_PREFIX = `${STAGING_PREFIX}removed-`;

export const TREE = 'tree';
const PART = 'part';
/** The tree that is being replaced, while the two change places. */
export const OLD = 'old';
const FOREIGN_AFTER_MS = 24 * 60 * 60 * 1000;
const MAX_NEIGHBOURS = 16;

const writeFile = promisify<number, Buffer, void>(fs.writeFile);

/** Permissions of what is published: for all to read, whatever the umask; below a setgid directory also for its group to write. */
export type Modes = { readonly file: number; readonly dir: number };

export type StagedFile = { readonly fd: number; settle(result: 'verified' | 'failed'): Promise<void> };

/**
 * A private directory on the destination's file system. `tree` holds verified files only, under their final relative names;
 * `part` holds what is still arriving. What an earlier start of this pod left in `tree` is a candidate to be hashed again, never believed.
 */
export type Staging = AsyncDisposable & {
  readonly name: string;
  readonly tree: Dir;
  readonly modes: Modes;
  /** A new file for `path`. `settle('verified')` makes it durable and gives it its name; anything else removes it. */
  create(path: ModelPath): Promise<StagedFile>;
  /** A file without a name, gone when it is closed: for what is read again but never published. @throws NO_SPACE, READ_ONLY, IO */
  scratch(): Promise<FileHandle>;
  /** Stages a small file (the bundle) at the top of the tree. @throws NO_SPACE, READ_ONLY, IO */
  write(name: string, bytes: Buffer): Promise<void>;
  /** Removes a candidate that turned out wrong, or is not wanted, and directories that are empty without it. */
  drop(path: string): Promise<void>;
  /** Removes all candidates. */
  clear(): Promise<void>;
  /** The staging directory itself. */
  readonly root: Dir;
  /** How files are best moved on this file system. */
  readonly calls: FileCalls;
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
    const entered = await enter(base, name);
    if (entered === undefined) continue;
    const { dir: root, owner } = entered;
    await recoverSwap(destination, root);
    await root.removeTree(PART);
    // With the setgid bit its files belong to the volume's group from the start; a rename would not give them to it.
    const [tree, part] = [await root.ensureDir(TREE, modes.dir), await root.ensureDir(PART, 0o700 | (modes.dir & 0o2000))];
    return build({ base, root, tree, part, name, modes, owner, calls: (await base.isInMemory()) ? AT_ONCE : VIA_THREADS });
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
  readonly calls: FileCalls;
};

function build({ base, root, tree, part, name, modes, owner, calls }: Parts): Staging {
  let count = 0;
  let keep = false;
  const parents = openParents(tree, modes.dir);
  /** What the umask, or the directory's default ACL, leaves of the mode of a new file: the same for all of them. */
  let born: Promise<boolean> | undefined;
  const isRight = async (fd: number): Promise<boolean> => ((await calls.fstat(fd)).mode & 0o7777) === modes.file;

  async function createPart(path: string): Promise<StagedFile> {
    const partName = `${++count}`;
    // For all to read, below a directory that is ours alone.
    const fd = await part
      .createDescriptor(partName, modes.file, calls)
      .catch((error: unknown) => Promise.reject(fromSystemError(error, `creating ${printable(path)}`)));
    async function settle(result: 'verified' | 'failed'): Promise<void> {
      try {
        if (result === 'failed') return await part.removeFile(partName);
        born ??= isRight(fd);
        if (!(await born)) await calls.fchmod(fd, modes.file);
        await calls.fsync(fd);
        await parents.use(path, (dir, name) => part.moveTo(partName, dir, name, calls));
      } catch (error) {
        throw fromSystemError(error, `staging ${printable(path)}`);
      } finally {
        await calls.close(fd);
      }
    }
    return { fd, settle };
  }

  return {
    name,
    root,
    tree,
    modes,
    keepOnDispose(value) {
      keep = value;
    },
    calls,
    create: createPart,
    async scratch() {
      const name = `${++count}`;
      let file: FileHandle | undefined;
      try {
        file = await part.createFile(name, 0o600);
        await part.removeFile(name);
        return file;
      } catch (error) {
        await file?.close();
        throw fromSystemError(error, 'creating a temporary file');
      }
    },
    async write(name, bytes) {
      const { fd, settle } = await createPart(name);
      try {
        await writeFile(fd, bytes);
      } catch (error) {
        await settle('failed');
        throw fromSystemError(error, `staging ${printable(name)}`);
      }
      await settle('verified');
    },
    async drop(path) {
      await parents.close();
      await tree.removePath(path).catch(ignoreMissing);
    },
    async clear() {
      await parents.close();
      for (const entry of await tree.list()) await tree.removeTree(entry);
    },
    async [Symbol.asyncDispose]() {
      // Out of the way first, while it is still ours: whoever comes now must not move into what is being removed.
      const doomed = `${REMOVED_PREFIX}${randomBytes(6).toString('hex')}`;
      try {
        if (keep) await root.removeTree(PART);
        else await base.moveTo(name, base, doomed);
        await owner[Symbol.asyncDispose]();
        if (!keep) await removeForGood(base, doomed);
      } catch {
        // Tidying up never changes a verdict; what is left now goes with the next start.
      } finally {
        await parents.close();
        for (const dir of [tree, part, root]) await dir[Symbol.asyncDispose]();
      }
    },
  };
}

const MAX_PARENTS = 64;

/** Directories of the tree, kept open: opening them anew for every file would cost more than moving it there. */
function openParents(tree: Dir, mode: number) {
  const open = new Map<string, Promise<Dir>>();
  const opened: Promise<Dir>[] = [];
  async function close(): Promise<void> {
    open.clear();
    for (const dir of opened.splice(0)) await (await dir.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
  async function openParent(path: string): Promise<Dir> {
    return (await tree.parentOf(path, mode)).dir;
  }
  return {
    /** With the directory that `path` is in, made where it is missing, and the last component of `path`. */
    async use(path: string, work: (dir: Dir, name: string) => Promise<void>): Promise<void> {
      const slash = path.lastIndexOf('/');
      const [parent, name] = [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
      if (!open.has(parent) && open.size === MAX_PARENTS) {
        await using dir = await openParent(path);
        await work(dir, name);
        return;
      }
      let dir = open.get(parent);
      if (dir === undefined) {
        dir = openParent(path);
        opened.push(dir);
        open.set(parent, dir);
      }
      try {
        await work(await dir, name);
      } catch (error) {
        // Whatever it was, the next file begins anew.
        if (open.get(parent) === dir) open.delete(parent);
        throw error;
      }
    },
    close,
  };
}

/** A process that opened the directory before it was moved may still put its mark there, until it sees that the name is gone. */
async function removeForGood(base: Dir, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await base.removeTree(name);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOTEMPTY' || attempt === 50) throw error;
      await sleep(10);
    }
  }
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

/** Left by pods that are gone for good, or by a second process of this one. A living one shows a heartbeat. */
async function removeForeign(destination: Destination): Promise<void> {
  const { base } = destination;
  const mine = stagingName(destination);
  const names = (await base.list()).map((name) => name.toString()).filter((name) => name.startsWith(STAGING_PREFIX) && name !== mine);
  if (names.length === 0) return;
  const now = await volumeNow(base);
  for (const name of names) {
    try {
      if (name.startsWith(REMOVED_PREFIX) || now - (await heartbeatOf(base, name)) > FOREIGN_AFTER_MS) await base.removeTree(name);
    } catch {
      // Not ours to open or remove; it stays.
    }
  }
}

async function heartbeatOf(base: Dir, name: string): Promise<number> {
  const stats = await base.lstat(name);
  if (!stats.isDirectory()) return stats.mtimeMs;
  await using dir = await base.openDir(name);
  // Awaited here: the directory is closed when this function returns.
  return await lastHeartbeat(dir);
}
