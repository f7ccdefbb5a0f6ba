// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { inWords } from '../base/inWords.ts';
import { printable } from '../base/redact.ts';

/** @throws IO */
export async function writeReport(path: string, report: object): Promise<void> {
  await writeWhole(path, `${JSON.stringify(report, undefined, 2)}\n`);
}

/** Writes a report beside its name and renames it: a reader sees all of it or nothing. @throws IO */
export async function writeWhole(path: string, text: string): Promise<void> {
  // A name that nobody else on the volume can have waiting for us: a pipe would hold us up, a file of his would be his to change afterwards.
  const temporary = `${path}.tmp-${randomBytes(8).toString('hex')}`;
  try {
    await using file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644);
    await file.writeFile(text);
    await file.sync();
    await rename(temporary, path);
    await using directory = await open(dirname(path), constants.O_RDONLY);
    await directory.sync().catch(() => {});
  } catch (cause) {
    await unlink(temporary).catch(() => {});
    throw new AppError('IO', `the report ${printable(path)} cannot be written: ${inWords(systemErrorCode(cause) ?? String(cause))}`, {
      cause,
      hint: 'Mount a volume there that this user can write; its directory has to exist.',
    });
  }
}

/** The kubelet's file is made by it, for any user to write, and is not there elsewhere. A failure to write it changes no verdict. */
export async function writeTermination(path: string, message: string): Promise<void> {
  try {
    const create = path.startsWith('/dev/') ? 0 : constants.O_CREAT;
    await using file = await open(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NONBLOCK | create, 0o644);
    await file.writeFile(message);
  } catch {
    // Not in Kubernetes, or moved by the pod's author: the log says the same.
  }
}
