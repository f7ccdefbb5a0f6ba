// SPDX-License-Identifier: Apache-2.0

import type { Brand } from '../base/brands.ts';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Manifest, ManifestFile } from '../oms/manifest.ts';
import { type Destination, openExisting } from './destination.ts';
import { type Dir, ignoreMissing } from './dir.ts';
import { OLD, type Staging, TREE } from './staging.ts';

/**
 * Every wanted file has been hashed and matched: `staged` in our staging tree, `kept` where it stands in the destination.
 * Minted by completeTree only; publish takes nothing else.
 */
export type CompleteTree = Brand<
  { readonly manifest: Manifest; readonly staged: readonly ManifestFile[]; readonly kept: readonly ManifestFile[] },
  'CompleteTree'
>;

/** @throws INTERNAL when a wanted file was not verified: publishing less than everything is a defect of ours */
export function completeTree(
  manifest: Manifest,
  wanted: readonly ManifestFile[],
  verified: { staged: readonly ManifestFile[]; kept: readonly ManifestFile[] },
): CompleteTree {
  const done = new Set([...verified.staged, ...verified.kept].map((file) => file.path));
  const missing = wanted.find((file) => !done.has(file.path));
  if (missing !== undefined) throw new AppError('INTERNAL', `'${printable(missing.path)}' was not verified`);
  return { manifest, ...verified } as CompleteTree;
}

export type PublishOptions = {
  /** Names in the destination to be removed: refused unless the caller asked to prune. */
  readonly prune: readonly string[];
  /** Name under which the bundle is staged at the top of the tree, to be published last. */
  readonly bundleName?: string;
  /** `swap`: every wanted file is staged, and the whole tree takes the old one's place. `fill`: staged files join kept ones. */
  readonly way: 'swap' | 'fill';
};

/**
 * Puts a complete tree in place. A destination that can be renamed changes in one step; on a mount point verified files are
 * renamed one by one, so that a crash leaves verified files only. @throws PUBLISH_FAILED, DESTINATION_DIFFERS, NO_SPACE
 */
export async function publish(tree: CompleteTree, destination: Destination, staging: Staging, options: PublishOptions): Promise<void> {
  try {
    await using existing = await openExisting(destination);
    if (existing === undefined) await renameTree(destination, staging);
    else if (destination.strategy === 'rename' && options.way === 'swap') await swapTrees(destination, staging);
    else {
      // First what nobody signed: it may stand where a signed name belongs.
      for (const name of options.prune) await existing.removePath(name).catch(ignoreMissing);
      await moveEntries(
        tree.staged.map((file) => file.path),
        existing,
        staging,
      );
      // Last, and only when the rest is there for good: after a power loss a bundle must not stand without the files it is about.
      if (options.bundleName !== undefined) await moveEntries([options.bundleName], existing, staging);
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    const errno = systemErrorCode(error);
    if (errno === undefined || errno === 'ENOSPC' || errno === 'EDQUOT') throw fromSystemError(error, `publishing to ${printable(destination.path)}`);
    throw new AppError('PUBLISH_FAILED', `the verified model could not be moved to ${printable(destination.path)}: ${errno}`, { cause: error });
  }
}

async function renameTree(destination: Destination, staging: Staging): Promise<void> {
  await syncTree(staging.tree);
  try {
    await staging.root.moveTo(TREE, destination.base, destination.name);
  } catch (error) {
    if (!['EEXIST', 'ENOTEMPTY'].includes(systemErrorCode(error) ?? '')) throw error;
    // Another pod was faster. What it published is for the next start to verify.
    throw new AppError('DESTINATION_DIFFERS', `${printable(destination.path)} appeared while the model was being downloaded`, {
      hint: 'Start again: what stands there now will be verified.',
      cause: error,
    });
  }
  await destination.base.sync();
}

/** The new tree is whole in staging: the two trees change places. */
async function swapTrees(destination: Destination, staging: Staging): Promise<void> {
  await syncTree(staging.tree);
  const { base, name } = destination;
  await base.moveTo(name, staging.root, OLD);
  try {
    await staging.root.moveTo(TREE, base, name);
  } catch (error) {
    await staging.root.moveTo(OLD, base, name);
    throw error;
  }
  await base.sync();
  await staging.root.removeTree(OLD);
}

async function moveEntries(paths: readonly string[], existing: Dir, staging: Staging): Promise<void> {
  const touched = new Set<string>();
  for (const { parent, names } of stretchesOf(paths)) {
    await using from = await openBelow(staging.tree, parent);
    await using to = await openBelow(existing, parent, staging.modes.dir);
    await several(names, async (name) => {
      await from.moveTo(name, to, name, staging.calls).catch(async (error: unknown) => {
        // A directory of that name with nothing in it, left of another model, is nobody's loss.
        if (systemErrorCode(error) !== 'EISDIR' || !(await to.removeEmptyDir(name))) throw error;
        await from.moveTo(name, to, name, staging.calls);
      });
    });
    // Directories above it may have been made on the way: each has to be known in the one above.
    touched.add('');
    for (let end = parent.length; end > 0; end = parent.lastIndexOf('/', end - 2) + 1) touched.add(parent.slice(0, end));
  }
  for (const parent of touched) {
    await using dir = await openBelow(existing, parent);
    await dir.sync();
  }
}

const MOVES_AT_ONCE = 8;

/** Does something with each, several at a time, none after one has failed; when this has ended, well or not, nothing is under way. */
async function several<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && failure === undefined; next = queue.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: MOVES_AT_ONCE }, lane));
  if (failure !== undefined) throw failure.error;
}

/** Paths in their order; those that follow each other in one directory together, so that it is opened once. */
function stretchesOf(paths: readonly string[]): readonly { readonly parent: string; readonly names: string[] }[] {
  const stretches: { parent: string; names: string[] }[] = [];
  for (const path of paths) {
    const slash = path.lastIndexOf('/');
    const [parent, name] = [path.slice(0, slash + 1), path.slice(slash + 1)];
    const last = stretches.at(-1);
    if (last?.parent === parent) last.names.push(name);
    else stretches.push({ parent, names: [name] });
  }
  return stretches;
}

/** `parent` ends in a slash, or is empty. `mode`: makes what is missing. */
async function openBelow(dir: Dir, parent: string, mode?: number): Promise<Dir> {
  return (await dir.parentOf(`${parent}x`, mode)).dir;
}

async function syncTree(dir: Dir): Promise<void> {
  for (const entry of await dir.list()) {
    if (!(await dir.lstat(entry)).isDirectory()) continue;
    await using child = await dir.openDir(entry);
    await syncTree(child);
  }
  await dir.sync();
}
