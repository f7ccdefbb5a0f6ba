// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type FormatPolicy, judgeFormats } from '../formats/judge.ts';
import type { Mode } from '../policy/policy.ts';
import type { FormatEvidence, ModelEvidence } from '../report/evidence.ts';
import { type GateDeps, warn } from './gate.ts';

import { inLanes, lookAt } from './look.ts';
import { waive } from './settle.ts';

/** What one layer says of formats. */
export type FormatRule = { readonly layer: string; readonly rule: string; readonly mode: Mode; readonly formats: FormatPolicy };

/** A file whose bytes are those that were signed, or that nobody signed and that is tolerated. */
export type LookedFile = { readonly path: string; readonly open: () => Promise<FileHandle> };

/**
 * Looks into files, before they are published or after they were verified in place, and holds what they are against the rules of
 * every layer. `names`: of all files that there are. What a layer only warns of, or a format that is only to be warned of, is told.
 * @throws PICKLE_IMPORT, FORMAT_MALFORMED, FORMAT_DENIED (the first of a file, by the order of files), SOURCE_CHANGED, IO
 */
export async function judgeContents(
  rules: readonly FormatRule[],
  files: readonly LookedFile[],
  deps: GateDeps,
  model: ModelEvidence,
  names: ReadonlySet<string> = new Set(files.map((file) => file.path)),
): Promise<void> {
  const looked: (FormatEvidence | undefined)[] = files.map(() => undefined);
  const refusals: (AppError | undefined)[] = files.map(() => undefined);
  await inLanes(files.entries(), deps.signal, async ([i, file], signal) => {
    const { evidence, refusal } = await judgeFile(rules, file, names, { ...deps, signal }, model);
    looked[i] = evidence;
    refusals[i] = refusal;
  });
  model.formats = looked.flatMap((one) => one ?? []);
  const first = refusals.find((refusal) => refusal !== undefined);
  if (first !== undefined) throw first;
}

async function judgeFile(
  rules: readonly FormatRule[],
  { path, open }: LookedFile,
  names: ReadonlySet<string>,
  deps: GateDeps,
  model: ModelEvidence,
): Promise<{ readonly evidence: FormatEvidence; readonly refusal: AppError | undefined }> {
  const display = printable(path);
  await using file = await open();
  const { findings, formats: found } = await lookAt(file, path, deps.signal);
  let refusal: AppError | undefined;
  for (const { layer, rule, mode, formats } of rules) {
    for (const { severity, code, detail } of judgeFormats(formats, path, findings, names)) {
      const message = `'${display}' ${detail}`;
      if (severity === 'warning') warn(deps, model, `${message} (${layer}: ${rule})`);
      else if (mode === 'enforce')
        refusal ??= new AppError(
          code,
          `${message}, which ${layer === 'flags' ? '--allow-formats or --format denies' : `the ${layer} denies (rule '${rule}')`}`,
          { context: { path: display } },
        );
      else waive(deps, model, { code, message }, `${layer}: ${rule}`);
    }
  }
  return { evidence: { path: display, formats: found }, refusal };
}
