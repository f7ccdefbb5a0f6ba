// SPDX-License-Identifier: Apache-2.0

/** How long an end that was asked for (by a signal, or by --timeout) waits for an orderly one; Kubernetes would wait 30 s, a person does not. */
export const GRACE_MS = 1500;

/**
 * Ends the process now, whatever it is waiting for. `process.exit` would wait for the threads that serve the file system, and one of them may
 * hang in a network volume: another program in place of this one does not.
 */
export function leave(exitCode: number): never {
  try {
    process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${exitCode})`], {});
  } catch {
    // Not on this platform.
  }
  process.exit(exitCode);
}
