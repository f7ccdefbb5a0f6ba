// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { access, mkdir, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { Dir, ignoreMissing } from './dir.ts';

/**
 * Where a model is to stand. `rename`: the directory itself can be put in place and replaced, staging is its sibling.
 * `entries`: it is a mount point (or its parent cannot be written), so staging lives inside and entries are moved one by one.
 */
export type Destination = {
  readonly path: string;
  readonly strategy: 'rename' | 'entries';
  /** Holds the staging directory: the parent, or the destination itself. */
  readonly base: Dir;
  readonly name: string;
} & AsyncDisposable;

/** Makes missing parents (and a mount point's own directory never). @throws READ_ONLY, CONFIG_INVALID, IO */
export async function openDestination(path: string): Promise<Destination> {
  const absolute = resolve(path);
  if (absolute === '/') throw new AppError('CONFIG_INVALID', 'the destination cannot be /');
  try {
    await makeParents(dirname(absolute));
    // The parents are the caller's and may be links; from here on nothing is reached through a link.
    const parentPath = await realpath(dirname(absolute));
    const real = join(parentPath, basename(absolute));
    await using parent = await Dir.open(parentPath);
    const stats = await parent.lstat(basename(absolute)).catch(ignoreMissing);
    if (stats?.isSymbolicLink()) throw new AppError('CONFIG_INVALID', `the destination ${printable(absolute)} is a symbolic link; name its target`);
    if (stats !== undefined && !stats.isDirectory())
      throw new AppError('CONFIG_INVALID', `the destination ${printable(absolute)} exists and is not a directory`);
    const inside = stats !== undefined && ((await isMountPoint(real)) || stats.dev !== (await parent.stat()).dev || !(await isWritable(parentPath)));
    const base = inside ? await parent.openDir(basename(absolute)) : await parent.reopen();
    return { path: real, strategy: inside ? 'entries' : 'rename', base, name: basename(absolute), [Symbol.asyncDispose]: () => base[Symbol.asyncDispose]() };
  } catch (error) {
    throw fromSystemError(error, `opening the destination ${printable(absolute)}`, { path: printable(absolute) });
  }
}

/** Opens the destination's directory as it stands now, or undefined when there is none. */
export async function openExisting(destination: Destination): Promise<Dir | undefined> {
  if (destination.strategy === 'entries') return destination.base.reopen();
  return destination.base.openDir(destination.name).catch(ignoreMissing);
}

/** Missing parents get the modes of the model: under a umask of 077 nobody else could reach it. */
async function makeParents(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o755 });
  if (first === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    await using dir = await Dir.open(made);
    await dir.chmod(((await dir.stat()).mode & 0o2000) === 0 ? 0o755 : 0o2775);
    await syncAbove(made);
    if (made.length <= first.length) return;
  }
}

/** A directory is there for good when the one above it was synced, which may be reached through a link, and may be one that cannot be read. */
async function syncAbove(path: string): Promise<void> {
  const above = await Dir.open(await realpath(dirname(path))).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'EACCES') throw error;
    return undefined;
  });
  await using _held = above;
  await above?.sync();
}

/** A bind mount from the same file system shows in no device number, only in the mount table. */
async function isMountPoint(path: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return table.split('\n').some((line) => line.split(' ')[4] === escaped);
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return true;
  } catch (error) {
    if (['EACCES', 'EROFS', 'EPERM'].includes(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}
