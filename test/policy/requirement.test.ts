// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Requirement } from '../../src/policy/policy.ts';
import { unmet, type Vote } from '../../src/policy/requirement.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { digestOf } from '../oms/payload.ts';

const key = (name: string): Signer => ({ kind: 'key', fingerprint: digestOf(name), curve: 'P-256' });
const keyless = (identity: string, issuer = 'https://i'): Signer => ({ kind: 'sigstore', identity, issuer, times: [], logs: [], root: 't' });
const certificate = (subject: string, names: readonly string[], keyName: string): Signer => {
  const at = new Date(0);
  return {
    ...{ kind: 'certificate', subject, names, issuer: 'CN=CA', serial: '1', fingerprint: digestOf(subject), anchor: 'CN=CA' },
    ...{ notBefore: at, notAfter: at, checkedAt: at, timeSource: 'clock', key: { fingerprint: digestOf(keyName), curve: 'P-256' } },
  };
};
const vote = (signer: Signer, ...satisfies: readonly string[]): Vote => ({ signer, satisfies });
const two: Requirement = { kind: 'threshold', atLeast: 2, of: [['alice'], ['bob'], ['carol']] };
const leaf = (signer: string): Requirement => ({ kind: 'signer', signer });

describe('a requirement', () => {
  it('is a tree of any and all', () => {
    const tree: Requirement = { kind: 'allOf', of: [leaf('ci'), { kind: 'anyOf', of: [leaf('alice'), leaf('bob')] }] };
    expect(unmet(tree, [vote(key('c'), 'ci'), vote(key('b'), 'bob')])).toBeUndefined();
    expect(unmet(tree, [vote(key('c'), 'ci')])?.why).toBe('nobody signed as alice, and nobody signed as bob');
    expect(unmet(tree, [vote(key('b'), 'bob')])?.why).toBe('nobody signed as ci');
    expect(unmet(tree, [])).toBeDefined();
  });
});

describe('a threshold', () => {
  it('is met by as many different signers', () => {
    expect(unmet(two, [vote(key('a'), 'alice'), vote(key('b'), 'bob')])).toBeUndefined();
  });

  it('counts signers, never signatures', () => {
    expect(unmet(two, [vote(key('a'), 'alice'), vote(key('a'), 'alice')])).toMatchObject({ kind: 'threshold', why: expect.stringContaining('1 of 2') });
  });

  it('counts one signer once, also where two members are about him', () => {
    expect(unmet(two, [vote(key('a'), 'alice', 'bob')])).toBeDefined();
    expect(unmet(two, [vote(keyless('x@e.com'), 'alice'), vote(keyless('x@e.com', 'https://other'), 'bob')])).toBeDefined();
    expect(unmet(two, [vote(keyless('X@e.com'), 'alice'), vote(certificate('CN=x', ['x@e.com'], 'k'), 'bob')])).toBeDefined();
    expect(unmet(two, [vote(key('k'), 'alice'), vote(certificate('CN=x', [], 'k'), 'bob')])).toBeDefined();
    expect(unmet(two, [vote(certificate('CN=x', [], 'k1'), 'alice'), vote(certificate('CN=x', [], 'k2'), 'bob')])).toBeDefined();
  });

  it('sees through a third signature that ties two together', () => {
    const [a, b, both] = [keyless('x@e.com'), key('k'), certificate('CN=x', ['x@e.com'], 'k')];
    expect(unmet(two, [vote(a, 'alice'), vote(b, 'bob')])).toBeUndefined();
    expect(unmet(two, [vote(a, 'alice'), vote(b, 'bob'), vote(both, 'carol')])).toBeDefined();
  });

  it('finds the assignment that serves it best', () => {
    const three: Requirement = { kind: 'threshold', atLeast: 3, of: [['alice', 'deputy'], ['bob'], ['carol']] };
    expect(unmet(three, [vote(key('1'), 'alice', 'bob'), vote(key('2'), 'deputy'), vote(key('3'), 'carol')])).toBeUndefined();
    expect(unmet(three, [vote(key('1'), 'alice'), vote(key('2'), 'deputy'), vote(key('3'), 'carol')])).toBeDefined();
  });
});
