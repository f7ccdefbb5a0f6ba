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
  const seen = new Map<string, string>();
  return (path) => {
    if (fold(path).startsWith(STAGING_PREFIX)) {
      throw new AppError('PATH_UNSAFE', `the ${where} names '${printable(path)}'; names that begin with ${STAGING_PREFIX} are for staging only`, {
        hint: 'Rename it and sign again, or verify the model in place instead of pulling it.',
        context: { path: printable(path) },
      });
    }
    const components = path.split('/');
    for (let depth = 1; depth <= components.length; depth++) {
      const prefix = components.slice(0, depth).join('/');
      const folded = fold(prefix);
      const other = seen.get(folded) ?? prefix;
      if (other !== prefix) {
        throw new AppError('PATH_UNSAFE', `the ${where} names '${printable(other)}' and '${printable(prefix)}', which differ by case or Unicode form only`, {
          hint: 'Rename one of them and sign again, or verify the model in place instead of pulling it.',
          context: { path: printable(path) },
        });
      }
      seen.set(folded, prefix);
    }
  };
}

/** The name the bundle had, unless that is no file name here or a signed file has it already; then a customary one, if any is free. */
export function publishedBundleName({ bundle, manifest }: Accepted): string | undefined {
  const taken = new Set(manifest.files.map((file) => fold(file.path.split('/')[0] ?? '')));
  const usable = (name: string): boolean =>
    'path' in parseModelPath(name) && !name.includes('/') && !fold(name).startsWith(STAGING_PREFIX) && !taken.has(fold(name));
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

function fold(name: string): string {
  return name.normalize('NFC').toLowerCase();
}
