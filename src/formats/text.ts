// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import { Defect, type Finding } from './finding.ts';
import { isObject, parseJson } from './json.ts';

const CHUNK_BYTES = 1024 * 1024;
const MAX_JSON_BYTES = 64 * 1024 * 1024;
const MAX_CODE_BYTES = 1024 * 1024;
/** Control characters but white space, and ESC, which stands in logs and in the vocabulary of tokenizers. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_TEXT = /[\0-\x08\x0e-\x1a\x1c-\x1f]/;

/** What a text is; undefined when the file is none: not UTF-8, or with control characters. */
export async function judgeText(source: ByteSource, name: string): Promise<readonly Finding[] | undefined> {
  if (!(await isText(source))) return undefined;
  const start = Buffer.from(await source.read(0, MAX_CODE_BYTES))
    .toString('utf8')
    .replace(/^\ufeff/, '');
  if (start.startsWith('#!')) return [{ kind: 'format', format: 'script', detail: 'begins with #!' }];
  if (/^\s*[{[]/.test(start) || /\.json$/i.test(name)) {
    const json = await judgeJson(source, name);
    if (json !== undefined) return json;
  }
  if (/^\s*<([!?]|[a-z][\w:-]*[\s>/])/i.test(start)) return [{ kind: 'format', format: 'markup', detail: 'HTML, SVG or XML' }];
  if (isPython(start, name)) return [{ kind: 'format', format: 'python' }];
  return [{ kind: 'format', format: 'text' }];
}

async function isText(source: ByteSource): Promise<boolean> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for (let position = 0; position < source.sizeBytes; position += CHUNK_BYTES) {
      const text = decoder.decode(await source.read(position, CHUNK_BYTES), { stream: true });
      if (NO_TEXT.test(text)) return false;
    }
    decoder.decode();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/** Undefined when it is no JSON after all. */
async function judgeJson(source: ByteSource, name: string): Promise<readonly Finding[] | undefined> {
  const named = /\.json$/i.test(name);
  if (source.sizeBytes > MAX_JSON_BYTES) return [{ kind: 'malformed', format: 'json', detail: `larger than the ${MAX_JSON_BYTES} bytes that are parsed` }];
  let value: unknown;
  try {
    value = parseJson(await source.read(0, source.sizeBytes), 'python');
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return named ? [{ kind: 'malformed', format: 'json', detail: error.message }] : undefined;
  }
  const code = remoteCode(value);
  return [{ kind: 'format', format: 'json' }, ...(code === undefined ? [] : [{ kind: 'format', format: 'remote-code', detail: code } as const])];
}

/** What tells a loader to run code that comes with the model: members that Transformers and Diffusers look for, and Keras' layers of code. */
function remoteCode(root: unknown): string | undefined {
  const open: unknown[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) for (const item of value) open.push(item ?? 0);
    else if (isObject(value)) {
      for (const key in value) {
        const member = value[key];
        if (key === 'auto_map' || key === 'custom_pipelines' || (key === 'trust_remote_code' && member !== false)) return `has ‘${key}’`;
        if (key === 'class_name' && (member === 'Lambda' || member === '__lambda__')) return 'has a Keras layer of code';
        open.push(member ?? 0);
      }
    }
  }
  return undefined;
}

/** By its name whatever it holds: Python imports it by that. By its content: statements at the beginning of lines, outside the examples of a README. */
function isPython(text: string, name: string): boolean {
  if (/\.pyw?$/i.test(name)) return true;
  const lines = text
    .replace(/^\s*(```|~~~)[\s\S]*?^\s*\1/gm, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const statements = lines.filter((line) =>
    /^(import [\w.]+( as \w+)?(, ?[\w.]+)*\s*(#.*)?$|from [\w.]+ import [\w(*]|(async )?def \w+\(|class \w+(\(.*\))?:|if __name__ ?==|@[\w.]+(\(.*\))?$|exec\(|eval\()/.test(
      line,
    ),
  );
  return statements.length >= 1 && statements.length * 50 >= lines.length;
}
