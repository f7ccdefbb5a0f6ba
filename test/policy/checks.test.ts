// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { evaluate, type Facts, modeOf, noRule, ruleFor } from '../../src/policy/evaluate.ts';
import { fileChecksOf, sizeFinding, tolerates } from '../../src/policy/files.ts';
import { NO_CHECKS } from '../../src/policy/policy.ts';
import { readPolicy } from '../../src/policy/read.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { digestOf } from '../oms/payload.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const [ZERO, ONE] = ['0'.repeat(64), '1'.repeat(64)];
const read = (rules: string, top = '') => readPolicy(Buffer.from(`apiVersion: model-gate/policy/v1\n${top}\nrules:\n${rules}\n`), 'p', 'policy');
const policy = (checks: string, require = '{ key: /k.pub }', top = '') => read(`  - { name: r, source: '*://**', require: ${require}, ${checks} }`, top);
const key: Signer = { kind: 'key', fingerprint: digestOf('k'), curve: 'P-256' };
const signedBy = (signer: Signer): Facts['votes'] => [{ signer, satisfies: ['rules[0].require', 'alice'] }];
const judge = (checks: string, manifest: Partial<Facts['manifest']> = {}, votes = signedBy(key), top = '') => {
  const facts = { rootDigest: ZERO, algorithm: 'sha256', subjectName: 'model', symlinks: 'reject', paths: ['a.bin', 'code/b.py'], ...manifest } as const;
  const one = policy(checks, undefined, top);
  return evaluate(one, one.rules[0], { manifest: facts, votes, now: NOW }).map(({ code, message }) => `${code} ${message}`);
};
const dated = (...at: readonly string[]): Signer => ({ ...key, times: at.map((one) => ({ source: 'timestamp', at: new Date(one) })) });

describe('a manifest', () => {
  it.each([
    ['a denied digest', `digests: { deny: [{ digest: ${ZERO}, reason: leaked }] }`, `DIGEST_DENIED the model digest sha256:${ZERO} is denied: leaked`],
    ['a digest not allowed', `digests: { allow: ['${ONE}'] }`, `DIGEST_NOT_PINNED the signed model digest sha256:${ZERO} is none of the 1 allowed ones`],
    ['another hash', 'hashes: [blake2b, blake3]', 'ALGORITHM_REFUSED the files are hashed with sha256, accepted are blake2b, blake3'],
    ['another name', 'signedName: other', "POLICY_DENIED the signed name is 'model', not 'other'"],
    ['too many files', 'files: { maxCount: 1 }', 'LIMIT_EXCEEDED the manifest lists 2 files, more than 1'],
    ['a file that is denied', "files: { deny: ['x', '*.py'] }", "POLICY_DENIED the file 'code/b.py' is denied by '*.py'"],
    ['a file that is not allowed', "files: { allow: ['*.bin', '*.txt'] }", "POLICY_DENIED the file 'code/b.py' is none of the allowed ones"],
  ])('with %s is refused, and says what', (_, checks, finding) => {
    expect(judge(checks.replace(`digest: ${ZERO}`, `digest: '${ZERO}'`))).toEqual([finding]);
  });

  it('that all checks accept has nothing against it', () => {
    const all = `digests: { allow: ['${ONE}', '${ZERO}'], deny: [{ digest: '${ONE}', reason: x }] }, hashes: [sha256], signedName: model`;
    expect(judge(`${all}, files: { maxCount: 2, allow: ['*.bin', '*.py'], deny: ['*.exe'], symlinks: refuse }`)).toEqual([]);
    expect(judge('files: { symlinks: recorded }', { symlinks: 'follow' })).toEqual([]);
  });

  it('of followed links is refused where links are', () => {
    const message = 'FILE_TYPE the signer followed symbolic links, which the policy refuses';
    expect(judge('files: { symlinks: refuse }', { symlinks: 'follow' })).toEqual([message]);
  });

  it('is told everything that is wrong with it, by the rule and by what always holds', () => {
    const found = judge("signedName: other, files: { maxCount: 1, deny: ['*.py'] }", {}, signedBy(key), 'always: { hashes: [blake3] }');
    expect(found.map((one) => one.split(' ')[0])).toEqual(['ALGORITHM_REFUSED', 'POLICY_DENIED', 'LIMIT_EXCEEDED', 'POLICY_DENIED']);
  });
});

describe('a signature', () => {
  const nobody: Signer = { kind: 'nobody' } as Signer;
  it.each<[string, string, Signer, string]>([
    ['of nobody', 'keyTypes: [P-256]', nobody, 'SIGNER_UNTRUSTED nobody who is trusted has signed'],
    ['by another kind of key', 'keyTypes: [P-384, P-521]', key, 'ALGORITHM_REFUSED a signature was made with a P-256 key, accepted are P-384, P-521'],
    ['by a key, where a log is asked for', 'requireTransparencyLog: true', key, 'LOG_PROOF_INVALID a signature is in no transparency log'],
    ['without a timestamp', 'requireTimestamp: true', key, 'TIMESTAMP_INVALID a signature has no timestamp of an authority that is trusted'],
    ['without a time', 'maxAge: 10d', key, 'SIGNED_TOO_EARLY nobody who is trusted vouches for the time of a signature'],
    ['with a time that is none', 'maxAge: 10d', dated('x'), 'SIGNED_TOO_EARLY nobody who is trusted vouches for the time of a signature'],
    ['made too early', 'signedAfter: 2026-05-01', dated('2026-04-30'), 'SIGNED_TOO_EARLY signed at 2026-04-30T00:00:00.000Z, before 2026-05-01T00:00:00.000Z'],
    ['too old', 'maxAge: 1h', dated('2026-05-01'), 'SIGNED_TOO_EARLY signed at 2026-05-01T00:00:00.000Z, more than 60 minutes ago'],
  ])('%s does not count, and says why', (_, checks, signer, message) => {
    expect(judge(checks, {}, signedBy(signer))).toEqual([message]);
  });

  it('is good to the very moment', () => {
    expect(judge('signedAfter: 2026-05-01', {}, signedBy(dated('2026-05-01')))).toEqual([]);
    expect(judge('maxAge: 31d', {}, signedBy(dated('2026-05-01')))).toEqual([]);
    expect(judge('requireTimestamp: true, signedAfter: 2026-05-01', {}, signedBy(dated('2026-05-02')))).toEqual([]);
  });

  it('of a keyless signer without a log does not count where a log is asked for', () => {
    const keyless: Signer = { kind: 'sigstore', identity: 'a', issuer: 'i', times: [{ source: 'log', at: NOW }], logs: [], root: 't' };
    expect(judge('requireTransparencyLog: true', {}, signedBy(keyless))).toEqual(['LOG_PROOF_INVALID a signature is in no transparency log']);
  });

  it('one timestamp among its times is enough', () => {
    const times = [
      { source: 'log', at: NOW },
      { source: 'timestamp', at: NOW },
    ] as const;
    const keyless: Signer = { kind: 'sigstore', identity: 'a', issuer: 'i', times, logs: [], root: 't' };
    expect(judge('requireTimestamp: true', {}, signedBy(keyless))).toEqual([]);
  });

  it('that is poor takes nothing from one that is enough', () => {
    const poor: Signer = { ...key, fingerprint: digestOf('other'), curve: 'P-384' };
    expect(judge('keyTypes: [P-256]', {}, [...signedBy(poor), ...signedBy(key)])).toEqual([]);
  });

  it('that nobody asked for is not to blame where the wanted one is missing', () => {
    expect(judge('keyTypes: [P-384]', {}, [])).toEqual(['SIGNER_UNTRUSTED nobody signed as rules[0].require']);
    expect(judge('keyTypes: [P-384]', {}, [{ signer: key, satisfies: [] }])).toEqual(['SIGNER_UNTRUSTED nobody signed as rules[0].require']);
  });

  it('missing for a threshold says how many there are', () => {
    const one = policy('mode: enforce', '{ threshold: { atLeast: 2, of: [alice, bob] } }', 'signers: { alice: { key: /a }, bob: { key: /b } }');
    const manifest = { rootDigest: ZERO, algorithm: 'sha256', subjectName: '', symlinks: 'reject', paths: [] } as const;
    expect(evaluate(one, one.rules[0], { manifest, votes: signedBy(key), now: NOW })).toEqual([
      { code: 'THRESHOLD_NOT_MET', message: '1 of 2 distinct signers have signed (of alice, bob)' },
    ]);
  });

  it('is judged for what it is where no rule names a signer', () => {
    const [rule] = policy('keyTypes: [P-384]').rules;
    const manifest = { rootDigest: ZERO, algorithm: 'sha256', subjectName: '', symlinks: 'reject', paths: [] } as const;
    const layer = { ...rule, require: undefined };
    const codes = (signer: Signer) => evaluate(policy(''), layer, { manifest, votes: signedBy(signer), now: NOW }).map(({ code }) => code);
    expect(codes(key)).toEqual(['ALGORITHM_REFUSED']);
    expect(codes({ ...key, curve: 'P-384' })).toEqual([]);
  });
});

describe('the rule for a model', () => {
  const rules = `  - { name: a, source: ['s3://x/**', 's3://y/**'], require: { key: /k }, mode: warn }
  - { name: b, modelName: [tiny, small], require: { key: /k } }
  - { name: c, source: 's3://z/**', modelName: big, require: { key: /k } }`;
  const several = read(rules, 'mode: "off"');
  const name = (host: string) => ({ scheme: 's3', host, path: ['m'] }) as const;
  const ruleOf = (host: string | undefined, modelName?: string) => ruleFor(several, { name: host === undefined ? undefined : name(host), modelName })?.name;

  it('is the first whose source and name are both the model’s', () => {
    expect([ruleOf('x'), ruleOf('y', 'tiny'), ruleOf('z', 'small'), ruleOf('z', 'big')]).toEqual(['a', 'a', 'b', 'c']);
    expect([ruleOf('z'), ruleOf('w', 'big'), ruleOf(undefined, 'big'), ruleOf(undefined, 'tiny'), ruleOf(undefined)]).toEqual([
      ...[undefined, undefined, undefined],
      ...['b', undefined],
    ]);
  });

  it('has its own mode, or the policy’s', () => {
    expect([modeOf(several, several.rules[0]), modeOf(several, several.rules[1]), modeOf(several, undefined)]).toEqual(['warn', 'off', 'off']);
  });

  it('that is missing is a refusal under the name that was compared', () => {
    expect(noRule({ name: name('w'), modelName: 'big' })).toEqual({
      code: 'POLICY_NO_RULE',
      message: "no rule of the policy is about 's3://w/m', called 'big'",
    });
    expect([noRule({ name: undefined, modelName: undefined }).message, noRule().message]).toEqual(Array(2).fill('no rule of the policy is about this model'));
  });
});

describe('files', () => {
  const files = NO_CHECKS.files;
  const sizes = [
    { path: 'a', sizeBytes: 10 },
    { path: 'b', sizeBytes: 20 },
  ];

  it('may be as large as the limit, each and together', () => {
    expect(sizeFinding(files, sizes)).toBeUndefined();
    expect(sizeFinding({ ...files, maxFileBytes: 20, maxTotalBytes: 30 }, sizes)).toBeUndefined();
    expect(sizeFinding({ ...files, maxFileBytes: 19 }, sizes)).toEqual({ code: 'LIMIT_EXCEEDED', message: "'b' has 20 bytes, more than 19" });
    expect(sizeFinding({ ...files, maxTotalBytes: 29 }, sizes)).toEqual({
      code: 'LIMIT_EXCEEDED',
      message: 'the files have 30 bytes together, more than 29',
    });
  });

  it('are tolerated where one check says so and none says otherwise', () => {
    const [silent, ignore, refuse] = [files, { ...files, unsigned: 'ignore' } as const, { ...files, unsigned: 'refuse' } as const];
    expect(tolerates([silent, ignore], 'unsigned', 'ignore')).toBe(true);
    expect(tolerates([silent], 'unsigned', 'ignore')).toBe(false);
    expect(tolerates([refuse, ignore], 'unsigned', 'ignore')).toBe(false);
    expect(tolerates([ignore, refuse], 'unsigned', 'ignore')).toBe(false);
  });

  it('are judged by what always holds and by the rule', () => {
    const one = policy('files: { maxCount: 3 }', undefined, 'always: { files: { maxCount: 5 } }');
    expect(fileChecksOf(one, one.rules[0]).map(({ maxCount }) => maxCount)).toEqual([5, 3]);
    expect(fileChecksOf(one, undefined).map(({ maxCount }) => maxCount)).toEqual([5]);
  });
});
