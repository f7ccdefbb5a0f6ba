// SPDX-License-Identifier: Apache-2.0
import { isPlain } from './markup.ts';
import type { ReportDocument, ReportedModel } from './read.ts';

/**
 * The command that checks the same model again, in lines; undefined when there is nothing on disk to check, or its name cannot be copied faithfully. Whom
 * to trust has to come from the publisher: a report that could say so would vouch for itself.
 */
export function verifyAgain({ command, trust }: ReportDocument, model: ReportedModel): readonly string[] | undefined {
  const path = command === 'verify' ? model.source : model.destination;
  if (path === undefined || model.verdict !== 'verified' || !isCopyable(path)) return undefined;
  const flags = trustFlags(trust?.method);
  if (flags === undefined || model.manifest === undefined) return undefined;
  return [`model-gate verify ${quote(path.startsWith('-') ? `./${path}` : path)}`, ...flags, `--expect-digest sha256:${model.manifest.rootDigest}`];
}

function trustFlags(method: string | undefined): readonly string[] | undefined {
  switch (method) {
    case 'key':
      return ["--public-key 'PUBLISHERS-KEY.pem'"];
    case 'certificate':
      return ["--ca 'PUBLISHERS-CA.pem'"];
    case 'sigstore':
      return ["--identity 'PUBLISHERS-IDENTITY'", "--issuer 'ITS-ISSUER'"];
    default:
      return undefined;
  }
}

/** Reports escape what cannot be printed, and the page cuts what is long: such names would lead elsewhere. */
function isCopyable(path: string): boolean {
  return path.length <= 300 && isPlain(path) && !/\\u[0-9a-f]{4}/.test(path);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
