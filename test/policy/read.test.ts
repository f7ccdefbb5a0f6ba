// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Layer } from '../../src/policy/read.ts';
import { readPolicy } from '../../src/policy/read.ts';
import { refused } from '../oms/payload.ts';

const read = (text: string, layer: Layer = 'policy') => readPolicy(Buffer.from(text), 'p.yaml', layer);
const example = (name: string): string => readFileSync(new URL(`../../examples/policies/${name}`, import.meta.url), 'utf8');
const schema = JSON.parse(readFileSync(new URL('../../docs/reference/policy.schema.json', import.meta.url), 'utf8')) as object;
const conforms = new Ajv2020.default({ strict: false }).compile(schema);

const HEAD = 'apiVersion: model-gate/policy/v1\n';
const SIGNER = '{ sigstore: { identity: a@example.com, issuer: https://i.example.com } }';
const rule = (members: string, require = 'alice'): string =>
  `${HEAD}signers:\n  alice: ${SIGNER}\n  bob: { key: /keys/bob.pub }\nrules:\n  - name: one\n    source: s3://b/**\n    require: ${require}\n${members
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}\n`))
    .join('')}`;

describe('a policy file', () => {
  it.each([
    ['floor.yaml', 'floor'],
    ['two-people.yaml', 'policy'],
  ] as const)('such as the example %s is read, and follows the schema', (name, layer) => {
    expect(read(example(name), layer).rules.length).toBeGreaterThan(1);
    expect(conforms(parse(example(name))), JSON.stringify(conforms.errors)).toBe(true);
  });

  const broken: readonly [problem: string, text: string, message: RegExp, schemaSees?: false][] = [
    ['no version', 'rules: []', /apiVersion must be model-gate\/policy\/v1/],
    ['another version', 'apiVersion: v2\nrules: []', /apiVersion must be/],
    ['no rules', `${HEAD}rules: []`, /rules is an empty list/],
    ['an unknown key at the top', `${HEAD}rule: []`, /rule is unknown; known here: apiVersion/],
    ['an unknown key in a rule', rule('signedafter: 2026-01-01'), /rules\[0\]\.signedafter is unknown/],
    ['an unknown key deep down', rule('', '{ anyOf: [{ key: /k, extra: 1 }] }'), /rules\[0\]\.require\.anyOf\[0\]\.extra is unknown/],
    ['a wrong type deep down', rule('', '{ anyOf: [{ key: 7 }] }'), /rules\[0\]\.require\.anyOf\[0\]\.key must be a text, not a number/],
    ['an unknown signer', rule('', '{ allOf: [alice, mallory] }'), /rules\[0\]\.require\.allOf\[1\] names the signer 'mallory'/, false],
    ['an empty tree', rule('', '{ anyOf: [] }'), /rules\[0\]\.require\.anyOf is an empty list/],
    ['two trees in one place', rule('', '{ anyOf: [alice], allOf: [alice] }'), /rules\[0\]\.require must have exactly one of/],
    ['a threshold nobody can meet', rule('', '{ threshold: { atLeast: 2, of: [alice] } }'), /threshold\.atLeast must be a whole number from 1 to 1/, false],
    ['a threshold of nothing', rule('', '{ threshold: { atLeast: 0, of: [alice] } }'), /threshold\.atLeast must be/],
    ['one signer twice in a threshold', rule('', '{ threshold: { atLeast: 2, of: [alice, { anyOf: [alice] }] } }'), /names the signer 'alice' twice/, false],
    ['a mode in words of its own', rule('mode: audit'), /rules\[0\]\.mode must be one of off, warn, enforce/],
    ['a flag as a text', rule('requireTimestamp: "yes"'), /rules\[0\]\.requireTimestamp must be true or false, not a text/],
    ['a digest in capitals', rule(`digests: { allow: [sha256:${'A'.repeat(64)}] }`), /rules\[0\]\.digests\.allow\[0\] must be sha256:/],
    ['a denied digest without a reason', rule(`digests: { deny: [{ digest: sha256:${'a'.repeat(64)} }] }`), /digests\.deny\[0\] has no 'reason'/],
    ['a day that does not exist', rule('signedAfter: 2026-02-30'), /rules\[0\]\.signedAfter must be a time/, false],
    ['an age without a unit', rule('maxAge: 90'), /rules\[0\]\.maxAge must be a span/],
    ['an unknown curve', rule('keyTypes: [secp256k1]'), /keyTypes\[0\] must be one of P-256/],
    ['an unknown hash', rule('hashes: md5'), /hashes must be one of sha256/],
    ['a glob that leaves the model', rule('files: { deny: ["/etc/*"] }'), /files\.deny\[0\].*relative glob/, false],
    ['a glob with alternatives', rule('files: { deny: ["*.{py,so}"] }'), /files\.deny\[0\]/, false],
    ['a format under both', rule('formats: { deny: [pickle], warn: [pickle] }'), /formats has 'pickle' under deny and under warn/, false],
    ['a bundle elsewhere', rule('bundles: ["../x.sig"]'), /bundles\[0\] must be a file name/],
    ['a source without a scheme', rule('').replace('s3://b/**', 'models'), /rules\[0\]\.source must begin with a scheme/, false],
    ['a rule about nothing', rule('').replace('    source: s3://b/**\n', ''), /rules\[0\] has neither 'source' nor 'modelName'/],
    ['a rule without a requirement', rule('').replace('    require: alice\n', ''), /rules\[0\] has no 'require'/],
    ['an identity without an issuer', rule('', '{ sigstore: { identity: a } }'), /require\.sigstore has no 'issuer'/],
    ['an identity twice', rule('', '{ sigstore: { identity: a, identityRegexp: a, issuer: i } }'), /exactly one of identity, identityRegexp/],
    ['a pattern that is none', rule('', '{ sigstore: { identityRegexp: "(", issuer: i } }'), /identityRegexp is a pattern that has/, false],
    ['a claim nobody makes', rule('', '{ sigstore: { identity: a, issuer: i, claims: { repo: x } } }'), /claims\.repo is unknown/],
    ['a certificate for anybody by accident', rule('', '{ certificate: { roots: /ca.pem } }'), /must say who/],
    ['two rules of one name', `${rule('')}  - name: one\n    source: s3://c/**\n    require: alice\n`, /two rules called 'one'/, false],
    ['a signer by two methods', rule('', '{ key: /k, sigstore: { identity: a, issuer: i } }'), /exactly one of/],
  ];

  it.each(broken)('with %s is refused with its path, by the schema too where it can', (_, text, message, schemaSees) => {
    expect(() => read(text)).toThrow(refused('POLICY_INVALID', message));
    expect(conforms(parse(text))).toBe(schemaSees === undefined ? false : !schemaSees);
  });

  it.each([
    ['aliases', `${HEAD}a: &x [1]\nrules: *x`, /aliases are not accepted/],
    ['a bomb of aliases', `a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]`, /aliases are not accepted/],
    ['a key twice', `${HEAD}mode: enforce\nmode: off\nrules: []`, /cannot be read: .*unique/i],
    ['two documents', `${HEAD}---\n${HEAD}`, /cannot be read/],
    ['a tag', `${HEAD}rules: !!js/function x`, /cannot be read/],
    ['a merge key', `${HEAD}<<: { mode: off }\nrules: []`, /is unknown/],
    ['a prototype', `${HEAD}__proto__: { mode: off }\nrules: []`, /is unknown/],
    ['a list at the top', '- 1', /must be a mapping/],
    ['nothing', '', /must be a mapping/],
    ['what is no YAML', '{', /cannot be read/],
    ['ten thousand levels', '['.repeat(10_000), /cannot be read/],
    ['too many bytes', `# ${'x'.repeat(300_000)}`, /larger than/],
    ['a key that is no text', `${HEAD}1: 2\nrules: []`, /is unknown|cannot be read|not a text/],
  ])('with %s is refused', (_, text, message) => {
    expect(() => read(text)).toThrow(refused('POLICY_INVALID', message));
  });

  it.each([
    ['sklearn.tree.Tree', true],
    ['sklearn.tree.*', true],
    ['*', false],
    ['sklearn.*.Tree', false],
    ['sklearn', false],
  ])('may allow pickles to import %s: %s', (name, good) => {
    const text = `${HEAD}rules:\n  - { name: a, source: '*://**', require: { key: k }, formats: { pickleImports: ['${name}'] } }\n`;
    if (good) expect(read(text).rules[0]?.checks.formats?.pickleImports).toEqual([name]);
    else expect(() => read(text)).toThrow(refused('POLICY_INVALID', /must be module\.name/));
  });

  it('that is not UTF-8 is refused', () => {
    expect(() => readPolicy(Buffer.from([0xff, 0xfe, 0x41]), 'p.yaml', 'policy')).toThrow(refused('POLICY_INVALID', /UTF-8/));
  });
});

describe('a floor policy', () => {
  it.each([
    ['a model name, which a pod chooses', rule('modelName: llama'), /modelName cannot stand in a floor/],
    ['material relative to a directory that a pod chooses', rule('', '{ key: keys/bob.pub }'), /require\.key must be PEM text, an absolute path/],
    ['material from the network without a pin', rule('', '{ key: https://keys.example.com/bob.pub }'), /require\.key must be PEM text/],
  ])('cannot depend on %s', (_, text, message) => {
    expect(() => read(text, 'floor')).toThrow(refused('POLICY_INVALID', message));
    expect(() => read(text)).not.toThrow();
  });

  it('knows the standard servers only, unless it lists others', () => {
    expect(read(rule(''), 'floor').endpoints).toEqual([]);
    expect(read(rule('')).endpoints).toBeUndefined();
  });
});
