// SPDX-License-Identifier: Apache-2.0
import { createHash, type Hash } from 'node:crypto';
import { type BigIntStats, lstat, readdir, stat } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { systemErrorCode } from '../base/errors.ts';

const [lstatOf, statOf, entriesOf] = [promisify(lstat), promisify(stat), promisify(readdir)];

/** What tells that something is not as it was, and the directories of it (path → inode), for whoever wants to be told by the kernel. */
export type Fingerprint = { readonly digest: string; readonly directories: ReadonlyMap<string, bigint> };

export type Subject = {
  readonly path: string;
  /**
   * `deep`: a directory with all that is below it. `mounted`: a file, or a directory without those below it, that Kubernetes may have made of
   * a ConfigMap: links are followed, and the directory it lies in, where the links change, is one to watch. `beside`: the same, in a directory full of others.
   */
  readonly kind: 'deep' | 'mounted' | 'beside';
};

/**
 * Over device, inode, mode, length and times of every entry. A hint, no proof: names are gone to by path, and nothing is opened, so it costs
 * no more than the metadata. What cannot be looked at is part of it.
 */
export async function fingerprint(subjects: readonly Subject[], maxEntries: number): Promise<Fingerprint> {
  const walk: Walk = { hash: createHash('sha256'), directories: new Map(), left: maxEntries };
  for (const { path, kind } of subjects) {
    if (kind === 'mounted') {
      const parent = await statOf(dirname(path), { bigint: true }).catch(() => undefined);
      if (parent !== undefined) walk.directories.set(dirname(path), parent.ino);
    }
    await visit(walk, Buffer.from(path), kind === 'deep' ? 'deep' : 'through');
  }
  return { digest: walk.hash.digest('hex'), directories: walk.directories };
}

type Walk = { readonly hash: Hash; readonly directories: Map<string, bigint>; left: number };

/** `through`: a link is followed, a directory is listed; `leaf`: a link is followed, a directory is not. */
async function visit(walk: Walk, path: Buffer, how: 'deep' | 'through' | 'leaf'): Promise<void> {
  if (walk.left-- <= 0) return;
  walk.hash.update(path).update('\0');
  const own = await look(walk, path, lstatOf);
  const found = own?.isSymbolicLink() === true ? await look(walk, path, statOf) : own;
  const directory = how === 'through' ? found : how === 'deep' ? own : undefined;
  if (directory?.isDirectory() !== true) return;
  walk.directories.set(path.toString(), directory.ino);
  for (const name of await list(walk, path)) await visit(walk, Buffer.concat([path, Buffer.from('/'), name]), how === 'deep' ? 'deep' : 'leaf');
}

async function look(walk: Walk, path: Buffer, how: (path: Buffer, options: { bigint: true }) => Promise<BigIntStats>): Promise<BigIntStats | undefined> {
  try {
    const stats = await how(path, { bigint: true });
    const { dev, ino, mode, size, mtimeNs, ctimeNs } = stats;
    walk.hash.update(`${dev}:${ino}:${mode}:${size}:${mtimeNs}:${ctimeNs}\0`);
    return stats;
  } catch (error) {
    walk.hash.update(`${systemErrorCode(error)}\0`);
    return undefined;
  }
}

async function list(walk: Walk, path: Buffer): Promise<readonly Buffer[]> {
  try {
    return (await entriesOf(path, { encoding: 'buffer' })).sort(Buffer.compare);
  } catch (error) {
    walk.hash.update(`${systemErrorCode(error)}\0`);
    return [];
  }
}
