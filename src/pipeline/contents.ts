// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { identify } from '../formats/identify.ts';
import { judgeFormats } from '../formats/judge.ts';
import type { FormatPolicy, Mode } from '../policy/policy.ts';
import type { FormatEvidence, ModelEvidence } from '../report/evidence.ts';
import { byteSourceOf } from './byteSource.ts';
import { type GateDeps, warn } from './gate.ts';
import { waive } from './judge.ts';

/** What one layer says of formats. */
export type FormatRule = { readonly layer: string; readonly rule: string; readonly mode: Mode; readonly formats: FormatPolicy };

/** A file whose bytes are those that were signed. */
export type VerifiedFile = { readonly path: string; readonly open: () => Promise<FileHandle> };

/** One file may need 64 MiB at once, and what it decompresses to besides. */
const LANES = 2;

/**
 * Looks into verified files, before they are published or after they were verified in place, and holds what they are against the rules of
 * every layer. What a layer only warns of, or a format that is only to be warned of, is told.
 * @throws PICKLE_IMPORT, FORMAT_MALFORMED, FORMAT_DENIED (the first of a file, by the order of files), IO
 */
export async function judgeContents(rules: readonly FormatRule[], files: readonly VerifiedFile[], deps: GateDeps, model: ModelEvidence): Promise<void> {
  const names = new Set(files.map((file) => file.path));
  const looked: (FormatEvidence | undefined)[] = files.map(() => undefined);
  const refusals: (AppError | undefined)[] = files.map(() => undefined);
  const queue = files.entries();
  async function lane(): Promise<void> {
    for (const [i, file] of queue) {
      const { evidence, refusal } = await judgeFile(rules, file, names, deps, model);
      looked[i] = evidence;
      refusals[i] = refusal;
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane));
  model.formats = looked.flatMap((one) => one ?? []);
  const first = refusals.find((refusal) => refusal !== undefined);
  if (first !== undefined) throw first;
}

async function judgeFile(
  rules: readonly FormatRule[],
  { path, open }: VerifiedFile,
  names: ReadonlySet<string>,
  deps: GateDeps,
  model: ModelEvidence,
): Promise<{ readonly evidence: FormatEvidence; readonly refusal: AppError | undefined }> {
  deps.signal.throwIfAborted();
  const display = printable(path);
  await using file = await open();
  const { size } = await file.stat();
  const findings = await identify(byteSourceOf(file, size, display, deps.signal), path);
  let refusal: AppError | undefined;
  for (const { layer, rule, mode, formats } of rules) {
    const policy = { allow: formats.allow, rules: Object.fromEntries(formats.verdicts), pickleImports: formats.pickleImports };
    for (const { severity, code, detail } of judgeFormats(policy, path, findings, names)) {
      const message = `'${display}' ${detail}`;
      if (severity === 'warning') warn(deps, model, `${message} (${layer}: ${rule})`);
      else if (mode === 'enforce') refusal ??= new AppError(code, `${message} (${layer}: rule '${rule}')`, { context: { path: display } });
      else waive(deps, model, { code, message }, `${layer}: ${rule}`);
    }
  }
  const formats = [...new Set(findings.flatMap((finding) => (finding.kind === 'format' ? [finding.format] : [])))];
  return { evidence: { path: display, formats }, refusal };
}
