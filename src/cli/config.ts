// SPDX-License-Identifier: Apache-2.0
import { parse } from 'yaml';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** The YAML reader shows the place below what it says. */
function firstLine(cause: unknown): string {
  return ((cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '').replace(/:$/, '');
}

/** Reads a configuration file: JSON, or YAML 1.2 without aliases (a few bytes of those can stand for gigabytes). @throws CONFIG_INVALID */
export async function readConfigFile(path: string): Promise<unknown> {
  try {
    const bytes = await readSmallFile(path, MAX_CONFIG_BYTES, 'follow');
    return parse(bytes.toString('utf8'), { maxAliasCount: 0, uniqueKeys: true, strict: true, logLevel: 'error' }) as unknown;
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `the configuration file ${printable(path)} cannot be read: ${printable(firstLine(cause), 300)}`, { cause });
  }
}
