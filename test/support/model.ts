// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Keys, makeKeys, resourceOf, type StatementOptions, signResources } from './signer.ts';

export type Files = Readonly<Record<string, Buffer | string>>;

/** A temporary directory; disposing removes it, whatever a test did to its permissions. */
export type Scratch = Disposable & { readonly path: string; at(...names: readonly string[]): string };

export function scratch(below = tmpdir()): Scratch {
  const path = mkdtempSync(join(below, 'model-gate-test-'));
  // Tests look at it as other users too.
  chmodSync(path, 0o755);
  return { path, at: (...names) => join(path, ...names), [Symbol.dispose]: () => removeAll(path) };
}

export function removeAll(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

export function writeTree(dir: string, files: Files): void {
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }
}

/** A model of ordinary shape: configuration, nested weights, an empty file. */
export const SMALL_MODEL: Files = {
  'config.json': '{"hidden_size": 8}',
  'weights/part-1.bin': Buffer.alloc(40_000, 'one'),
  'weights/part-2.bin': Buffer.alloc(70_001, 'two'),
  'empty.txt': '',
};

/** One key for a whole test file: making one costs more than signing. */
export const KEYS: Keys = makeKeys();

/** The bundle over exactly these files, by key. */
export function bundleOf(files: Files, keys: Keys = KEYS, options: StatementOptions = {}): Buffer {
  return signResources(
    Object.entries(files).map(([name, content]) => resourceOf(name, Buffer.from(content))),
    keys,
    options,
  );
}

/** The files and, as model.sig, their bundle. */
export function signed(files: Files, keys: Keys = KEYS, options: StatementOptions = {}): Files {
  return { ...files, 'model.sig': bundleOf(files, keys, options) };
}

/** Regular files below `dir` with their contents, and everything else by what it is. Empty when there is no such directory. */
export function treeOf(dir: string): Record<string, string> {
  return Object.fromEntries(entriesOf(dir).map(({ name, path }) => [name, describe(path)]));
}

/** How `files` look to treeOf. */
export function treeFrom(files: Files): Record<string, string> {
  const directories = Object.keys(files).flatMap((name) =>
    name
      .split('/')
      .slice(0, -1)
      .map((_, i, all) => all.slice(0, i + 1).join('/')),
  );
  return Object.fromEntries(
    [
      ...directories.map((name) => [name, 'directory'] as const),
      ...Object.entries(files).map(([name, content]) => [name, contentOf(Buffer.from(content))] as const),
    ].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Everything that writing changes: kinds, modes, owners, sizes, times, inodes. Not access times. */
export function snapshot(dir: string): readonly string[] {
  return [{ name: '', path: dir }, ...entriesOf(dir)].map(({ name, path }) => {
    const { mode, uid, gid, size, mtimeNs, ctimeNs, ino, nlink } = lstatSync(path, { bigint: true });
    return [name, mode.toString(8), uid, gid, size, mtimeNs, ctimeNs, ino, nlink].join(' ');
  });
}

/** Permission bits below `dir`, by name. */
export function modesOf(dir: string): Record<string, string> {
  return Object.fromEntries(entriesOf(dir).map(({ name, path }) => [name, (lstatSync(path).mode & 0o7777).toString(8)]));
}

/** Names that the program makes on a volume for its own use. */
export function leftovers(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir).filter((name) => name.startsWith('.model-gate-')) : [];
}

/** Without following links, which readdir's own recursion does. */
function entriesOf(dir: string, prefix = ''): { name: string; path: string }[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => {
      const [name, path] = [`${prefix}${entry.name}`, join(dir, entry.name)];
      return [{ name, path }, ...(entry.isDirectory() ? entriesOf(path, `${name}/`) : [])];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function describe(path: string): string {
  const stats = lstatSync(path);
  if (stats.isFile()) return contentOf(readFileSync(path));
  if (stats.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  return stats.isDirectory() ? 'directory' : 'special';
}

function contentOf(content: Buffer): string {
  return `${content.length} bytes ${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
}
