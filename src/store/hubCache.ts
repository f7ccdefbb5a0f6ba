// SPDX-License-Identifier: Apache-2.0
import type { Stats } from 'node:fs';
import { type FileHandle, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { blobOf } from '../base/hubCache.ts';
import { printable } from '../base/redact.ts';
import { Dir, type Name } from './dir.ts';

/** Opens `blobs/` of the cache that `root`, a `snapshots/<commit>`, belongs to. @throws CONFIG_INVALID */
export async function openBlobs(root: Dir): Promise<Dir> {
  const snapshots = dirname(await realpath(root.path()));
  try {
    if (basename(snapshots) === 'snapshots') return await Dir.open(join(dirname(snapshots), 'blobs'));
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) throw error;
  }
  throw new AppError('CONFIG_INVALID', `--hub-cache: ${printable(root.display)} is not snapshots/<commit> of a Hugging Face cache with blobs beside it`, {
    hint: 'Name the directory models--OWNER--NAME/snapshots/COMMIT; refs/main holds the commit.',
    context: { path: printable(root.display) },
  });
}

/** The regular file in `blobs` that the link `name` of `dir` (`path` below the snapshot) leads to; undefined for any other link. */
export async function statBlob(blobs: Dir, dir: Dir, name: Name, path: string): Promise<Stats | undefined> {
  const blob = blobOf(path, await dir.readLink(name));
  if (blob === undefined) return undefined;
  try {
    const parent = await blobs.parentOf(blob);
    await using holder = parent.dir;
    const stats = await holder.lstat(parent.name);
    return stats.isFile() ? stats : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** Opens what statBlob found; the link is read again, and whatever it says by now, it is a file of `blobs`. @throws FILE_TYPE */
export async function openBlob(blobs: Dir, root: Dir, path: string): Promise<FileHandle> {
  const link = await root.parentOf(path);
  await using dir = link.dir;
  const blob = blobOf(path, await dir.readLink(link.name));
  if (blob === undefined) throw new AppError('FILE_TYPE', `${root.displayOf(path)} does not lead into blobs`, { context: { path: printable(path) } });
  const parent = await blobs.parentOf(blob);
  await using holder = parent.dir;
  return await holder.openFile(parent.name);
}
