// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { Statement } from '../oms/write.ts';

/** What `digest` found, as the pipeline hands it over. */
export type DigestFacts = { readonly subjectName: string; readonly statement: Statement; readonly files: number; readonly totalBytes: number };

/** One line each: the root digest, as --expect-digest takes it, and the resources in the manifest's order. */
export function digestText({ statement }: DigestFacts): string {
  const lines = statement.resources.map(({ name, digest, algorithm }) => `${algorithm}:${digest}  ${printable(name, 5000)}`);
  return [`sha256:${statement.rootDigest}`, ...lines, ''].join('\n');
}

export function digestJson({ subjectName, statement, files, totalBytes }: DigestFacts): object {
  return { rootDigest: `sha256:${statement.rootDigest}`, subjectName, files, totalBytes, resources: statement.resources };
}
