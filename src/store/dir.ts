// SPDX-License-Identifier: Apache-2.0
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, readlink, realpath, rmdir, statfs, unlink } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type FileCalls, VIA_THREADS } from './fileCalls.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;
/** For writing and reading back; fails if anything of that name is there. */
const NEW_FILE = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;

/** A directory entry's name as the kernel has it: bytes that need not be UTF-8. */
export type Name = string | Buffer;

/** tmpfs and ramfs, as statfs(2) calls them. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

/**
 * An open directory, held by descriptor. Node has no openat(2); on Linux `/proc/self/fd/N/name` is the same thing:
 * the kernel starts at the open directory, so nobody who renames or links directories meanwhile can lead a path elsewhere.
 * `name` is always one component; links are refused unless a method says otherwise.
 */
export class Dir implements AsyncDisposable {
  readonly #handle: FileHandle;
  /** For messages only; never used to reach anything. */
  readonly display: string;

  private constructor(handle: FileHandle, display: string) {
    this.#handle = handle;
    this.display = display;
  }

  /** Opens a directory the caller named. Its parents may be links (they are the caller's), the directory itself may not. */
  static async open(path: string): Promise<Dir> {
    return new Dir(await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
  }

  async openDir(name: Name): Promise<Dir> {
    return new Dir(await open(this.child(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW), this.displayOf(name));
  }

  /** Follows a link in the last component: only where the signer and the caller allow links. */
  async openLinkedDir(name: Name): Promise<Dir> {
    return new Dir(await open(this.child(name), O_RDONLY | O_DIRECTORY), this.displayOf(name));
  }

  /** Opens the directory, making it first when it is not there. */
  async ensureDir(name: Name, mode: number): Promise<Dir> {
    try {
      return await this.openDir(name);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
    await this.makeDir(name, mode);
    return this.openDir(name);
  }

  /** Makes a directory with exactly `mode`, whatever the umask. No error when somebody else just made it. */
  async makeDir(name: Name, mode: number): Promise<void> {
    try {
      await mkdir(this.child(name), { mode: mode & 0o777 });
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return;
      throw error;
    }
    await using made = await this.openDir(name);
    await made.#handle.chmod(mode);
  }

  /** Makes a private directory; false when something of that name is there. */
  async makeDirExclusive(name: Name): Promise<boolean> {
    try {
      await mkdir(this.child(name), { mode: 0o700 });
      return true;
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** Opens the directory that holds `path`'s last component; `mode` makes missing directories on the way. */
  async parentOf(path: string, mode?: number): Promise<{ readonly dir: Dir; readonly name: string }> {
    const components = path.split('/');
    const name = components.pop() ?? '';
    let dir = await this.reopen();
    for (const component of components) {
      await using previous = dir;
      dir = mode === undefined ? await previous.openDir(component) : await previous.ensureDir(component, mode);
    }
    return { dir, name };
  }

  /** A new file for writing (and reading back); fails if anything of that name is there. */
  createFile(name: Name, mode: number): Promise<FileHandle> {
    return open(this.child(name), NEW_FILE, mode);
  }

  /** The same, by descriptor, which is the caller's to close. */
  async createDescriptor(name: Name, mode: number, { open }: FileCalls): Promise<number> {
    return open(this.child(name), NEW_FILE, mode);
  }

  /** A regular file for reading; O_NONBLOCK because opening a FIFO would wait for ever. @throws FILE_TYPE */
  async openFile(name: Name, links: 'refuse' | 'follow' = 'refuse'): Promise<FileHandle> {
    let handle: FileHandle;
    try {
      handle = await open(this.child(name), O_RDONLY | O_NONBLOCK | (links === 'refuse' ? O_NOFOLLOW : 0));
    } catch (error) {
      if (links === 'refuse' && systemErrorCode(error) === 'ELOOP') throw notRegular(this.displayOf(name));
      throw error;
    }
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    throw notRegular(this.displayOf(name));
  }

  /** A regular file reached through links wherever they lead: only where the signer or the caller allows them. @throws FILE_TYPE */
  async openFileThroughLinks(path: string): Promise<FileHandle> {
    const handle = await open(`${this.path()}/${path}`, O_RDONLY | O_NONBLOCK);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    throw notRegular(this.displayOf(path));
  }

  /** The relative name of a file given by path, when it lies below this directory; links in its parents are resolved, it itself is not. */
  async locateInside(path: string): Promise<readonly string[]> {
    const [root, parent] = await Promise.all([realpath(this.path()), realpath(dirname(resolve(path)))]);
    const name = relative(root, join(parent, basename(path)));
    return name === '' || name === '..' || name.startsWith('../') ? [] : [name];
  }

  /** The text of a link. */
  readLink(name: Name): Promise<string> {
    return readlink(this.child(name), 'utf8');
  }

  lstat(name: Name): Promise<Stats> {
    return lstat(this.child(name));
  }

  stat(): Promise<Stats> {
    return this.#handle.stat();
  }

  list(): Promise<Buffer[]> {
    return readdir(this.path(), { encoding: 'buffer' });
  }

  /** Moves an entry of this directory; within one file system, atomically. */
  async moveTo(name: Name, target: Dir, targetName: Name, { rename }: FileCalls = VIA_THREADS): Promise<void> {
    await rename(this.child(name), target.child(targetName));
  }

  /** Whether nothing here outlives the machine's memory: an emptyDir with `medium: Memory`, for one. */
  isInMemory(): Promise<boolean> {
    return statfs(this.path()).then((stats) => IN_MEMORY.has(stats.type));
  }

  freeBytes(): Promise<number> {
    return statfs(this.path()).then((stats) => stats.bavail * stats.bsize);
  }

  async removeFile(name: Name): Promise<void> {
    await unlink(this.child(name));
  }

  /** Removes an entry and everything below it; links are removed, never followed. */
  async removeTree(name: Name): Promise<void> {
    const stats = await lstat(this.child(name)).catch(ignoreMissing);
    if (stats === undefined) return;
    if (!stats.isDirectory()) return void (await unlink(this.child(name)).catch(ignoreMissing));
    {
      await using dir = await this.openDir(name);
      for (const entry of await dir.list()) await dir.removeTree(entry);
    }
    await rmdir(this.child(name)).catch(ignoreMissing);
  }

  /** Removes what stands at `path`, and the directories above it that are empty then. @throws ENOENT, ENOTDIR when its directory is not there */
  async removePath(path: string): Promise<void> {
    for (let rest = path; rest !== ''; rest = rest.slice(0, Math.max(0, rest.lastIndexOf('/')))) {
      const { dir, name } = await this.parentOf(rest);
      await using parent = dir;
      if (rest === path) await parent.removeTree(name);
      else if (!(await parent.removeEmptyDir(name))) return;
    }
  }

  /** False when it is not empty, or no directory. */
  async removeEmptyDir(name: Name): Promise<boolean> {
    try {
      await rmdir(this.child(name));
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENOENT', 'EBUSY'].includes(systemErrorCode(error) ?? '')) return false;
      throw error;
    }
  }

  /** Whether `name` still leads to the directory that `dir` holds open. */
  async holds(name: Name, dir: Dir): Promise<boolean> {
    const [there, open] = [await this.lstat(name).catch(ignoreMissing), await dir.stat()];
    return there?.ino === open.ino && there.dev === open.dev;
  }

  /** Makes the directory's entries durable. File systems that cannot (EINVAL) need not. */
  async sync(): Promise<void> {
    await this.#handle.sync().catch((error: unknown) => {
      if (systemErrorCode(error) !== 'EINVAL') throw error;
    });
  }

  async chmod(mode: number): Promise<void> {
    await this.#handle.chmod(mode);
  }

  /** A path through the descriptor, good while this directory is open. Elsewhere than on Linux (development only) the plain path. */
  child(name: Name): Buffer {
    return Buffer.concat([Buffer.from(`${this.path()}/`), Buffer.from(name)]);
  }

  path(): string {
    return process.platform === 'linux' ? `/proc/self/fd/${this.#handle.fd}` : this.display;
  }

  displayOf(name: Name): string {
    return `${this.display}/${printable(name.toString())}`;
  }

  async reopen(): Promise<Dir> {
    return new Dir(await open(`${this.path()}/.`, O_RDONLY | O_DIRECTORY), this.display);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** Somebody else could have made a directory of a name we use, to have us publish what he put there, or to read what we stage. */
export async function isPrivate(base: Dir, name: string): Promise<boolean> {
  const stats = await base.lstat(name).catch(ignoreMissing);
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

export function ignoreMissing(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
  return undefined;
}

/** Why something that only had to be read could not be: READ_ONLY would send people looking for the wrong permission. */
export function unreadable(error: unknown, path: string): AppError {
  const mapped = fromSystemError(error, `reading ${printable(path)}`, { path: printable(path) });
  if (mapped.code !== 'READ_ONLY' || error instanceof AppError) return mapped;
  return new AppError('IO', `${mapped.message}: this container's user may not read it`, {
    hint: 'Give the files world or group read permission (fsGroup).',
    context: mapped.context,
    cause: error,
  });
}

function notRegular(display: string): AppError {
  return new AppError('FILE_TYPE', `${display} is not a regular file`, { context: { path: display } });
}
