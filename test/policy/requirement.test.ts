// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Requirement } from '../../src/policy/policy.ts';
import { signersOf, unmet, type Vote } from '../../src/policy/requirement.ts';
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
    expect(unmet(tree, [])).toEqual({ kind: 'signer', why: 'nobody signed as ci and nobody signed as alice, and nobody signed as bob' });
    expect(unmet({ kind: 'anyOf', of: [leaf('bob'), leaf('alice')] }, [vote(key('a'), 'alice')])).toBeUndefined();
  });

  it('lacks distinct signers where any part of it does, and one signer elsewhere', () => {
    const some = (kind: 'allOf' | 'anyOf'): Requirement => ({ kind, of: [leaf('ci'), two] });
    for (const kind of ['allOf', 'anyOf'] as const) expect(unmet(some(kind), [])?.kind).toBe('threshold');
    expect(unmet({ kind: 'anyOf', of: [leaf('ci'), leaf('bob')] }, [])?.kind).toBe('signer');
    expect(unmet(two, [])?.why).toBe('0 of 2 distinct signers have signed (of alice, bob, carol)');
    expect(unmet({ ...two, of: [['alice', 'deputy'], ['bob']] }, [])?.why).toBe('0 of 2 distinct signers have signed (of alice or deputy, bob)');
  });

  it('names its signers, each once', () => {
    expect(signersOf(leaf('ci'))).toEqual(['ci']);
    expect(signersOf({ kind: 'threshold', atLeast: 1, of: [['alice', 'deputy'], ['bob']] })).toEqual(['alice', 'deputy', 'bob']);
    expect(signersOf({ kind: 'allOf', of: [leaf('ci'), { kind: 'anyOf', of: [leaf('alice'), leaf('ci')] }, two] })).toEqual(['ci', 'alice', 'bob', 'carol']);
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

  it('sees through a chain of signatures that tie each next two together, in whatever order they come', () => {
    const chain = [key('k1'), certificate('CN=x', [], 'k1'), certificate('CN=x', ['y@e.com'], 'k2'), keyless('Y@e.com')];
    for (const [first, second, third, fourth] of [
      [0, 1, 2, 3],
      [0, 3, 1, 2],
      [3, 0, 2, 1],
      [1, 3, 0, 2],
    ]) {
      const signers = [first, second, third, fourth].map((i) => chain[i ?? 0] ?? key('none'));
      const votes = signers.map((signer, i) => vote(signer, ['alice', 'bob', 'carol', 'alice'][i] ?? ''));
      expect(unmet(two, votes)?.why).toContain('1 of 2');
    }
  });

  it('keeps apart who shares nothing: certificates without a subject or a known key, keyless signers without a key', () => {
    const { key: _key, ...anonymous } = certificate('', ['p@e.com'], 'k') as Extract<Signer, { kind: 'certificate' }>;
    const other: Signer = { ...anonymous, names: ['q@e.com'] };
    expect(unmet(two, [vote(anonymous, 'alice'), vote(other, 'bob')])).toBeUndefined();
    expect(unmet(two, [vote(keyless('p@e.com'), 'alice'), vote(keyless('q@e.com'), 'bob')])).toBeUndefined();
  });

  it('ties a keyless signer to the key he used, and takes all that nobody vouches for as one', () => {
    const withKey: Signer = { ...(keyless('p@e.com') as Extract<Signer, { kind: 'sigstore' }>), key: { fingerprint: digestOf('k'), curve: 'P-256' } };
    expect(unmet(two, [vote(withKey, 'alice'), vote(key('k'), 'bob')])).toBeDefined();
    expect(unmet(two, [vote(withKey, 'alice'), vote(key('k2'), 'bob')])).toBeUndefined();
    const nobody = (method: 'key' | 'sigstore'): Signer => ({ kind: 'nobody', method });
    expect(unmet(two, [vote(nobody('key'), 'alice'), vote(nobody('sigstore'), 'bob')])).toBeDefined();
    expect(unmet(two, [vote(nobody('key'), 'alice'), vote(key('k'), 'bob')])).toBeUndefined();
  });

  it('finds the assignment that serves it best', () => {
    const three: Requirement = { kind: 'threshold', atLeast: 3, of: [['alice', 'deputy'], ['bob'], ['carol']] };
    expect(unmet(three, [vote(key('1'), 'alice', 'bob'), vote(key('2'), 'deputy'), vote(key('3'), 'carol')])).toBeUndefined();
    expect(unmet(three, [vote(key('1'), 'alice'), vote(key('2'), 'deputy'), vote(key('3'), 'carol')])).toBeDefined();
  });
});
