// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import type { FormatPolicy, Mode } from '../policy/policy.ts';

/** What one layer says of formats. */
export type FormatRule = { readonly layer: string; readonly rule: string; readonly mode: Mode; readonly formats: FormatPolicy };

/** A file whose bytes are those that were signed. */
export type VerifiedFile = { readonly path: string; readonly open: () => Promise<FileHandle> };

/**
 * The place where verified files are looked into: before they are published, or after they were verified in place.
 * Rules about formats are refused as long as nobody can judge them: a rule that is silently not applied would be worse than none.
 * @throws POLICY_INVALID
 */
export async function judgeContents(rules: readonly FormatRule[], _files: readonly VerifiedFile[]): Promise<void> {
  const [first] = rules;
  if (first === undefined) return;
  throw new AppError('POLICY_INVALID', `the ${first.layer} has rules about formats ('${first.rule}'), which this version cannot judge`);
}
