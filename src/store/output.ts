// SPDX-License-Identifier: Apache-2.0
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError, fromSystemError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { Dir, ignoreMissing } from './dir.ts';

/** A file to be written as a whole. `before` says what stands under its name. */
export type Output = AsyncDisposable & {
  readonly display: string;
  /** Its place after all links in its parents. */
  readonly path: string;
  readonly before: 'nothing' | 'file';
  /** Under a temporary name beside it, then renamed: a reader sees the old file or the new one. @throws NO_SPACE, READ_ONLY, IO */
  write(bytes: Buffer): Promise<void>;
};

/** Opens the directory of a file to come, which has to be there. @throws CONFIG_INVALID, READ_ONLY, IO */
export async function openOutput(path: string): Promise<Output> {
  const name = basename(resolve(path));
  const display = printable(path);
  const parent = await parentOf(path, display);
  const dir = await Dir.open(parent).catch((cause: unknown) => Promise.reject(fromSystemError(cause, `opening the directory of ${display}`)));
  try {
    const stats = await dir.lstat(name).catch(ignoreMissing);
    if (stats?.isDirectory() === true) throw new AppError('CONFIG_INVALID', `${display} is a directory; name the file to be written`);
    return {
      display,
      path: join(parent, name),
      before: stats === undefined ? 'nothing' : 'file',
      write: (bytes) => replace(dir, name, display, bytes),
      [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
    };
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw fromSystemError(error, `looking for ${display}`);
  }
}

async function parentOf(path: string, display: string): Promise<string> {
  try {
    return await realpath(dirname(resolve(path)));
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause) ?? '')) throw fromSystemError(cause, `looking for the directory of ${display}`);
    throw new AppError('CONFIG_INVALID', `No such file or directory: ${printable(dirname(path))}, where ${display} should be written`, {
      hint: 'Make the directory first, or name another one.',
      cause,
    });
  }
}

async function replace(dir: Dir, name: string, display: string, bytes: Buffer): Promise<void> {
  const temporary = `.model-gate-${process.pid}-${Date.now().toString(36)}.tmp`;
  try {
    await using file = await dir.createFile(temporary, 0o644);
    await file.writeFile(bytes);
    await file.sync();
    await dir.moveTo(temporary, dir, name);
    await dir.sync();
  } catch (error) {
    await dir.removeFile(temporary).catch(() => {});
    throw fromSystemError(error, `writing ${display}`);
  }
}
