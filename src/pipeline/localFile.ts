// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import type { Locator } from '../source/source.ts';
import { Dir } from '../store/dir.ts';

/** Opens a signed name below a directory, component by component; no link is followed unless links were signed or allowed. @throws FILE_TYPE */
export async function openBelow(root: Dir, path: string, links: 'refuse' | 'follow' = 'refuse'): Promise<FileHandle> {
  if (links === 'follow') return root.openFileThroughLinks(path);
  const parent = await root.parentOf(path);
  await using dir = parent.dir;
  return await dir.openFile(parent.name);
}

/** The same for a file of a local source. @throws FILE_TYPE */
export async function openLocalFile(locator: Extract<Locator, { kind: 'file' }>, links: 'refuse' | 'follow'): Promise<FileHandle> {
  await using root = await Dir.open(locator.root);
  return await openBelow(root, locator.path, links);
}
