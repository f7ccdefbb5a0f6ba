// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { parseSize } from '../base/units.ts';
import { type Command, envName, isOptionName, OPTION_NAMES, type Option, type OptionName, optionOf, type Values } from './options.ts';

/** Where a value comes from, in order of precedence. */
export type Origin = 'flag' | 'environment' | 'file' | 'default';

export type Resolved = { readonly values: Values; readonly origins: Readonly<Record<OptionName, Origin>> };

/** Settings as they were written, before they mean anything. */
export type Inputs = {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Parsed configuration file. */
  readonly file: unknown;
  /** Other defaults than those of the table, for another way of being called. */
  readonly defaults?: Partial<Values>;
};

type Value = string | number | boolean | readonly string[] | undefined;

/** Flag over environment over file over default; a list is taken whole from one of them. @throws CONFIG_INVALID, USAGE */
export function resolveOptions(command: Command, inputs: Inputs): Resolved {
  const file = checkFile(inputs.file);
  checkEnvironment(inputs.env);
  const values: Partial<Record<OptionName, Value>> = {};
  const origins: Partial<Record<OptionName, Origin>> = {};
  for (const name of OPTION_NAMES) {
    const option = optionOf(name);
    const applies = option.commands.includes(command);
    const candidates: readonly [Origin, unknown, string][] = [
      ['flag', inputs.flags[name], `--${name}`],
      ['environment', applies ? fromEnvironment(option, inputs.env[envName(name)], envName(name)) : undefined, envName(name)],
      ['file', applies ? file[name] : undefined, `'${name}' in the configuration file`],
    ];
    const found = candidates.find(([, value]) => value !== undefined);
    if (found?.[0] === 'flag' && !applies) throw new AppError('USAGE', `--${name} is an option of ${option.commands.join(', ')}, not of ${command}`);
    if (found?.[0] === 'flag' && option.variableOnly === true) throw new AppError('USAGE', `--${name} would show a secret to everybody; set ${envName(name)}`);
    origins[name] = found?.[0] ?? 'default';
    values[name] = found === undefined ? ((applies ? inputs.defaults?.[name] : undefined) ?? defaultOf(option)) : convert(option, found[1], found[2]);
  }
  return { values: values as Values, origins: origins as Record<OptionName, Origin> };
}

/** The known name nearest to a mistyped one, if any is near. */
export function suggest(name: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({ candidate, distance: editDistance(name.slice(0, 60), candidate) }));
  const best = scored.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(2, Math.floor(best.candidate.length / 4)) ? best.candidate : undefined;
}

function checkFile(file: unknown): Readonly<Record<string, unknown>> {
  if (file === undefined || file === null) return {};
  if (typeof file !== 'object' || Array.isArray(file)) throw new AppError('CONFIG_INVALID', 'the configuration file does not hold a mapping');
  for (const name of Object.keys(file)) {
    if (isOptionName(name) && optionOf(name).notInFile !== true) continue;
    const near = suggest(name, OPTION_NAMES);
    throw new AppError('CONFIG_INVALID', `the configuration file has the unknown key '${printable(name, 80)}'${near ? `; did you mean '${near}'?` : ''}`);
  }
  return file as Readonly<Record<string, unknown>>;
}

/** A mistyped variable would silently change nothing, or loosen what it was meant to tighten. */
function checkEnvironment(env: Inputs['env']): void {
  const known = [...OPTION_NAMES.map(envName), ...OTHER_VARIABLES];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('MODEL_GATE_') || known.includes(name) || value === undefined || value === '') continue;
    if (isServiceVariable(name, value)) continue;
    const near = suggest(name, known);
    throw new AppError('CONFIG_INVALID', `the environment has the unknown variable ${printable(name, 80)}${near ? `; did you mean ${near}?` : ''}`);
  }
}

/** Kubernetes makes such variables for every Service of the namespace, one of which may be called model-gate or model-gate-something. */
function isServiceVariable(name: string, value: string): boolean {
  if (/^MODEL_GATE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/.test(name)) return true;
  return /^MODEL_GATE_(\w+_)?PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value);
}

/** Variables that are no options. */
const OTHER_VARIABLES = ['MODEL_GATE_STRICT', 'MODEL_GATE_E2E'];

/** Empty counts as unset. Lists: a JSON array, PEM text (one value, however many blocks), or one value per line. */
function fromEnvironment(option: Option, value: string | undefined, where: string): unknown {
  if (value === undefined || value.trim() === '') return undefined;
  if (option.kind !== 'list') return value;
  // A glob may begin with a bracket, too, but not with one before a quote.
  if (/^\s*\[\s*["\]]/.test(value)) {
    try {
      return JSON.parse(value) as unknown;
    } catch {
      throw invalid(where, 'begins like a JSON array, but is none');
    }
  }
  if (value.includes('-----BEGIN ')) return [value];
  return value
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function defaultOf(option: Option): Value {
  if (option.kind === 'list') return [];
  return option.default === undefined ? undefined : convert(option, option.default, 'the default');
}

function convert(option: Option, value: unknown, where: string): Value {
  switch (option.kind) {
    case 'list': {
      const list = typeof value === 'string' ? [value] : value;
      if (!Array.isArray(list) || !list.every((item) => typeof item === 'string')) throw invalid(where, 'must be a text or a list of texts');
      if (list.some((item) => item.trim() === '')) throw invalid(where, 'must not be empty');
      return list;
    }
    case 'flag':
      if (typeof value === 'boolean') return value;
      if (value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      throw invalid(where, `must be true or false${got(value)}`);
    case 'integer':
      return integerOf(value, where);
    case 'size':
      return sizeOf(value, where);
    case 'duration':
      return durationOf(value, where);
    case 'choice':
      if (typeof value === 'string' && option.choices?.includes(value) === true) return value;
      throw invalid(where, `must be one of ${option.choices?.join(', ')}${got(value)}`);
    case 'text':
      if (typeof value !== 'string' || value.trim() === '')
        throw invalid(where, Array.isArray(value) ? 'may be given only once' : 'must be a text that is not empty');
      return value;
  }
}

function integerOf(value: unknown, where: string): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1) throw invalid(where, `must be a whole number from 1${got(value)}`);
  return number;
}

function sizeOf(value: unknown, where: string): number {
  const bytes = parseSize(writtenText(value));
  if (bytes === undefined) throw invalid(where, `must be a size such as 64MiB, 10G or 1048576${got(value)}`);
  return bytes;
}

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Longest delay a timer takes. */
const MAX_MS = 2 ** 31 - 1;

function durationOf(value: unknown, where: string): number {
  const text = writtenText(value);
  const parts = [...text.matchAll(/(\d{1,9})(ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, digits, unit]) => sum + Number(digits) * (TIME_UNITS[unit ?? ''] ?? Number.NaN), 0);
  if (parts.map(([all]) => all).join('') !== text || !(ms >= 1 && ms <= MAX_MS))
    throw invalid(where, `must be a duration such as 30s, 10m or 1h30m${got(value)}`);
  return ms;
}

/** As YAML and JSON write it. Anything but a text or a number is no value, and an object may have a `toString` of its own. */
function writtenText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Options of these kinds are no secrets. */
function got(value: unknown): string {
  return `; got '${printable(writtenText(value), 80)}'`;
}

function invalid(where: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', `${where} ${problem}`);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
