// SPDX-License-Identifier: Apache-2.0
import { AppError, type ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Manifest, ManifestFile } from '../oms/manifest.ts';
import type { Tree } from './tree.ts';

/** How a directory differs from a manifest by names, kinds and, where the manifest knows them, lengths. */
export type Finding = {
  readonly code: Extract<ErrorCode, 'FILE_MISSING' | 'FILE_UNSIGNED' | 'FILE_TYPE' | 'SIZE_MISMATCH'>;
  readonly name: string;
  readonly detail?: string;
};

const SHOWN = 10;

/**
 * OMS §8.4(8,9), §8.5: every signed file is there as a regular file, and nothing else is, unless unsigned files are ignored.
 * Contents are not looked at. `wanted` may be a part of the manifest; the rest of it counts as signed but need not be there.
 */
export function compareTree(manifest: Manifest, wanted: readonly ManifestFile[], tree: Tree, unsigned: 'refuse' | 'ignore'): readonly Finding[] {
  const findings: Finding[] = [];
  const odd = new Map(tree.odd.map((entry) => [entry.display, entry.problem]));
  for (const file of wanted) {
    const found = tree.files.get(file.path);
    const display = printable(file.path);
    if (found === undefined) findings.push(odd.has(display) ? { code: 'FILE_TYPE', name: display } : { code: 'FILE_MISSING', name: display });
    else if (file.sizeBytes !== undefined && found.sizeBytes !== file.sizeBytes) {
      findings.push({ code: 'SIZE_MISMATCH', name: display, detail: `expected ${file.sizeBytes} bytes, found ${found.sizeBytes}` });
    }
  }
  if (unsigned === 'ignore') return findings;

  const signed = new Set<string>(manifest.files.map((file) => file.path));
  for (const file of tree.files.values()) {
    // Zero-byte files give no shard, so a shard manifest cannot name them (OMS §6.3.2(1)).
    const unlistable = manifest.method === 'shards' && file.sizeBytes === 0;
    if (!signed.has(file.path) && !unlistable) findings.push({ code: 'FILE_UNSIGNED', name: printable(file.path) });
  }
  const known = new Set(findings.map((finding) => finding.name));
  for (const [name, problem] of odd) {
    if (!known.has(name)) findings.push(problem === 'name' ? { code: 'FILE_UNSIGNED', name } : { code: 'FILE_TYPE', name, detail: problem });
  }
  return findings;
}

/** All findings as one refusal; undefined when there are none. The wording is what users of the reference command line grep for. */
export function refusal(findings: readonly Finding[], where: string): AppError | undefined {
  const first = findings[0];
  if (first === undefined) return undefined;
  const same = findings.filter((finding) => finding.code === first.code);
  const names = same.slice(0, SHOWN).map((finding) => finding.name);
  const list = `${names.join(', ')}${same.length > SHOWN ? ` and ${same.length - SHOWN} more` : ''}`;
  const context = { path: names[0] ?? '', names, count: findings.length };
  switch (first.code) {
    case 'FILE_MISSING':
      return new AppError(first.code, `Missing files in model '${where}': ${list}`, { context });
    case 'FILE_UNSIGNED':
      return new AppError(first.code, `Extra files found in model '${where}': ${list}`, { context });
    case 'FILE_TYPE':
      return new AppError(first.code, `${first.detail === 'symlink' ? 'Symlink not allowed' : 'Not a regular file'} in model '${where}': ${list}`, { context });
    case 'SIZE_MISMATCH':
      return new AppError(first.code, `Wrong length of '${first.name}' in model '${where}': ${first.detail}`, { context });
  }
}
