// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../../src/base/errors.ts';

/** The AppError a promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await failureOf(promise)).code;
}
