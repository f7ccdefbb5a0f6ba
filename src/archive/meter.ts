// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';

/** Most that an archive may turn into. `ratio`: unpacked bytes per byte of the archive. */
export type ArchiveLimits = { readonly entries: number; readonly unpackedBytes: number; readonly ratio: number };

/** Counts while unpacking, so that a bomb ends early and not when the volume is full. All of it @throws LIMIT_EXCEEDED, and whatever the signal was aborted with. */
export type Meter = {
  /** That there are, or will be, so many members. */
  members(count: number): void;
  /** Bytes that have come out. */
  unpacked(bytes: number): void;
};

/** Small archives of zeros are no bombs. */
const ALWAYS_ALLOWED_BYTES = 64 * 1024 * 1024;

export function createMeter(archiveBytes: number, limits: ArchiveLimits, signal: AbortSignal): Meter {
  const byRatio = Math.max(ALWAYS_ALLOWED_BYTES, limits.ratio * archiveBytes);
  let total = 0;
  return {
    members(count) {
      if (count > limits.entries) throw exceeded(`holds more than --max-entries ${limits.entries}`);
    },
    unpacked(bytes) {
      signal.throwIfAborted();
      total += bytes;
      if (total > limits.unpackedBytes) throw exceeded(`unpacks to more than --max-unpacked-size ${limits.unpackedBytes} bytes`);
      if (total > byRatio) throw exceeded(`of ${archiveBytes} bytes unpacks to more than ${byRatio}, over --max-unpack-ratio ${limits.ratio}`);
    },
  };
}

function exceeded(what: string): AppError {
  return new AppError('LIMIT_EXCEEDED', `the archive ${what}`);
}
