// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';

/** How yargs is to read arguments, for every name of the program: it splits words and makes nothing of them. */
export const WORDS_ONLY = {
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'greedy-arrays': false,
} as const;

/** What yargs calls when it cannot go on. @throws USAGE */
export function failAsUsage(message: string, error: Error): never {
  throw error instanceof AppError ? error : new AppError('USAGE', message || error.message);
}
