// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { FileEvidence } from '../report/evidence.ts';
import type { FileResult } from '../transfer/engine.ts';
import type { Subject } from '../transfer/sink.ts';

/** Results of the transfer as evidence, by name. */
export function fileEvidence(results: readonly FileResult<Subject>[]): readonly FileEvidence[] {
  return results
    .map(({ file, origin, sizeBytes, parts, facts }) => ({ path: printable(file.path), algorithm: file.algorithm, parts, sizeBytes, origin, ...facts }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
