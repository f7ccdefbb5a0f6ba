// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleOf, type Files, KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { type Flags, pullHere, verifyHere } from '../support/run.ts';
import { makeKeys, resourceOf, rootDigestOf, signResources } from '../support/signer.ts';

// A policy decides what is pulled and what may stay. The floor's own matrix is in floor.test.ts.

const ALICE = KEYS;
const BOB = makeKeys();
const MALLORY = makeKeys();

let space: Scratch;
let model: string;
beforeEach(() => {
  space = scratch();
  model = space.at('model');
  writeTree(model, signed(SMALL_MODEL));
});
afterEach(() => space[Symbol.dispose]());

const indent = (text: string): string => text.trim().replaceAll('\n', '\n      ');
const signers = (): string => `signers:
  alice:
    key: |
      ${indent(ALICE.publicPem)}
  bob:
    key: |
      ${indent(BOB.publicPem)}
`;
/** A policy of one rule for the model of the test; `more` are members of the rule. */
const policy = (more = 'require: alice', top = ''): string =>
  `apiVersion: model-gate/policy/v1\n${top}${signers()}rules:\n  - name: the rule\n    source: file://${space.path}/**\n    ${more.trim().replaceAll('\n', '\n    ')}\n`;
const pull = (text: string, flags: Flags = {}) => pullHere([model, space.at('out')], { flags: { policy: text, ...flags } });
const check = (text: string, flags: Flags = {}) => verifyHere(model, { flags: { policy: text, ...flags } });
const both = async (text: string, flags: Flags = {}) => [(await pull(text, flags)).reason, (await check(text, flags)).reason];
const landed = (): Record<string, string> => treeOf(space.at('out'));

describe('a rule', () => {
  test('says who has to sign, and needs no trust flag', async () => {
    const outcome = await pull(policy());
    expect(outcome.reason).toBe('OK');
    expect(landed()).toMatchObject(treeFrom(SMALL_MODEL));
    expect(outcome.evidence).toMatchObject({
      policies: [{ layer: 'policy', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      models: [
        {
          verdict: 'verified',
          decisions: [{ layer: 'policy', rule: 'the rule', verdict: 'allow' }],
          signatures: [{ verdict: 'counted', satisfies: ['policy alice'] }],
        },
      ],
    });
  });

  test('refuses what somebody else signed, names itself, and leaves nothing behind', async () => {
    const outcome = await pull(policy('require: bob'));
    expect(outcome).toMatchObject({ reason: 'SIGNATURE_INVALID', exitCode: 1 });
    expect(outcome.error?.message).toContain("policy: rule 'the rule'");
    expect(landed()).toEqual({});
  });

  test('has to be there: no match is a refusal', async () => {
    expect(await both(policy().replace(space.path, '/elsewhere'))).toEqual(['POLICY_NO_RULE', 'POLICY_NO_RULE']);
  });

  test('is the first that matches, also when a later one would accept', async () => {
    const later = `${policy('require: bob')}  - name: later\n    source: '*://**'\n    require: alice\n`;
    expect(await both(later)).toEqual(['SIGNATURE_INVALID', 'SIGNATURE_INVALID']);
  });

  test('can be chosen by the operator’s own name for the model, and by nothing out of the bundle', async () => {
    const named = policy('modelName: model\nrequire: alice');
    expect((await check(named, { 'model-name': 'model' })).reason).toBe('OK');
    expect((await check(named)).reason).toBe('POLICY_NO_RULE');
  });

  test('is not fooled by a link into another place', async () => {
    mkdirSync(space.at('trusted'));
    symlinkSync(space.path, space.at('trusted', 'link'));
    const trusted = policy().replace(`${space.path}/**`, `${space.path}/trusted/**`);
    expect((await verifyHere(space.at('trusted', 'link', 'model'), { flags: { policy: trusted } })).reason).toBe('POLICY_NO_RULE');
  });
});

describe('flags and a policy', () => {
  test('both have to accept the signer', async () => {
    expect(await both(policy(), { 'public-key': [ALICE.publicPem] })).toEqual(['OK', 'OK']);
    expect((await check(policy(), { 'public-key': [BOB.publicPem] })).reason).toBe('SIGNER_UNTRUSTED');
    expect((await check(policy('require: bob'), { 'public-key': [ALICE.publicPem] })).reason).toBe('SIGNER_UNTRUSTED');
  });

  test('--expect-digest still pins', async () => {
    expect((await check(policy(), { 'expect-digest': [`sha256:${'0'.repeat(64)}`] })).reason).toBe('DIGEST_NOT_PINNED');
    expect((await check(policy(), { 'expect-digest': [rootDigestOf(bundleOf(SMALL_MODEL))] })).reason).toBe('OK');
  });

  test('--mode warn weakens flags, never the policy', async () => {
    expect((await check(policy('require: bob'), { mode: 'warn' })).reason).toBe('SIGNATURE_INVALID');
  });

  test('--ignore-unsigned-files and --allow-symlinks need the policy’s consent', async () => {
    expect((await check(policy(), { 'ignore-unsigned-files': true })).reason).toBe('POLICY_DENIED');
    expect((await check(policy(), { 'allow-symlinks': true })).reason).toBe('POLICY_DENIED');
    expect(
      (await check(policy('require: alice\nfiles: { unsignedFiles: ignore, symlinks: allow }'), { 'ignore-unsigned-files': true, 'allow-symlinks': true }))
        .reason,
    ).toBe('OK');
  });

  test('--signed-after and --require-timestamp refuse signatures that nobody dates', async () => {
    const flags = { 'public-key': [ALICE.publicPem] };
    expect((await verifyHere(model, { flags: { ...flags, 'signed-after': '2020-01-01' } })).reason).toBe('SIGNED_TOO_EARLY');
    expect((await verifyHere(model, { flags: { ...flags, 'require-timestamp': true } })).reason).toBe('TIMESTAMP_INVALID');
    expect((await verifyHere(model, { flags: { ...flags, 'signed-after': 'yesterday' } })).reason).toBe('CONFIG_INVALID');
  });
});

describe('rules about formats', () => {
  // An empty dictionary, and a call of os.system.
  const HARMLESS = Buffer.from('\x80\x02}.', 'latin1');
  const HOSTILE = Buffer.from("cos\nsystem\n(S'id'\ntR.", 'latin1');
  const publish = (files: Files): void => {
    model = space.at(`model-${Object.keys(files).length}-${files['weights.bin']?.length ?? 0}`);
    writeTree(model, signed(files));
  };
  const PLAIN = { 'config.json': '{}', 'README.md': 'a model' };

  test('look at content, not at names, of signed files, before they are published and in place', async () => {
    publish({ ...PLAIN, 'weights.safetensors': HARMLESS });
    const allowed = policy('require: alice\nformats: { allow: [safetensors, json, text] }');
    expect(await both(allowed)).toEqual(['FORMAT_DENIED', 'FORMAT_DENIED']);
    expect(landed()).toEqual({});
    publish({ ...PLAIN, 'weights.bin': HARMLESS });
    const outcome = await pull(allowed);
    expect(outcome).toMatchObject({ reason: 'FORMAT_DENIED', exitCode: 1 });
    expect(outcome.error?.message).toContain("'weights.bin' is pickle");
    expect(outcome.evidence.models[0]?.decisions).toContainEqual(
      expect.objectContaining({ layer: 'policy', rule: 'the rule', verdict: 'deny', findings: [expect.objectContaining({ code: 'FORMAT_DENIED' })] }),
    );
    expect(outcome.error?.message).toContain("rule 'the rule'");
    expect(landed()).toEqual({});
  });

  test('look at files in place that nobody signed, too, where those may stay', async () => {
    publish(PLAIN);
    writeFileSync(join(model, 'planted.bin'), HOSTILE);
    const tolerated = 'require: alice\nfiles: { unsignedFiles: ignore }';
    expect((await check(policy(tolerated))).reason).toBe('OK');
    const outcome = await check(policy(`${tolerated}\nformats: { deny: [pickle] }`));
    expect(outcome).toMatchObject({ reason: 'FORMAT_DENIED', exitCode: 1 });
    expect(outcome.error?.message).toContain("'planted.bin'");
    rmSync(join(model, 'planted.bin'));
  });

  test('look also at what a pull leaves in its destination although nobody signed it', async () => {
    publish(PLAIN);
    const tolerated = 'require: alice\nfiles: { unsignedFiles: ignore }';
    const strict = policy(`${tolerated}\nformats: { allow: [json, text] }`);
    expect((await pull(strict)).reason).toBe('OK');
    const before = landed();
    writeFileSync(space.at('out', 'planted.txt'), HOSTILE);
    expect((await pull(policy(tolerated))).reason).toBe('OK');
    const outcome = await pull(strict);
    expect(outcome).toMatchObject({ reason: 'FORMAT_DENIED', exitCode: 1 });
    expect(outcome.error?.message).toContain("'planted.txt' is pickle");
    rmSync(space.at('out', 'planted.txt'));
    expect(landed()).toEqual(before);
    // The bundle of the earlier start is written over, and no stranger.
    expect((await pull(strict)).reason).toBe('OK');
  });

  test('take a link that may stay for what nobody looked into', async () => {
    publish(PLAIN);
    const strict = policy('require: alice\nfiles: { unsignedFiles: ignore }\nformats: { allow: [json, text] }');
    expect((await pull(strict)).reason).toBe('OK');
    writeFileSync(space.at('elsewhere.bin'), HOSTILE);
    symlinkSync(space.at('elsewhere.bin'), space.at('out', 'linked.bin'));
    symlinkSync(space.at('elsewhere.bin'), join(model, 'linked.bin'));
    for (const outcome of [await pull(strict), await check(strict)]) {
      expect(outcome).toMatchObject({ reason: 'FORMAT_DENIED', exitCode: 1 });
      expect(outcome.error?.message).toContain("'linked.bin' is unknown (no regular file)");
    }
    rmSync(join(model, 'linked.bin'));
  });

  test('let plain data pass, and keep what each file is as evidence', async () => {
    publish(PLAIN);
    const outcome = await pull(policy('require: alice\nformats: { allow: [safetensors, json, text] }'));
    expect(outcome.reason).toBe('OK');
    expect(outcome.evidence.models[0]?.formats).toEqual(
      expect.arrayContaining([
        { path: 'config.json', formats: ['json'] },
        { path: 'README.md', formats: ['text'] },
      ]),
    );
  });

  test('name the first file by name, whichever arrives first', async () => {
    publish({ 'a.txt': 'a long story\n'.repeat(600_000), 'b.json': '{}' });
    const outcome = await pull(policy('require: alice\nformats: { deny: [text, json] }'));
    expect(outcome.error?.message).toContain("'a.txt' is text");
    expect(landed()).toEqual({});
  });

  test('refuse imports that weights do not need, also where pickles are allowed, unless the import is', async () => {
    publish({ ...PLAIN, 'weights.bin': HOSTILE });
    const allow = (more: string) => policy(`require: alice\nformats: { allow: [json, text, pickle]${more} }`);
    const outcome = await pull(allow(''));
    expect(outcome).toMatchObject({ reason: 'PICKLE_IMPORT', exitCode: 1 });
    expect(outcome.error?.message).toContain('os.system');
    expect(landed()).toEqual({});
    expect((await check(allow(', pickleImports: [os.system]'))).reason).toBe('OK');
  });

  test('may only warn, and say so', async () => {
    publish({ ...PLAIN, 'weights.bin': HARMLESS });
    const told = await check(policy('require: alice\nformats: { warn: [pickle] }'));
    expect(told.reason).toBe('OK');
    expect(told.evidence.models[0]).toMatchObject({ verdict: 'verified', warnings: [expect.stringContaining("'weights.bin' is pickle")] });
    const lenient = await check(policy('require: alice\nmode: warn\nformats: { deny: [pickle] }'));
    expect(lenient.reason).toBe('OK');
    expect(lenient.evidence.models[0]).toMatchObject({ verdict: 'warned', waived: [{ code: 'FORMAT_DENIED' }] });
  });

  test('have short flags', async () => {
    publish({ ...PLAIN, 'weights.bin': HARMLESS });
    const key = { 'public-key': [ALICE.publicPem] };
    const verify = async (flags: Flags) => (await verifyHere(model, { flags: { ...key, ...flags } })).reason;
    expect(await verify({ format: ['pickle=deny'] })).toBe('FORMAT_DENIED');
    expect(await verify({ format: ['pickle=warn'] })).toBe('OK');
    expect(await verify({ 'allow-formats': 'json,text' })).toBe('FORMAT_DENIED');
    expect(await verify({ 'allow-formats': 'json,text', format: ['pickle=allow'] })).toBe('OK');
    expect(await verify({ 'allow-formats': 'json,txt' })).toBe('CONFIG_INVALID');
  });

  test('of every layer hold: flags cannot allow what the policy denies', async () => {
    publish({ ...PLAIN, 'weights.bin': HARMLESS });
    const denied = policy('require: alice\nformats: { deny: [pickle] }');
    expect((await check(denied, { format: ['pickle=allow'] })).reason).toBe('FORMAT_DENIED');
  });
});

describe('several bundles', () => {
  const two = (): string => policy('bundles: [review.sig]\nrequire: { threshold: { atLeast: 2, of: [alice, bob] } }');
  const add = (name: string, bundle: Buffer): void => writeFileSync(join(model, name), bundle);

  test('count together over the same content', async () => {
    add('review.sig', bundleOf(SMALL_MODEL, BOB));
    expect(await both(two())).toEqual(['OK', 'OK']);
  });

  test('by one signer are one', async () => {
    add('review.sig', bundleOf(SMALL_MODEL, ALICE));
    expect(await both(two())).toEqual(['THRESHOLD_NOT_MET', 'THRESHOLD_NOT_MET']);
    expect(landed()).toEqual({});
  });

  test('with the same root digest but other names do not count together', async () => {
    const content = Object.entries(SMALL_MODEL).sort(([a], [b]) => (a < b ? -1 : 1));
    const renamed = signResources(
      content.map(([name, bytes]) => resourceOf(name === 'config.json' ? 'config.jsox' : name, bytes)),
      BOB,
    );
    expect(rootDigestOf(renamed)).toBe(rootDigestOf(bundleOf(SMALL_MODEL)));
    add('review.sig', renamed);
    const outcome = await check(two());
    expect(outcome.reason).toBe('THRESHOLD_NOT_MET');
    expect(outcome.evidence.models[0]?.signatures?.map((one) => one.verdict).sort()).toEqual(['counted', 'otherManifest']);
  });

  test('that nobody can verify are told, and no reason to refuse if the rest is enough', async () => {
    add('review.sig', bundleOf(SMALL_MODEL, MALLORY));
    expect((await check(two())).reason).toBe('THRESHOLD_NOT_MET');
    const outcome = await check(policy('bundles: [review.sig]\nrequire: alice'));
    expect(outcome.reason).toBe('OK');
    expect(outcome.evidence.models[0]?.signatures?.map((one) => one.verdict)).toEqual(['counted', 'rejected']);
  });

  test('which is no bundle is a file that nobody signed', async () => {
    add('review.sig', Buffer.from('import os'));
    expect((await check(policy('bundles: [review.sig]\nrequire: alice'))).reason).toBe('FILE_UNSIGNED');
  });
});

describe('against swapping and rollback', () => {
  const digest = (): string => `sha256:${rootDigestOf(bundleOf(SMALL_MODEL))}`;

  test('a denied digest is refused with the reason that the policy gives', async () => {
    const outcome = await pull(policy(`require: alice\ndigests: { deny: [{ digest: "${digest()}", reason: backdoor of april }] }`));
    expect(outcome).toMatchObject({ reason: 'DIGEST_DENIED', error: { message: expect.stringContaining('backdoor of april') } });
    expect(landed()).toEqual({});
  });

  test('a genuine older version is refused when it is not among the allowed ones', async () => {
    expect(await both(policy(`require: alice\ndigests: { allow: [sha256:${'1'.repeat(64)}] }`))).toEqual(['DIGEST_NOT_PINNED', 'DIGEST_NOT_PINNED']);
    expect((await check(policy(`require: alice\ndigests: { allow: ["${digest()}"] }`))).reason).toBe('OK');
  });

  test('checks under always hold besides those of the rule', async () => {
    expect((await check(policy('require: alice', `always: { digests: { deny: [{ digest: "${digest()}", reason: x }] } }\n`))).reason).toBe('DIGEST_DENIED');
  });

  test('the signed name is an extra check', async () => {
    expect((await check(policy('require: alice\nsignedName: model'))).reason).toBe('OK');
    expect((await check(policy('require: alice\nsignedName: llama'))).reason).toBe('POLICY_DENIED');
  });

  test('age needs a time that somebody trusted vouches for', async () => {
    expect((await check(policy('require: alice\nmaxAge: 90d'))).reason).toBe('SIGNED_TOO_EARLY');
  });
});

describe('quality and files', () => {
  test.each([
    ['requireTransparencyLog: true', 'LOG_PROOF_INVALID'],
    ['requireTimestamp: true', 'TIMESTAMP_INVALID'],
    ['hashes: [blake3]', 'ALGORITHM_REFUSED'],
    ['keyTypes: [P-384]', 'ALGORITHM_REFUSED'],
    ['files: { deny: ["*.bin"] }', 'POLICY_DENIED'],
    ['files: { allow: ["*.json", "weights/*"] }', 'POLICY_DENIED'],
    ['files: { maxCount: 3 }', 'LIMIT_EXCEEDED'],
    ['files: { maxFileSize: 50000 }', 'LIMIT_EXCEEDED'],
    ['files: { maxTotalSize: 100000 }', 'LIMIT_EXCEEDED'],
  ] as const)('%s', async (check, reason) => {
    expect(await both(policy(`require: alice\n${check}`))).toEqual([reason, reason]);
    expect(landed()).toEqual({});
  });

  test('denied names are refused also where unsigned files may stay', async () => {
    writeFileSync(join(model, 'notes.txt'), 'unsigned');
    expect((await check(policy('require: alice\nfiles: { unsignedFiles: ignore }'))).reason).toBe('OK');
    expect((await check(policy('require: alice\nfiles: { unsignedFiles: refuse }'))).reason).toBe('FILE_UNSIGNED');
    expect((await check(policy('require: alice\nfiles: { unsignedFiles: ignore, deny: ["*.txt"] }'))).reason).toBe('POLICY_DENIED');
  });
});

describe('warn mode', () => {
  test('lets through what an untrusted signer signed, and says so everywhere', async () => {
    const outcome = await pull(policy('mode: warn\nrequire: bob'));
    expect(outcome).toMatchObject({ reason: 'OK', exitCode: 0 });
    expect(outcome.evidence.models[0]).toMatchObject({
      verdict: 'warned',
      signer: { kind: 'nobody' },
      waived: [{ code: 'SIGNER_UNTRUSTED' }, { code: 'SIGNER_UNTRUSTED' }],
    });
    expect(outcome.events).toContainEqual(expect.objectContaining({ kind: 'waived', code: 'SIGNER_UNTRUSTED' }));
    expect(landed()).toMatchObject(treeFrom(SMALL_MODEL));
  });

  test('never lets a pull publish what is not what its manifest says', async () => {
    writeFileSync(join(model, 'config.json'), '{"hidden_size": 9}');
    expect((await pull(policy('mode: warn\nrequire: alice'))).reason).toBe('DIGEST_MISMATCH');
    expect(landed()).toEqual({});
    expect(await check(policy('mode: warn\nrequire: alice'))).toMatchObject({
      reason: 'OK',
      evidence: { models: [{ verdict: 'warned', waived: [{ code: 'DIGEST_MISMATCH' }] }] },
    });
  });

  test('has nothing to pull without a manifest, but tells of an unsigned model in place', async () => {
    writeTree(space.at('unsigned'), SMALL_MODEL);
    const text = policy('mode: warn\nrequire: alice');
    expect((await pullHere([space.at('unsigned'), space.at('out')], { flags: { policy: text } })).reason).toBe('UNSIGNED');
    expect(await verifyHere(space.at('unsigned'), { flags: { policy: text } })).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'warned' }] } });
  });

  test('waives nothing where another bundle pleases everybody', async () => {
    const old = bundleOf({ ...SMALL_MODEL, 'config.json': 'old' });
    writeFileSync(join(model, 'model.sig'), old);
    writeFileSync(join(model, 'review.sig'), bundleOf(SMALL_MODEL, BOB));
    const denied = `digests: { deny: [{ digest: "sha256:${rootDigestOf(old)}", reason: withdrawn }] }`;
    const text = policy(`mode: warn\nbundles: [review.sig]\nrequire: { anyOf: [alice, bob] }\n${denied}`);
    expect(await check(text)).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'verified' }] } });
    expect(await pull(text)).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'verified' }] } });
  });

  test('of one layer does not weaken another', async () => {
    const outcome = await check(policy('mode: warn\nrequire: bob'), { 'public-key': [BOB.publicPem] });
    expect(outcome.reason).toBe('SIGNATURE_INVALID');
  });

  test('by flag alone warns of a stranger', async () => {
    const outcome = await verifyHere(model, { flags: { 'public-key': [BOB.publicPem], mode: 'warn' } });
    expect(outcome).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'warned' }] } });
  });
});

describe('mode off', () => {
  test('checks nothing in place, and does not call that verified', async () => {
    writeFileSync(join(model, 'config.json'), 'altered');
    const outcome = await check(policy('mode: off\nrequire: alice'));
    expect(outcome).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'skipped', warnings: [expect.stringContaining('NOT VERIFIED')] }] } });
  });

  test('still needs a manifest to pull, whose digests hold', async () => {
    const files: Files = signed(SMALL_MODEL, MALLORY);
    writeTree(model, files);
    expect(await pull(policy('mode: off\nrequire: alice'))).toMatchObject({ reason: 'OK', evidence: { models: [{ verdict: 'warned' }] } });
  });
});
