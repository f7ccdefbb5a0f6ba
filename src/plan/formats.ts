// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { FORMATS, type Format } from '../formats/finding.ts';
import type { FormatPolicy } from '../formats/judge.ts';
import { suggest } from './load.ts';
import type { Values } from './options.ts';

/** What `scan` allows unless told otherwise: data that loaders take for data, and what people write beside it. */
export const PLAIN_FORMATS = [
  'safetensors',
  'gguf',
  'onnx',
  'npy',
  'npz',
  'sentencepiece',
  'parquet',
  'json',
  'text',
  'image',
] as const satisfies readonly Format[];

/** `--allow-formats a,b` and `--format NAME=allow|warn|deny`. `otherwise` holds where --allow-formats is not given. @throws CONFIG_INVALID, PLAN_CONTRADICTION */
export function formatPolicyOf(values: Pick<Values, 'allow-formats' | 'format'>, otherwise: FormatPolicy['allow']): FormatPolicy {
  const allow = values['allow-formats']?.split(',').map((name) => formatOf(name, '--allow-formats'));
  const rules: Partial<Record<Format, 'allow' | 'deny' | 'warn'>> = {};
  for (const text of values.format) {
    const [, name = '', verdict] = /^([^=]*)=(allow|deny|warn)$/.exec(text.trim()) ?? [];
    if (verdict !== 'allow' && verdict !== 'deny' && verdict !== 'warn') {
      throw new AppError('CONFIG_INVALID', `--format '${printable(text, 80)}' is not of the form NAME=allow, NAME=warn or NAME=deny`);
    }
    const format = formatOf(name, '--format');
    if ((rules[format] ?? verdict) !== verdict) throw new AppError('PLAN_CONTRADICTION', `--format says two things about ${format}`);
    rules[format] = verdict;
  }
  return { allow: allow ?? otherwise, rules };
}

function formatOf(text: string, option: string): Format {
  const name = text.trim();
  const format = FORMATS.find((known) => known === name);
  if (format !== undefined) return format;
  const near = suggest(name, FORMATS);
  throw new AppError('CONFIG_INVALID', `${option}: there is no format '${printable(name, 80)}'${near === undefined ? '' : `; did you mean ${near}?`}`, {
    hint: `Formats: ${FORMATS.join(', ')}.`,
  });
}
