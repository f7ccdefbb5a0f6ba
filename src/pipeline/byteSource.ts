// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import type { ByteSource } from '../formats/byteSource.ts';
import { unreadable } from '../store/dir.ts';

/**
 * An open file for those who judge formats: they may take a short answer for the end of the file, so that short reads are repeated here, and a
 * file that has become shorter is an error. `display` is printable. Reading throws the signal's reason, SOURCE_CHANGED, IO.
 */
export function byteSourceOf(file: FileHandle, sizeBytes: number, display: string, signal: AbortSignal): ByteSource {
  return {
    sizeBytes,
    async read(position, length) {
      signal.throwIfAborted();
      const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, sizeBytes - position)));
      for (let filled = 0; filled < buffer.length; ) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled).catch((error: unknown) => {
          throw unreadable(error, display);
        });
        if (bytesRead === 0) throw new AppError('SOURCE_CHANGED', `'${display}' became shorter while it was read`, { context: { path: display, retry: 'no' } });
        filled += bytesRead;
      }
      return buffer;
    },
  };
}
