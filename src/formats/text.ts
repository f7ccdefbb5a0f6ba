// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly, readHead } from './byteSource.ts';
import { Defect, type Finding } from './finding.ts';
import { isObject } from './json.ts';
import { type JsonValue, readMembers } from './jsonMembers.ts';
import { fileBeside } from './location.ts';
import { CODE_NAMES, codeInMembers, codeInTemplate, codeInYaml } from './remoteCode.ts';

const HEAD_BYTES = 4096;
const CHUNK_BYTES = 1024 * 1024;
const MAX_JSON_BYTES = 64 * 1024 * 1024;
const MAX_CODE_BYTES = 1024 * 1024;
/** Control characters but white space, and ESC, which stands in logs and in the vocabulary of tokenizers. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_TEXT = /[\0-\x08\x0e-\x1a\x1c-\x1f]/;

/** What a text is; undefined when the file is none: not UTF-8, or with control characters. Programs are told by their names before anything else. */
export async function judgeText(source: ByteSource, name: string): Promise<readonly Finding[] | undefined> {
  if (!(await isText(source))) return undefined;
  const start = Buffer.from(await source.read(0, MAX_CODE_BYTES))
    .toString('utf8')
    .replace(/^\ufeff/, '');
  if (start.startsWith('#!')) return [{ kind: 'format', format: 'script', detail: 'begins with #!' }];
  if (PYTHON_NAME.test(name)) return [{ kind: 'format', format: 'python' }];
  if (SCRIPT_NAME.test(name)) return [{ kind: 'format', format: 'script', detail: 'by its name' }];
  const template = /\.(jinja2?|j2)$/i.test(name);
  if (!template && (/^\s*[{[]/.test(start) || /\.json$/i.test(name))) {
    const json = await judgeJson(source, name);
    if (json !== undefined) return json;
  }
  if (!template && /^\s*<([!?]|[a-z][\w:-]*[\s>/])/i.test(start)) return [{ kind: 'format', format: 'markup', detail: 'HTML, SVG or XML' }];
  const prose = PROSE_NAME.test(name) ? outsideFences(start) : start;
  if (hasPython(prose)) return [{ kind: 'format', format: 'python' }];
  const configuration = /\.ya?ml$/i.test(name);
  const text = { kind: 'format', format: 'text' } as const;
  if ((configuration || template) && source.sizeBytes > MAX_CODE_BYTES)
    return [text, { kind: 'malformed', format: 'text', detail: `larger than the ${MAX_CODE_BYTES} bytes that are searched for code` }];
  return withCode(text, codeInYaml(prose, configuration) ?? (template ? codeInTemplate(start) : undefined));
}

function withCode(format: Finding, code: string | undefined): readonly Finding[] {
  return code === undefined ? [format] : [format, { kind: 'format', format: 'remote-code', detail: code }];
}

/** The index of a model in several files names them: loaders open what it names. Files that are not there harm nobody. */
function misleadingShards(weightMap: JsonValue | undefined): readonly Finding[] {
  if (weightMap?.kind !== 'object') return [];
  const map = weightMap.parsed();
  try {
    for (const shard of new Set(isObject(map) ? Object.values(map) : [])) fileBeside(typeof shard === 'string' ? shard : '');
    return [];
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return [{ kind: 'malformed', format: 'json', detail: error.message }];
  }
}

/** Python imports them by that. */
const PYTHON_NAME = /\.pyw?$/i;
/** Nobody runs what shows examples. */
const PROSE_NAME = /\.(md|mdx|markdown|rst)$|(^|\/)readme[^/]*$/i;
/** Text of programs, which need no first line to be run. */
const SCRIPT_NAME = /\.(sh|bash|zsh|bat|cmd|ps1|psm1|vbs|js|mjs|cjs|lua|rb|pl|php|r)$/i;

async function isText(source: ByteSource): Promise<boolean> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  // Nearly all that is no text shows it at once.
  if (NO_TEXT.test((await readHead(source, HEAD_BYTES)).toString('latin1'))) return false;
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
  let code: string | undefined;
  let misleading: readonly Finding[] = [];
  try {
    readMembers(await readExactly(source, 0, source.sizeBytes, 'the text'), NAMES, (members, depth) => {
      code ??= codeInMembers(members);
      if (depth === 0) misleading = misleadingShards(members.get('weight_map'));
    });
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return named ? [{ kind: 'malformed', format: 'json', detail: error.message }] : undefined;
  }
  return [...withCode({ kind: 'format', format: 'json' }, code), ...misleading];
}

const NAMES: ReadonlySet<string> = new Set([...CODE_NAMES, 'weight_map']);

/** Statements at the beginning of lines. */
function hasPython(text: string): boolean {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const statements = lines.filter((line) =>
    /^(import [\w.]+( as \w+)?(, ?[\w.]+)*\s*([#;].*)?$|from [\w.]+ import [\w(*]|(async )?def \w+\(|class \w+(\(.*\))?:|if __name__ ?==|@[\w.]+(\(.*\))?$|exec\(|eval\()/.test(
      line,
    ),
  );
  return statements.length >= 1 && statements.length * 50 >= lines.length;
}

/** Without the examples of a README. One that does not end is none. */
function outsideFences(text: string): string {
  const lines = text.split('\n');
  const kept: string[] = [];
  let fence: { readonly mark: string; readonly at: number } | undefined;
  for (const line of lines) {
    const mark = /^[ \t]*(```|~~~)/.exec(line)?.[1];
    if (fence === undefined && mark !== undefined) fence = { mark, at: kept.length };
    else if (fence !== undefined && mark === fence.mark) {
      kept.length = fence.at;
      fence = undefined;
      continue;
    }
    kept.push(line);
  }
  return kept.join('\n');
}
