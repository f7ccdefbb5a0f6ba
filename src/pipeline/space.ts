// SPDX-License-Identifier: Apache-2.0

import { AppError } from '../base/errors.ts';
import type { Emit } from '../base/events.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { Dir } from '../store/dir.ts';

/** Keeps account of the room that files in flight still need. */
export type Space = {
  /** Called with a file's length before its first byte is written. @throws NO_SPACE */
  admit(sizeBytes: number): Promise<void>;
  /** Lets the account see the bytes that have been written. */
  watch(emit: Emit): Emit;
};

const ASK_BELOW_BYTES = 1024 * 1024 * 1024;

/** Checks the whole at once where the manifest gives lengths. @throws NO_SPACE */
export async function createSpace(volume: Dir, display: string, files: readonly ManifestFile[]): Promise<Space> {
  const known = files.reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0);
  /** What the volume had free when it was asked last, less what was promised since. */
  let spare = 0;
  let outstanding = 0;
  await require(known);

  async function require(bytes: number): Promise<void> {
    const free = await volume.freeBytes();
    spare = free - bytes;
    if (bytes <= free) return;
    throw new AppError('NO_SPACE', `${display} has ${free} bytes free, the model needs at least ${bytes}`, {
      context: { path: display, expected: `${bytes}`, found: `${free}` },
    });
  }
  return {
    async admit(sizeBytes) {
      // Asking costs as much as a small file: far from full, what is known will do.
      spare -= sizeBytes;
      if (spare < Math.max(outstanding + sizeBytes, ASK_BELOW_BYTES)) await require(outstanding + sizeBytes);
      outstanding += sizeBytes;
    },
    watch: (emit) => (event) => {
      if (event.kind === 'bytes') outstanding = Math.max(0, outstanding - event.bytes);
      emit(event);
    },
  };
}
