// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { AppError, systemErrorCode } from '../base/errors.ts';

/** Where an image or a platform puts its floor policy. No flag or variable moves it. */
export const FLOOR_PATH = '/etc/model-gate/policy.yaml';

/** More than any policy may have; whoever parses it has the exact limit. */
const MAX_BYTES = 1024 * 1024;

/** The platform's policy as it stands on disk. */
export type Floor = { readonly kind: 'absent' } | { readonly kind: 'present'; readonly bytes: Buffer; readonly name: string };

export const NO_FLOOR: Floor = { kind: 'absent' };

/** Only a name that is not there at all means that there is no floor; one that cannot be read stops everything. @throws POLICY_INVALID */
export async function readFloor(path = FLOOR_PATH): Promise<Floor> {
  try {
    await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return NO_FLOOR;
    throw unreadable(error, path);
  }
  try {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > MAX_BYTES) throw new AppError('POLICY_INVALID', `the floor policy ${path} is not a regular file of sane size`);
    return { kind: 'present', bytes: await file.readFile(), name: path };
  } catch (error) {
    throw unreadable(error, path);
  }
}

function unreadable(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  return new AppError('POLICY_INVALID', `the floor policy ${path} cannot be read: ${systemErrorCode(error) ?? 'unknown failure'}`, { cause: error });
}
