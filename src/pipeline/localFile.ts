// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Locator } from '../source/source.ts';
import { Dir, unreadable } from '../store/dir.ts';

/** Opens a signed name below a directory, component by component; no link is followed unless links were signed or allowed. @throws FILE_TYPE */
export async function openBelow(root: Dir, path: string, links: 'refuse' | 'follow' = 'refuse'): Promise<FileHandle> {
  if (links === 'follow') return root.openFileThroughLinks(path);
  const parent = await root.parentOf(path);
  await using dir = parent.dir;
  return await dir.openFile(parent.name);
}

/**
 * The same for what may be right already, in the destination or in staging. Other processes may take it away at any moment.
 * @throws SOURCE_CHANGED when it is gone, FILE_TYPE, IO
 */
export async function openCandidate(root: Dir, path: string): Promise<FileHandle> {
  try {
    return await openBelow(root, path);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) throw unreadable(error, path);
    throw new AppError('SOURCE_CHANGED', `'${printable(path)}' went away while it was being checked`, {
      context: { path: printable(path), retry: 'no' },
      cause: error,
    });
  }
}

/** The same for a file of a local source. @throws FILE_TYPE */
export async function openLocalFile(locator: Extract<Locator, { kind: 'file' }>, links: 'refuse' | 'follow'): Promise<FileHandle> {
  await using root = await Dir.open(locator.root);
  return await openBelow(root, locator.path, links);
}
