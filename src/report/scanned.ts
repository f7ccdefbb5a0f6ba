// SPDX-License-Identifier: Apache-2.0
import type { AppError, ErrorCode } from '../base/errors.ts';

/** What `scan` found, as the pipeline hands it over. Texts are printable. */
export type ScanFacts = {
  readonly path: string;
  readonly ignored: readonly string[];
  readonly files: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly formats: readonly string[];
    readonly problems: readonly { readonly severity: 'refused' | 'warning'; readonly code: ErrorCode; readonly detail: string }[];
    readonly problemCount: number;
    readonly verdict: 'clean' | 'warning' | 'refused';
  }[];
  readonly failure: AppError | undefined;
};

const WORDS = { clean: 'ok', warning: 'warning', refused: 'REFUSED' } as const;

/** For people: a line for each file and, below it, one for each problem. */
export function scanText(facts: ScanFacts): string {
  const width = Math.min(60, Math.max(...facts.files.map(({ path }) => path.length)));
  const lines = facts.files.flatMap(({ path, formats, problems, problemCount, verdict }) => [
    `${WORDS[verdict].padEnd(8)} ${path.padEnd(width)}  ${formats.join(', ')}`.trimEnd(),
    ...problems.map(({ code, detail }) => `         ${code}  ${detail}`),
    ...(problemCount > problems.length ? [`         and ${problemCount - problems.length} more`] : []),
  ]);
  const { files, refused, warnings } = counts(facts);
  const ignored = facts.ignored.length === 0 ? '' : ` Not looked at: ${facts.ignored.join(', ')}.`;
  return [...lines, `${files} files: ${refused} refused, ${warnings} with warnings.${ignored}`, ''].join('\n');
}

/** For machines: the verdict first. */
export function scanJson({ failure, ...facts }: ScanFacts): object {
  return {
    verdict: failure === undefined ? 'clean' : 'refused',
    ...(failure !== undefined && { reason: failure.code }),
    path: facts.path,
    counts: counts({ failure, ...facts }),
    ignored: facts.ignored,
    files: facts.files,
  };
}

function counts({ files }: ScanFacts): { readonly files: number; readonly refused: number; readonly warnings: number } {
  const of = (verdict: string): number => files.filter((file) => file.verdict === verdict).length;
  return { files: files.length, refused: of('refused'), warnings: of('warning') };
}
