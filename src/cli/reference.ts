// SPDX-License-Identifier: Apache-2.0
import { relative, resolve } from 'node:path';
import yargs, { type Options } from 'yargs';
import { AppError } from '../base/errors.ts';
import { isWithin, type ModelPath, parseModelPath } from '../oms/path.ts';
import { failAsUsage, WORDS_ONLY } from './words.ts';

/** Methods of the reference command line that have a meaning here. */
export const METHODS = ['key', 'certificate', 'sigstore'] as const;
export type ReferenceMethod = (typeof METHODS)[number];

/** Parsed options by name, and the words that are none. Undefined: help was asked for and printed. */
export type Arguments = { readonly options: Readonly<Record<string, unknown>>; readonly words: readonly string[] };

/**
 * Splits arguments as the reference does: `--public_key x`, `--public-key=x` and so on. Unknown options are errors.
 * @throws USAGE
 */
export async function parseArguments(usage: string, options: Readonly<Record<string, Options>>, argv: readonly string[]): Promise<Arguments | undefined> {
  const parsed = await yargs(argv.map(hyphenate))
    .scriptName('model_signing')
    .usage(`Usage: $0 ${usage}`)
    .parserConfiguration(WORDS_ONLY)
    .options({ ...options, 'log-level': { string: true, requiresArg: true, describe: 'Accepted for compatibility' } })
    .help()
    .alias('help', 'h')
    .version(false)
    .strictOptions()
    .exitProcess(false)
    .fail(failAsUsage)
    .parseAsync();
  if (parsed['help'] === true) return undefined;
  return { options: parsed, words: parsed._.map(String) };
}

/** The method when the first word names one. Without it the reference means sigstore. */
export function splitMethod(argv: readonly string[]): { readonly method: ReferenceMethod; readonly rest: readonly string[] } {
  const [first, ...rest] = argv;
  const method = METHODS.find((name) => name === first);
  if (method !== undefined) return { method, rest };
  if (first?.startsWith('pkcs11-') === true) throw new AppError('USAGE', `${first} is not available`);
  return { method: 'sigstore', rest: argv };
}

export function onlyModel({ words }: Arguments): string {
  const [model, ...others] = words;
  if (model === undefined) throw new AppError('USAGE', "Missing argument 'MODEL_PATH'");
  if (others.length > 0) throw new AppError('USAGE', `Got unexpected extra arguments (${others.join(' ')})`);
  return model;
}

/** The last value given, as with the reference. */
export function textOf({ options }: Arguments, name: string): string | undefined {
  const value = options[name];
  if (Array.isArray(value)) return String(value.at(-1));
  return typeof value === 'string' ? value : undefined;
}

export function requiredText(args: Arguments, name: string): string {
  const value = textOf(args, name);
  if (value === undefined) throw new AppError('USAGE', `Missing option '--${name.replaceAll('-', '_')}'`);
  return value;
}

export function listOf({ options }: Arguments, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

export function flagOf({ options }: Arguments, name: string, fallback: boolean): boolean {
  const value: unknown = Array.isArray(options[name]) ? options[name].at(-1) : options[name];
  return typeof value === 'boolean' ? value : fallback;
}

/** Options of every command that walks a model. */
export const WALK_OPTIONS: Readonly<Record<string, Options>> = {
  'ignore-paths': { string: true, array: true, requiresArg: true, describe: 'Path to ignore; repeatable' },
  'ignore-git-paths': { boolean: true, describe: 'Ignore git files at the top of the model' },
  'allow-symlinks': { boolean: true, describe: 'Follow symbolic links' },
};

/** Options that only mean something for images in registries: accepted, because models here are files. */
export const IMAGE_OPTIONS: Readonly<Record<string, Options>> = {
  'attachment-mode': { string: true, requiresArg: true, describe: 'For images; without meaning for files' },
  'output-mode': { string: true, requiresArg: true, describe: 'For images; without meaning for files' },
};

export function text(describe: string): Options {
  return { string: true, requiresArg: true, describe };
}

/** Absolute, or relative to the current directory, as the reference reads them. What does not lie inside the model is dropped. */
export function belowModel(model: string, path: string): readonly ModelPath[] {
  const root = resolve(model);
  const parsed = parseModelPath(relative(root, resolve(path)));
  return 'path' in parsed ? [parsed.path] : [];
}

/** Whether `path` is the model itself, or holds it. */
export function coversModel(model: string, path: string): boolean {
  const absolute = resolve(path);
  return absolute === '/' || isWithin(resolve(model), absolute);
}

/** `--public_key=x` → `--public-key=x`; values stay as they are. */
function hyphenate(arg: string): string {
  if (!arg.startsWith('--')) return arg;
  const end = arg.indexOf('=');
  return end < 0 ? arg.replaceAll('_', '-') : arg.slice(0, end).replaceAll('_', '-') + arg.slice(end);
}
