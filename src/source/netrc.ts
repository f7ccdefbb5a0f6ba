// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AppError, type ErrorCode, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * `user:password` for a host of a netrc file: its `machine`, else what `default` says, else nothing.
 * @throws CREDENTIALS_MISSING (no such file), CONFIG_INVALID (not a netrc file)
 */
export async function readNetrc(path: string, host: string): Promise<string | undefined> {
  const text = await readText(path);
  // The text never reaches a message: any word of it may be a password.
  const entries = parseEntries(text);
  if (entries === undefined) throw unusable('CONFIG_INVALID', path, 'is not in the form of netrc');
  const entry = entries.find(({ machine }) => machine?.toLowerCase() === host.toLowerCase()) ?? entries.find(({ machine }) => machine === undefined);
  if (entry?.login === undefined) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  if (entry.login.includes(':') || /[\x00-\x1f\x7f]/.test(entry.login + (entry.password ?? ''))) {
    throw unusable('CONFIG_INVALID', path, 'holds a login that basic authentication cannot carry (colon or control characters)');
  }
  return `${entry.login}:${entry.password ?? ''}`;
}

/** Without a machine: the default. */
type Entry = { readonly machine: string | undefined; login?: string; password?: string };

/** Undefined for what is no netrc file. Macros are left out; words may be quoted, as curl writes them. */
function parseEntries(text: string): readonly Entry[] | undefined {
  const entries: Entry[] = [];
  const words = createWords(text);
  for (let word = words.next(); word !== undefined; word = words.next()) {
    const current = entries.at(-1);
    if (word.startsWith('#')) words.skipLine();
    else if (word === 'macdef') words.skipMacro();
    else if (word === 'default') entries.push({ machine: undefined });
    else {
      const value = words.next();
      if (value === undefined) return undefined;
      if (word === 'machine') entries.push({ machine: value });
      else if (current === undefined) return undefined;
      else if (word === 'login') current.login = value;
      else if (word === 'password') current.password = value;
      else if (word !== 'account') return undefined;
    }
  }
  return entries;
}

type Words = { next(): string | undefined; skipLine(): void; skipMacro(): void };

function createWords(text: string): Words {
  const word = /\s*(?:"((?:[^"\\]|\\.)*)"|(\S+))/suy;
  let at = 0;
  const skipTo = (pattern: RegExp): void => {
    const rest = text.slice(at).search(pattern);
    at = rest < 0 ? text.length : at + rest;
  };
  return {
    next() {
      word.lastIndex = at;
      const found = word.exec(text);
      if (found === null) return undefined;
      at = word.lastIndex;
      return found[1] === undefined ? found[2] : found[1].replace(/\\(.)/gsu, '$1');
    },
    skipLine: () => skipTo(/\n/),
    skipMacro: () => skipTo(/\n[ \t]*\r?\n/),
  };
}

async function readText(path: string): Promise<string> {
  try {
    // Links are followed: Secrets are mounted through them. O_NONBLOCK so that a FIFO cannot hang us.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_BYTES) throw unusable('CREDENTIALS_MISSING', path, `is not a regular file of at most ${MAX_BYTES} bytes`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw unusable('CREDENTIALS_MISSING', path, `cannot be read: ${systemErrorCode(cause) ?? 'unknown error'}`, cause);
  }
}

function unusable(code: ErrorCode, path: string, problem: string, cause?: unknown): AppError {
  return new AppError(code, `the netrc file '${printable(path)}' ${problem}`, {
    hint: 'Check --netrc-file and the mount of the secret.',
    context: { path: printable(path), retry: 'no' },
    cause,
  });
}
