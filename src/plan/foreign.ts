// SPDX-License-Identifier: Apache-2.0
import { type HexDigest, hexDigest } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import { type Command, envName } from './options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What KServe's variables, and those of the tools it stands in for, mean in our terms. */
export type Foreign = {
  /** The environment with them translated: AWS names for the S3 source, MODEL_GATE_… for options. */
  readonly env: Environment;
  /** fnmatch patterns on manifest names; an empty list says nothing. */
  readonly patterns: { readonly allow: readonly string[]; readonly ignore: readonly string[] };
  /** SHA-256 of the one object that is downloaded: another thing than the root digest of --expect-digest. */
  readonly objectDigest?: HexDigest;
  readonly relaxations: readonly string[];
  /** For --dry-run: each variable that counts, and as what. Without secrets. */
  readonly notes: readonly { readonly variable: string; readonly meaning: string }[];
};

export const NOTHING_FOREIGN: Foreign = { env: {}, patterns: { allow: [], ignore: [] }, relaxations: [], notes: [] };

/**
 * Reads the variables that KServe's storage initializer obeys. What would change the outcome and cannot be done here is refused, never ignored.
 * @throws CONFIG_INVALID
 */
export function readForeign(command: Command, env: Environment): Foreign {
  const notes: Note[] = [];
  // KServe calls nothing but pull; for a check in place its settings have no meaning.
  const ours = { ...env, ...hub(env, notes) };
  const translated = command === 'pull' ? { ...ours, ...storageConfig(env, notes), ...tuning(env, notes) } : ours;
  const relaxations = isOff(translated['S3_VERIFY_SSL']) ? ['S3_VERIFY_SSL'] : [];
  if (command !== 'pull') return { ...NOTHING_FOREIGN, env: translated, relaxations, notes };
  refuseDecryption(env);
  const objectDigest = verificationDigest(env, notes);
  return {
    env: translated,
    patterns: { allow: patternsOf(env, 'STORAGE_ALLOW_PATTERNS', 'include', notes), ignore: patternsOf(env, 'STORAGE_IGNORE_PATTERNS', 'exclude', notes) },
    ...(objectDigest !== undefined && { objectDigest }),
    relaxations,
    notes,
  };
}

type Note = Foreign['notes'][number];

/** Key of the storage secret → variables it sets. KServe sets the last of each only; the others would win here over what it meant. */
const STORAGE_KEYS: readonly (readonly [key: string, variables: readonly string[]])[] = [
  ['endpoint_url', ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']],
  ['access_key_id', ['AWS_ACCESS_KEY_ID']],
  ['secret_access_key', ['AWS_SECRET_ACCESS_KEY']],
  ['region', ['AWS_REGION', 'AWS_DEFAULT_REGION']],
  ['ca_bundle', ['AWS_CA_BUNDLE']],
  ['verify_ssl', ['S3_VERIFY_SSL']],
  ['anonymous', ['awsAnonymousCredential']],
];
const SECRET_KEYS = ['access_key_id', 'secret_access_key'];

/** The secret's JSON, with the override's members over it, set variables, as in KServe; other members are the webhook's business. */
function storageConfig(env: Environment, notes: Note[]): Environment {
  const merged = new Map([...membersOf(env, 'STORAGE_CONFIG'), ...membersOf(env, 'STORAGE_OVERRIDE_CONFIG')]);
  if (merged.size === 0) return {};
  const type = merged.get('type');
  if (type !== 's3') {
    const found = type === undefined ? 'has no type' : `has the type '${printable(String(type), 40)}'`;
    throw new AppError('CONFIG_INVALID', `STORAGE_CONFIG ${found}; only s3 is supported`, {
      hint: 'Give this service a storage secret of type s3, or an https:// or hf:// URI without one.',
    });
  }
  const set: Record<string, string | undefined> = {};
  for (const [key, variables] of STORAGE_KEYS) {
    const value = merged.get(key);
    if (value === undefined || value === '') continue;
    if (typeof value !== 'string') throw new AppError('CONFIG_INVALID', `'${key}' of STORAGE_CONFIG is not a text`);
    for (const variable of variables) set[variable] = value;
    const shown = SECRET_KEYS.includes(key) ? '<redacted>' : redactUri(value);
    notes.push({ variable: 'STORAGE_CONFIG', meaning: `${key} = ${shown}, as ${variables.at(-1)}` });
  }
  // A token belongs to the keys it came with.
  if (set['AWS_ACCESS_KEY_ID'] !== undefined) set['AWS_SESSION_TOKEN'] = undefined;
  return set;
}

function membersOf(env: Environment, variable: string): readonly (readonly [string, unknown])[] {
  const text = textOf(env, variable);
  if (text === undefined) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // No cause: the syntax error quotes the secret text.
    throw new AppError('CONFIG_INVALID', `${variable} is not valid JSON`);
  }
  // What Go writes for parameters that are not there.
  if (parsed === null) return [];
  if (typeof parsed !== 'object' || Array.isArray(parsed)) throw new AppError('CONFIG_INVALID', `${variable} is not a JSON object`);
  return Object.entries(parsed);
}

function hub(env: Environment, notes: Note[]): Environment {
  const value = textOf(env, 'HF_ENDPOINT');
  if (value === undefined || textOf(env, envName('hf-endpoint')) !== undefined) return {};
  notes.push({ variable: 'HF_ENDPOINT', meaning: `${redactUri(value)}, as ${envName('hf-endpoint')}` });
  return { [envName('hf-endpoint')]: value };
}

/** Variable → option that means the same, with seconds as KServe writes them. The option's own variable wins. */
const TUNING: readonly (readonly [variable: string, option: 'connections' | 'connect-timeout' | 'stall-timeout', unit: 'count' | 'seconds'])[] = [
  ['S3_MAX_FILE_CONCURRENCY', 'connections', 'count'],
  ['S3_CONNECT_TIMEOUT', 'connect-timeout', 'seconds'],
  ['S3_READ_TIMEOUT', 'stall-timeout', 'seconds'],
];

function tuning(env: Environment, notes: Note[]): Environment {
  const set: Record<string, string> = {};
  for (const [variable, option, unit] of TUNING) {
    const value = textOf(env, variable);
    if (value === undefined || textOf(env, envName(option)) !== undefined) continue;
    if (!/^\d{1,6}(\.\d{1,6})?$/.test(value)) throw new AppError('CONFIG_INVALID', `${variable} is not a number`);
    set[envName(option)] = unit === 'count' ? value : `${Math.max(1, Math.round(Number(value) * 1000))}ms`;
    notes.push({ variable, meaning: `${value}${unit === 'seconds' ? ' s' : ''}, as ${envName(option)}` });
  }
  return set;
}

/** KServe would decrypt what was downloaded; starting a server on ciphertext, verified or not, is not what was asked for. */
function refuseDecryption(env: Environment): void {
  const value = textOf(env, 'CONFIDENTIAL_ENABLED');
  if (value === undefined || isOff(value)) return;
  throw new AppError('CONFIG_INVALID', 'CONFIDENTIAL_ENABLED asks for decryption after the download, which is not supported', {
    hint: 'Publish and sign the model unencrypted, or leave confidential models to the stock storage initializer.',
  });
}

function verificationDigest(env: Environment, notes: Note[]): HexDigest | undefined {
  const text = textOf(env, 'VERIFICATION_DIGEST');
  if (text === undefined) return undefined;
  const digest = hexDigest(text.replace(/^sha256:/i, '').toLowerCase(), 32);
  if (digest === undefined) throw new AppError('CONFIG_INVALID', `VERIFICATION_DIGEST '${printable(text, 100)}' is not sha256: and 64 hexadecimal digits`);
  notes.push({ variable: 'VERIFICATION_DIGEST', meaning: `sha256:${digest} of the one downloaded object` });
  return digest;
}

/** A JSON array, or a list with commas. */
function patternsOf(env: Environment, variable: string, meaning: string, notes: Note[]): readonly string[] {
  const text = textOf(env, variable);
  if (text === undefined) return [];
  const patterns = listOf(text, variable);
  if (patterns.length > 0) notes.push({ variable, meaning: `${meaning} ${patterns.map((pattern) => printable(pattern, 200)).join(', ')} (fnmatch)` });
  return patterns;
}

function listOf(text: string, variable: string): readonly string[] {
  // A pattern may begin with a bracket, too, but not with one before a quote.
  if (!/^\[\s*["\]]/.test(text)) {
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new AppError('CONFIG_INVALID', `${variable} begins like a JSON array, but is none`);
  }
  if (!Array.isArray(parsed) || !parsed.every((item) => typeof item === 'string' && item !== '')) {
    throw new AppError('CONFIG_INVALID', `${variable} is not a JSON array of texts that are not empty`);
  }
  return parsed;
}

function textOf(env: Environment, variable: string): string | undefined {
  const value = env[variable]?.trim();
  return value === '' ? undefined : value;
}

function isOff(value: string | undefined): boolean {
  return /^(?:false|0)$/i.test(value?.trim() ?? '');
}
