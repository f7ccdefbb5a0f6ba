// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** A test that a document names by its title. */
export type NamedTest = { readonly title: string; readonly file: string };

/** Links of a document to tests: `[title](../test/…)`. */
export function namedTests(text: string): readonly NamedTest[] {
  return [...text.matchAll(/\[([^\]]+)\]\((\.\.\/test\/[^)]+\.test\.ts)\)/g)].map(([, title = '', file = '']) => ({ title, file }));
}

/** Whether the test stands in that file, seen from the document. */
export function isThere(document: string, { title, file }: NamedTest): boolean {
  const path = resolve(dirname(document), file);
  return existsSync(path) && titlesOf(readFileSync(path, 'utf8')).includes(title);
}

/** Titles of tests and groups of a file, as they are written there: what comes first in the call of describe, test and it, or of what `each` gives. */
export function titlesOf(source: string): string {
  return [...source.matchAll(/(?:\b(?:describe|test|it)\(|\)\()\s*(['"`])((?:\\.|(?!\1).)*)\1/g)]
    .map(([, , title = '']) => title.replace(/\\(.)/g, '$1'))
    .join('\n');
}
