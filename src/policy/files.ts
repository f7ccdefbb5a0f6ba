// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { Finding } from './evaluate.ts';
import { matchesName } from './glob.ts';
import type { FileChecks, Policy, Rule } from './policy.ts';

/** What a policy says of files: always, and in the rule that is about the model. */
export function fileChecksOf(policy: Policy, rule: Rule | undefined): readonly FileChecks[] {
  return rule === undefined ? [policy.checks.files] : [policy.checks.files, rule.checks.files];
}

/** At least one of the checks says so, and none says otherwise. */
export function tolerates<K extends 'unsigned' | 'symlinks'>(checks: readonly FileChecks[], what: K, wanted: FileChecks[K]): boolean {
  const said = checks.flatMap((one) => one[what] ?? []);
  return said.length > 0 && said.every((value) => value === wanted);
}

/** Names that must not be in a model, whether signed or not. */
export function nameFinding(files: FileChecks, paths: readonly string[]): Finding | undefined {
  for (const path of paths) {
    const denied = files.deny.find((glob) => matchesName(glob, path));
    if (denied !== undefined) return { code: 'POLICY_DENIED', message: `the file '${printable(path, 300)}' is denied by '${denied}'` };
    if (files.allow !== undefined && !files.allow.some((glob) => matchesName(glob, path)))
      return { code: 'POLICY_DENIED', message: `the file '${printable(path, 300)}' is none of the allowed ones` };
  }
  return undefined;
}

/** Known once the files are there: a manifest need not say how large they are. */
export function sizeFinding(
  { maxFileBytes, maxTotalBytes }: FileChecks,
  sizes: readonly { readonly path: string; readonly sizeBytes: number }[],
): Finding | undefined {
  const large = sizes.find((file) => maxFileBytes !== undefined && file.sizeBytes > maxFileBytes);
  if (large !== undefined)
    return { code: 'LIMIT_EXCEEDED', message: `'${printable(large.path, 300)}' has ${large.sizeBytes} bytes, more than ${maxFileBytes}` };
  const total = sizes.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (maxTotalBytes === undefined || total <= maxTotalBytes) return undefined;
  return { code: 'LIMIT_EXCEEDED', message: `the files have ${total} bytes together, more than ${maxTotalBytes}` };
}
