// SPDX-License-Identifier: Apache-2.0
import { fromSystemError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile, Part } from '../oms/manifest.ts';
import { createChecker } from './checker.ts';
import { createDigester, type UnsignedFile } from './digester.ts';
import { createWriter } from './writer.ts';

/** What hashing is about: a signed file, to be compared with its manifest entry, or an unsigned one, whose digests are wanted. */
export type Subject = ManifestFile | UnsignedFile;

/** Where one file's bytes end: hashed, and written where there is a descriptor. @throws DIGEST_MISMATCH, SIZE_MISMATCH, NO_SPACE, IO */
export type Sink = AsyncDisposable & { take(chunk: Buffer): Promise<void> | undefined; finish(): Promise<readonly Part[]> };

/**
 * Hashes first, then writes from the same buffer: what lands is what was hashed. Disposing waits for writes in flight: the descriptor of
 * a failed file is closed next, and its number given to another file, into which a late write would put bytes that nobody checked.
 */
export async function createSink(file: Subject, outputFd: number | undefined): Promise<Sink> {
  const hashing = 'parts' in file ? await createChecker(file) : await createDigester(file);
  const writer = outputFd === undefined ? undefined : createWriter(outputFd);
  return {
    take(chunk) {
      hashing.update(chunk);
      return writer?.append(chunk)?.catch((error: unknown) => Promise.reject(fromSystemError(error, `writing ${printable(file.path)}`)));
    },
    async finish() {
      const parts = hashing.finish();
      await writer?.finish().catch((error: unknown) => Promise.reject(fromSystemError(error, `writing ${printable(file.path)}`)));
      return parts;
    },
    [Symbol.asyncDispose]: async () => writer?.idle(),
  };
}
