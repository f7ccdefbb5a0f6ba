// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Finding, Format, PickleImport } from './finding.ts';

/** What a model may be made of. Without `allow` everything is that no rule denies; malformed files and dangerous imports never are. */
export type FormatPolicy = {
  readonly allow: readonly Format[] | undefined;
  /** Stronger than `allow`. `warn` lets the format pass, and says so. */
  readonly rules: Readonly<Partial<Record<Format, 'allow' | 'deny' | 'warn'>>>;
  /** Imports that are acceptable besides those of plain weights: `module.name`, or `module.*` for every name directly in that module. */
  readonly pickleImports?: readonly string[];
};

export type FormatProblem = { readonly severity: 'refused' | 'warning'; readonly code: FormatCode; readonly detail: string };

/** Of the catalogue in base/errors.ts. */
type FormatCode = Extract<ErrorCode, 'FORMAT_DENIED' | 'FORMAT_MALFORMED' | 'PICKLE_IMPORT'>;

/** What of a file's findings the policy refuses or warns of; empty when all is well. `modelFiles` are the names of the model's files, `path` is this one's. */
export function judgeFormats(policy: FormatPolicy, path: string, findings: readonly Finding[], modelFiles: ReadonlySet<string>): readonly FormatProblem[] {
  const allowedImport = importPatterns(policy.pickleImports ?? []);
  return findings.flatMap((finding) => {
    const problem = judgeFinding(policy, path, finding, modelFiles, allowedImport);
    if (problem === undefined) return [];
    const inside = finding.member === undefined ? '' : `${printable(finding.member, 200)}: `;
    return [{ ...problem, detail: `${inside}${printable(problem.detail, 400)}` }];
  });
}

function judgeFinding(
  policy: FormatPolicy,
  path: string,
  finding: Finding,
  modelFiles: ReadonlySet<string>,
  allowedImport: (found: PickleImport) => boolean,
): FormatProblem | undefined {
  switch (finding.kind) {
    case 'format':
      return judgeFormat(policy, finding.format, finding.detail);
    case 'malformed':
      return { severity: 'refused', code: 'FORMAT_MALFORMED', detail: `${finding.format}: ${finding.detail}` };
    case 'import': {
      const { module, name } = finding.import;
      return allowedImport(finding.import) ? undefined : { severity: 'refused', code: 'PICKLE_IMPORT', detail: `loading it imports ${module}.${name}` };
    }
    case 'reference': {
      // Data is looked for beside the file that refers to it.
      const location = `${path.slice(0, path.lastIndexOf('/') + 1)}${finding.location}`;
      if (finding.member === undefined && modelFiles.has(location)) return undefined;
      return { severity: 'refused', code: 'FORMAT_MALFORMED', detail: `${finding.format}: takes data from ${finding.location}, which is no file of the model` };
    }
  }
}

function judgeFormat(policy: FormatPolicy, format: Format, detail: string | undefined): FormatProblem | undefined {
  const rule = policy.rules[format] ?? (policy.allow === undefined || policy.allow.includes(format) ? 'allow' : 'deny');
  const text = `is ${format}${detail === undefined ? '' : ` (${detail})`}`;
  switch (rule) {
    case 'allow':
      return undefined;
    case 'warn':
      return { severity: 'warning', code: 'FORMAT_DENIED', detail: text };
    case 'deny':
      return { severity: 'refused', code: 'FORMAT_DENIED', detail: text };
  }
}

/** Nobody can vouch for a name that is made while loading; and a dotted name leads anywhere, so that `*` stands for none. */
function importPatterns(patterns: readonly string[]): (found: PickleImport) => boolean {
  const exact = new Set(patterns);
  return ({ module, name, verdict }) => {
    if (verdict === 'computed') return false;
    return verdict === 'allowed' || exact.has(`${module}.${name}`) || (!name.includes('.') && exact.has(`${module}.*`));
  };
}
