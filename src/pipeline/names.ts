// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import { isWithin, type ModelPath, parseModelPath } from '../oms/path.ts';
import type { PullPlan } from '../plan/plan.ts';
import { STAGING_PREFIX } from '../store/staging.ts';
import type { Accepted } from './gate.ts';

/** @throws PATH_UNSAFE */
export function refuseUnsafeNames(files: readonly ManifestFile[]): void {
  const check = createNameCheck('manifest');
  for (const { path } of files) check(path);
}

/** For names that one manifest, or archive, gives: refuses those that a volume could make one, and names of our own, which would go away with staging. */
export function createNameCheck(where: 'manifest' | 'archive'): (path: ModelPath) => void {
  /** Directories and files by their parent's number and their own folded name: whole names as keys would cost the square of the depth. */
  const seen = new Map<string, { readonly id: number; readonly name: string }>();
  return (path) => {
    if (fold(path).startsWith(fold(STAGING_PREFIX))) {
      throw new AppError('PATH_UNSAFE', `the ${where} names '${printable(path)}'; names that begin with ${STAGING_PREFIX} are for staging only`, {
        hint: 'Rename it and sign again, or verify the model in place instead of pulling it.',
        context: { path: printable(path) },
      });
    }
    let parent = 0;
    for (const [depth, name] of path.split('/').entries()) {
      const key = `${parent}/${fold(name)}`;
      const known = seen.get(key) ?? { id: seen.size + 1, name };
      if (known.name !== name) {
        const above = path.split('/').slice(0, depth);
        const [other, own] = [[...above, known.name].join('/'), [...above, name].join('/')];
        throw new AppError('PATH_UNSAFE', `the ${where} names '${printable(other)}' and '${printable(own)}', which a volume may take for one name`, {
          hint: 'Rename one of them and sign again, or verify the model in place instead of pulling it.',
          context: { path: printable(path) },
        });
      }
      seen.set(key, known);
      parent = known.id;
    }
  };
}

/** The name the bundle had, unless that is no file name here or a signed file has it already; then a customary one, if any is free. */
export function publishedBundleName({ bundle, manifest }: Accepted): string | undefined {
  const taken = new Set(manifest.files.map((file) => fold(file.path.split('/')[0] ?? '')));
  const usable = (name: string): boolean =>
    'path' in parseModelPath(name) && !name.includes('/') && !fold(name).startsWith(fold(STAGING_PREFIX)) && !taken.has(fold(name));
  return [bundle.name, 'model.sig', 'model.sigstore.json'].find(usable);
}

/** One call may pull several models into nested directories (/mnt/models and /mnt/models/lora): the inner one is no stranger to the outer. */
export function nestedDestinations(plan: PullPlan, destination: string, wanted: readonly ManifestFile[]): readonly string[] {
  const here = resolve(destination);
  const nested = plan.models
    .map((model) => resolve(model.destination))
    .filter((path) => path !== here && path.startsWith(`${here}/`))
    .map((path) => path.slice(here.length + 1));
  const clash = wanted.find((file) => nested.some((name) => isWithin(file.path, name)));
  if (clash !== undefined) throw new AppError('PLAN_CONTRADICTION', `'${printable(clash.path)}' of one model lies in the destination of another`);
  return nested;
}

/**
 * Names that some volume takes for one become one. Such volumes ignore case by its full folding (ß is ss, K is the Kelvin sign), Unicode
 * forms, and characters without a glyph; JavaScript's lower case alone knows none of these. Folding too much only refuses more.
 */
function fold(name: string): string {
  return name
    .normalize('NFD')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .toLowerCase()
    .toUpperCase()
    .normalize('NFD');
}
