// SPDX-License-Identifier: Apache-2.0
// What is in the bundle, from what esbuild says it took, not from what package.json asks for.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

export type BundledPackage = {
  readonly name: string;
  readonly version: string;
  /** SPDX expression of its package.json. */
  readonly licence: string;
  /** Folder below the root, as the lock file writes it. */
  readonly path: string;
  /** Minified bytes in the bundle. */
  readonly bytes: number;
  /** Node's own modules it imports, without `node:`: what it can touch. */
  readonly modules: readonly string[];
};

/** Permissive licences whose one duty is to pass their text on. Anything else is a decision for people: the build stops. */
const ALLOWED = ['Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT'];

/** Largest first. @throws when one has a licence that is not allowed. */
export function bundledPackages(metafile: Metafile, root: string): readonly BundledPackage[] {
  const bytes = new Map<string, number>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const path = folderOf(file);
      if (path !== undefined && bytesInOutput > 0) bytes.set(path, (bytes.get(path) ?? 0) + bytesInOutput);
    }
  }
  const packages = [...bytes].map(([path, size]): BundledPackage => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as Record<string, unknown>;
    if (typeof name !== 'string' || typeof version !== 'string') throw new Error(`${path} has no name or version`);
    if (typeof license !== 'string' || !ALLOWED.includes(license)) throw new Error(`${name} ${version} has the licence ${JSON.stringify(license)}`);
    return { name, version, licence: license, path, bytes: size, modules: modulesOf(metafile, (file) => folderOf(file) === path) };
  });
  return packages.sort((a, b) => b.bytes - a.bytes || compare(a.path, b.path));
}

/** Node's modules that the chosen files in the bundle import. */
export function modulesOf({ inputs }: Metafile, chosen: (file: string) => boolean): readonly string[] {
  const imports = Object.entries(inputs).flatMap(([file, input]) => (chosen(file) ? input.imports : []));
  const names = imports.filter(({ external, path }) => external === true && path !== '<runtime>').map(({ path }) => path.replace(/^node:/, ''));
  return [...new Set(names)].sort(compare);
}

const folderOf = (file: string): string | undefined => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];

/** The texts all these licences ask to be passed on with the program; equal texts once. @throws when one has none. */
export function licenceTexts(packages: readonly BundledPackage[], root: string): string {
  const users = new Map<string, string[]>();
  for (const entry of [...packages].sort((a, b) => compare(a.path, b.path))) {
    const text = textsOf(entry, root);
    const user = `${entry.name} ${entry.version} (${entry.licence})`;
    const others = users.get(text) ?? [];
    if (!others.includes(user)) users.set(text, [...others, user]);
  }
  const sections = [...users].map(([text, names]) => `${'='.repeat(80)}\n${names.join('\n')}\n${'='.repeat(80)}\n\n${text}\n`);
  return `model-gate's program contains the packages below, each under the licence that follows its name.\n\n${sections.join('\n')}`;
}

function textsOf({ path, name, licence }: BundledPackage, root: string): string {
  const folder = join(root, path);
  const files = readdirSync(folder).sort(compare);
  const texts = files.filter((file) => /^(?:licen[cs]e|copying)/i.test(file)).map((file) => readText(join(folder, file)));
  if (texts.length === 0) {
    // A few packages of the Apache Foundation's licence leave its text out; it is the same for everyone, and ours.
    if (licence !== 'Apache-2.0') throw new Error(`${name} brings no licence text`);
    texts.push(readText(join(root, 'LICENSE')));
  }
  // Apache-2.0 § 4 (d).
  return [...texts, ...files.filter((file) => /^notice/i.test(file)).map((file) => readText(join(folder, file)))].join('\n\n');
}

const readText = (path: string): string => readFileSync(path, 'utf8').replaceAll('\r\n', '\n').trim();

/** By code units: a locale would make the output the machine's. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
