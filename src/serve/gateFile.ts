// SPDX-License-Identifier: Apache-2.0
import { unlink } from 'node:fs/promises';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { writeWhole } from '../report/write.ts';

/** A file that is there while the model is verified, and only then; for a server that shares a volume, but is not asked by probes. */
export type GateFile = {
  /** `until`: for readers that cannot rely on its removal, as after a kill. @throws IO */
  open(facts: { readonly digest: string; readonly checkedAt: Date; readonly until: Date }): Promise<void>;
  /** @throws IO */
  close(): Promise<void>;
};

export function gateFile(path: string): GateFile {
  return {
    async open({ digest, checkedAt, until }) {
      await writeWhole(path, `${JSON.stringify({ verdict: 'verified', digest, checkedAt, until })}\n`);
    },
    async close() {
      try {
        await unlink(path);
      } catch (cause) {
        if (systemErrorCode(cause) === 'ENOENT') return;
        throw new AppError('IO', `the gate file ${printable(path)} cannot be removed: ${systemErrorCode(cause) ?? 'unknown failure'}`, { cause });
      }
    },
  };
}
