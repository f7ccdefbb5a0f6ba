// SPDX-License-Identifier: Apache-2.0
import { parseDocument, visit } from 'yaml';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';

/** A policy is written by people: real ones have a few kilobytes. */
export const MAX_POLICY_BYTES = 256 * 1024;

/**
 * YAML 1.2 or JSON as Maps, lists and scalars. One document; no aliases (a few bytes of those can stand for gigabytes), no tags, no key twice.
 * @throws POLICY_INVALID
 */
export function parseYaml(bytes: Buffer, name: string): unknown {
  if (bytes.length > MAX_POLICY_BYTES) throw refused(name, `is larger than ${MAX_POLICY_BYTES} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refused(name, 'is not valid UTF-8', cause);
  }
  try {
    // Not silent: a second document would then be left out without a word.
    const document = parseDocument(text, { uniqueKeys: true, strict: true, stringKeys: true, merge: false, logLevel: 'error', prettyErrors: true });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw new Error(problem.message.split('\n')[0]);
    visit(document, {
      Alias() {
        throw new Error('aliases are not accepted');
      },
      Node(_, node) {
        if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) throw new Error('tags are not accepted');
      },
    });
    return document.toJS({ mapAsMap: true, maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    throw refused(name, `cannot be read: ${printable(cause instanceof Error ? cause.message : String(cause), 300)}`, cause);
  }
}

function refused(name: string, problem: string, cause?: unknown): AppError {
  return new AppError('POLICY_INVALID', `${printable(name, 300)} ${problem}`, { cause });
}
