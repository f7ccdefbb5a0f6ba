// SPDX-License-Identifier: Apache-2.0
import picomatch from 'picomatch';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { Manifest, ManifestFile } from '../oms/manifest.ts';
import type { GatePlan } from '../plan/plan.ts';
import { fnmatch } from './fnmatch.ts';

/** The part of a manifest that the caller wants, and the names of the rest. */
export type Selection = { readonly wanted: NonEmpty<ManifestFile>; readonly notRequested: readonly string[] };

/**
 * Globs over whole names; `*` crosses no slash, but a pattern without a slash is tried on the last component too. KServe's patterns (fnmatch)
 * narrow further. @throws CONFIG_INVALID
 */
export function select(manifest: Manifest, { include, exclude, patterns }: Pick<GatePlan, 'include' | 'exclude' | 'patterns'>): Selection {
  const filters = [
    { include, exclude, matcher: globs },
    { include: patterns.allow, exclude: patterns.ignore, matcher: fnmatches },
  ].filter((filter) => filter.include.length + filter.exclude.length > 0);
  if (filters.length === 0) return { wanted: manifest.files, notRequested: [] };
  const tests = filters.map((filter) => ({
    some: filter.include.length > 0,
    included: filter.matcher(filter.include),
    excluded: filter.matcher(filter.exclude),
  }));
  const isWanted = (path: string): boolean => tests.every((test) => (!test.some || test.included(path)) && !test.excluded(path));
  const wanted = manifest.files.filter((file) => isWanted(file.path));
  if (!isNonEmpty(wanted))
    throw new AppError('CONFIG_INVALID', '--include and --exclude (or STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS) leave no file of the model');
  return { wanted, notRequested: manifest.files.filter((file) => !isWanted(file.path)).map((file) => file.path) };
}

function globs(list: readonly string[]): (path: string) => boolean {
  const tests = list.map((glob) => {
    // Without 's', no ** would match a directory with a line break in its name, and --exclude would let its files through.
    const test = picomatch(glob, { dot: true, nonegate: true, flags: 's' });
    return glob.includes('/') ? test : (path: string) => test(path.slice(path.lastIndexOf('/') + 1));
  });
  return (path) => tests.some((test) => test(path));
}

function fnmatches(list: readonly string[]): (path: string) => boolean {
  const tests = list.map(fnmatch);
  return (path) => tests.some((test) => test(path));
}
