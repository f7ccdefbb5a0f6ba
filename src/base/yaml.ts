// SPDX-License-Identifier: Apache-2.0
import { type Document, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { MAX_YAML_BYTES } from './limits.ts';

/**
 * YAML 1.2 or JSON, in time that grows with its length. One document; no aliases (a few bytes of those can stand for gigabytes), no tags, no
 * key twice, keys are text. @throws Error that names the first problem and its place
 */
export function parseStrictYaml(bytes: Buffer): Document {
  if (bytes.length > MAX_YAML_BYTES) throw new Error(`it is larger than ${MAX_YAML_BYTES} bytes`);
  const text = utf8(bytes);
  const lineCounter = new LineCounter();
  const problem = (what: string, at: number | undefined): Error => {
    const { line, col } = lineCounter.linePos(at ?? 0);
    return new Error(`${what} at line ${line}, column ${col}`);
  };
  // `prettyErrors` looks for the place of every error from the start of the text, `uniqueKeys` compares each key with each other one: both
  // take minutes for a text made for it. Not silent: a second document would be left out without a word.
  const document = parseDocument(text, {
    strict: true,
    stringKeys: true,
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter,
  });
  const [first] = [...document.errors, ...document.warnings];
  if (first !== undefined) throw problem(first.message, first.pos[0]);
  visit(document, {
    Alias(_, { range }) {
      throw problem('aliases are not accepted', range?.[0]);
    },
    Node(_, { tag, range }) {
      if (tag !== undefined && !tag.startsWith('tag:yaml.org,2002:')) throw problem('tags are not accepted', range?.[0]);
    },
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key;
        if (seen.has(name)) throw problem('keys must be unique', isScalar(key) ? key.range?.[0] : undefined);
        seen.add(name);
      }
    },
  });
  return document;
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error('it is not valid UTF-8', { cause });
  }
}
