// SPDX-License-Identifier: Apache-2.0
import type { Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { isIgnored } from '../oms/manifest.ts';
import { isWithin, parseModelPath } from '../oms/path.ts';
import { type Dir, ignoreMissing, unreadable } from './dir.ts';
import { statBlob } from './hubCache.ts';

/** A regular file found on disk. `via` tells whether its name, or a directory above it, is a link. */
export type TreeFile = {
  readonly path: string;
  readonly sizeBytes: number;
  readonly via: 'name' | 'link';
  /** Differs when the file was replaced or written to. */
  readonly identity: string;
};

/** What is no regular file, or whose name (`problem: 'name'`, no `path`) cannot stand in a manifest. `display` is printable. */
export type OddEntry = { readonly path?: string; readonly display: string; readonly problem: 'symlink' | 'special' | 'name' | 'dangling' };

/** What a directory holds: its regular files by name, and what must not be in a model. */
export type Tree = {
  readonly files: ReadonlyMap<string, TreeFile>;
  readonly odd: readonly OddEntry[];
  /** Links that lead out of the tree, or round in it. */
  readonly warnings: readonly string[];
};

export type WalkOptions = {
  /** Left out with everything below, before links are looked at (OMS §6.1(3,4)). */
  readonly ignored: readonly string[];
  /** `blobs`: of a Hugging Face cache, into which links may lead, and nowhere else. */
  readonly symlinks: 'reject' | 'follow' | { readonly blobs: Dir };
  readonly maxEntries: number;
  /** Names that are looked for even where they are ignored: what is signed has to be there and match, ignored or not (OMS §8.4(8)). */
  readonly listed?: readonly string[];
};

const MAX_DEPTH = 256;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Enumerates a model directory (OMS §6.1). Never leaves it unless links are allowed. @throws LIMIT_EXCEEDED, IO */
export async function readTree(root: Dir, options: WalkOptions): Promise<Tree> {
  const walk: Walk = { options, ignored: new Set(options.ignored), files: new Map(), odd: [], warnings: [], links: [], entries: 0 };
  try {
    await walkDir(walk, root, '', 'name', [identity(await root.stat())]);
    for (const path of options.listed ?? []) {
      if (isIgnored(path, walk.ignored)) await visitListed(walk, root, path);
    }
    await warnOfOutside(walk, root);
    return walk;
  } catch (error) {
    throw unreadable(error, root.display);
  }
}

/** OMS §6.1.1: a link may lead out of the model, but not unnoticed. */
async function warnOfOutside({ links, warnings }: Walk, root: Dir): Promise<void> {
  if (links.length === 0) return;
  const inside = await realpath(root.child('.'));
  const [first, ...others] = links.filter(({ target }) => !isWithin(target, inside));
  if (first === undefined) return;
  warnings.push(`link ${printable(first.path)} leads out of the model${others.length === 0 ? '' : `, and so do ${others.length} more`}`);
}

async function visitListed(walk: Walk, root: Dir, path: string): Promise<void> {
  try {
    const parent = await root.parentOf(path);
    await using dir = parent.dir;
    if (!(await dir.lstat(parent.name)).isDirectory()) await visit(walk, dir, parent.name, path, 'name', []);
  } catch (error) {
    // Not there, or behind a link: missing either way.
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) throw error;
  }
}

type Walk = {
  readonly options: WalkOptions;
  readonly ignored: ReadonlySet<string>;
  readonly files: Map<string, TreeFile>;
  readonly odd: OddEntry[];
  readonly warnings: string[];
  readonly links: { readonly path: string; readonly target: string }[];
  entries: number;
};

async function walkDir(walk: Walk, dir: Dir, prefix: string, via: 'name' | 'link', ancestors: readonly string[]): Promise<void> {
  if (ancestors.length > MAX_DEPTH) throw new AppError('LIMIT_EXCEEDED', `${dir.display} is nested deeper than ${MAX_DEPTH} directories`);
  for (const bytes of await dir.list()) {
    walk.entries++;
    if (walk.entries > walk.options.maxEntries) throw new AppError('LIMIT_EXCEEDED', `the model directory holds more than ${walk.options.maxEntries} entries`);
    const name = decode(bytes);
    const path = `${prefix}${name ?? printable(bytes.toString('latin1'))}`;
    // A name that is not UTF-8 cannot stand in any manifest (OMS §6.1.2(7)); decoding it loosely would hide it behind another.
    if (name === undefined || 'problem' in parseModelPath(path)) walk.odd.push({ display: printable(path), problem: 'name' });
    else if (!isIgnored(path, walk.ignored)) await visit(walk, dir, name, path, via, ancestors);
  }
}

async function visit(walk: Walk, dir: Dir, name: string, path: string, via: 'name' | 'link', ancestors: readonly string[]): Promise<void> {
  const stats = await dir.lstat(name).catch(ignoreMissing);
  if (stats === undefined) return;
  if (stats.isFile()) walk.files.set(path, { path, sizeBytes: stats.size, via, identity: identityOfFile(stats) });
  else if (stats.isDirectory()) {
    await using child = await dir.openDir(name);
    await walkDir(walk, child, `${path}/`, via, [...ancestors, identity(stats)]);
  } else if (stats.isSymbolicLink()) await visitLink(walk, dir, name, path, ancestors);
  else walk.odd.push({ path, display: printable(path), problem: 'special' });
}

/** OMS §6.1.1: with `follow`, a linked file stands under the link's own name; linked folders are searched, or unsigned files could hide there. */
async function visitLink(walk: Walk, dir: Dir, name: string, path: string, ancestors: readonly string[]): Promise<void> {
  const { symlinks } = walk.options;
  if (symlinks === 'reject') return void walk.odd.push({ path, display: printable(path), problem: 'symlink' });
  if (symlinks !== 'follow') {
    const blob = await statBlob(symlinks.blobs, dir, name, path);
    if (blob === undefined) walk.odd.push({ path, display: printable(path), problem: 'symlink' });
    else walk.files.set(path, { path, sizeBytes: blob.size, via: 'link', identity: identityOfFile(blob) });
    return;
  }
  const target = await stat(dir.child(name)).catch((error: unknown) => {
    if (['ENOENT', 'ELOOP', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  });
  if (target === undefined) return void walk.odd.push({ path, display: printable(path), problem: 'dangling' });
  const real = await realpath(dir.child(name)).catch(ignoreMissing);
  if (real !== undefined) walk.links.push({ path, target: real });
  if (target.isFile()) walk.files.set(path, { path, sizeBytes: target.size, via: 'link', identity: identityOfFile(target) });
  else if (!target.isDirectory()) walk.odd.push({ path, display: printable(path), problem: 'special' });
  else if (ancestors.includes(identity(target))) walk.warnings.push(`link ${printable(path)} leads back to a directory above it`);
  else {
    await using child = await dir.openLinkedDir(name);
    await walkDir(walk, child, `${path}/`, 'link', [...ancestors, identity(target)]);
  }
}

export function identityOfFile(stats: Stats): string {
  return `${identity(stats)}:${stats.size}:${stats.ctimeMs}`;
}

function identity(stats: Stats): string {
  return `${stats.dev}:${stats.ino}`;
}

function decode(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
