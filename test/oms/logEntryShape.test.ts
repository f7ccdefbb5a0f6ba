// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { misshapenMember } from '../../src/oms/logEntryShape.ts';

const ENTRY = {
  logIndex: '1',
  logId: { keyId: 'a' },
  kindVersion: { kind: 'dsse', version: '0.0.1' },
  integratedTime: '2',
  inclusionPromise: { signedEntryTimestamp: 'b' },
  inclusionProof: { logIndex: '3', rootHash: 'c', treeSize: '4', hashes: ['d', 'e'], checkpoint: { envelope: 'f' } },
  canonicalizedBody: 'g',
};

/** The entry with another value at a path. */
function withMember(path: readonly string[], value: unknown, inner: unknown = ENTRY): unknown {
  const [name, ...rest] = path;
  return name === undefined ? value : { ...(inner as object), [name]: withMember(rest, value, (inner as Record<string, unknown>)[name]) };
}

const PATHS = [
  ...['logIndex', 'logId', 'logId.keyId', 'kindVersion', 'kindVersion.kind', 'kindVersion.version', 'integratedTime', 'canonicalizedBody'],
  ...['inclusionPromise', 'inclusionPromise.signedEntryTimestamp', 'inclusionProof', 'inclusionProof.logIndex', 'inclusionProof.rootHash'],
  ...['inclusionProof.treeSize', 'inclusionProof.hashes', 'inclusionProof.checkpoint', 'inclusionProof.checkpoint.envelope'],
];

describe('a log entry', () => {
  it('of the right shape has nothing wrong, whatever else it has, or lacks', () => {
    expect(misshapenMember(ENTRY, 'entry')).toBeUndefined();
    expect(misshapenMember({ ...ENTRY, other: 1 }, 'entry')).toBeUndefined();
    expect(misshapenMember({}, 'entry')).toBeUndefined();
    expect(misshapenMember(withMember(['inclusionProof', 'hashes'], []), 'entry')).toBeUndefined();
  });

  it.each(PATHS)('is told by the name of its member %s when that is a number, and may have null there', (path) => {
    expect(misshapenMember(withMember(path.split('.'), 1), 'entry')).toBe(`entry.${path}`);
    expect(misshapenMember(withMember(path.split('.'), null), 'entry')).toBeUndefined();
  });

  it('has texts alone for its hashes', () => {
    for (const hashes of [[1], ['a', 1], ['a', null], 'a', { 0: 'a' }])
      expect(misshapenMember(withMember(['inclusionProof', 'hashes'], hashes), 'entry')).toBe('entry.inclusionProof.hashes');
  });

  it('is an object', () => {
    for (const entry of [1, 'a', [], null]) expect(misshapenMember(entry, 'entry')).toBe('entry');
  });
});
