// SPDX-License-Identifier: Apache-2.0
import { isObject } from './json.ts';

type Shape = 'text' | 'texts' | { readonly [member: string]: Shape };

/** A transparency log entry in the JSON schema of OMS bundles: numbers are texts, as JSON cannot hold those of 64 bits. */
const LOG_ENTRY: Shape = {
  logIndex: 'text',
  logId: { keyId: 'text' },
  kindVersion: { kind: 'text', version: 'text' },
  integratedTime: 'text',
  inclusionPromise: { signedEntryTimestamp: 'text' },
  inclusionProof: { logIndex: 'text', rootHash: 'text', treeSize: 'text', hashes: 'texts', checkpoint: { envelope: 'text' } },
  canonicalizedBody: 'text',
};

/** What of a bundle's log entry has the wrong type, by its name; undefined when nothing has. Absent members are the verifier's business. */
export function misshapenMember(entry: unknown, where: string, shape: Shape = LOG_ENTRY): string | undefined {
  if (shape === 'text') return typeof entry === 'string' ? undefined : where;
  if (shape === 'texts') return Array.isArray(entry) && entry.every((item) => typeof item === 'string') ? undefined : where;
  if (!isObject(entry)) return where;
  for (const [name, inner] of Object.entries(shape)) {
    const value = entry[name];
    // Null stands for an absent member in the JSON of protobuf messages.
    if (value === undefined || value === null) continue;
    const wrong = misshapenMember(value, `${where}.${name}`, inner);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
