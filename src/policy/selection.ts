// SPDX-License-Identifier: Apache-2.0
import picomatch from 'picomatch';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { Manifest, ManifestFile } from '../oms/manifest.ts';

/** The part of a manifest that the caller wants, and the names of the rest. */
export type Selection = { readonly wanted: NonEmpty<ManifestFile>; readonly notRequested: readonly string[] };

/** Globs over whole names; `*` crosses no slash, but a pattern without a slash is tried on the last component too. @throws CONFIG_INVALID */
export function select(manifest: Manifest, include: readonly string[], exclude: readonly string[]): Selection {
  if (include.length === 0 && exclude.length === 0) return { wanted: manifest.files, notRequested: [] };
  const included = matcher(include);
  const excluded = matcher(exclude);
  const isWanted = (path: string): boolean => (include.length === 0 || included(path)) && !excluded(path);
  const wanted = manifest.files.filter((file) => isWanted(file.path));
  if (!isNonEmpty(wanted)) throw new AppError('CONFIG_INVALID', '--include and --exclude leave no file of the model');
  return { wanted, notRequested: manifest.files.filter((file) => !isWanted(file.path)).map((file) => file.path) };
}

function matcher(globs: readonly string[]): (path: string) => boolean {
  const tests = globs.map((glob) => {
    // Without 's', no ** would match a directory with a line break in its name, and --exclude would let its files through.
    const test = picomatch(glob, { dot: true, nonegate: true, flags: 's' });
    return glob.includes('/') ? test : (path: string) => test(path.slice(path.lastIndexOf('/') + 1));
  });
  return (path) => tests.some((test) => test(path));
}
