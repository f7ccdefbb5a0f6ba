// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { explainPolicy } from '../../src/policy/explain.ts';
import { type Layer, readPolicy } from '../../src/policy/read.ts';

const [ZERO, ONE] = ['0'.repeat(64), '1'.repeat(64)];
const read = (text: string, layer: Layer = 'policy') => readPolicy(Buffer.from(`apiVersion: model-gate/policy/v1\n${text}\n`), 'p.yaml', layer);
const oneRule = (members: string, top = '') => `${top}\nrules:\n  - { name: r, source: '*://**', ${members} }`;

const FULL = `mode: warn
signers:
  alice: { key: [/a.pub, /b.pub] }
  lab: { certificate: { roots: /ca.pem, names: [x@e.com], subject: CN=lab, eku: [codeSigning, 1.2.3] } }
  any: { certificate: { roots: [/ca.pem], anySigner: true } }
  robot: { sigstore: { identityRegexp: 'ci-.+', issuer: https://i.e.com, claims: { sourceRepositoryUri: https://r, sourceRepositoryRef: { regexp: 'v.' } }, root: tuf } }
  own: { sigstore: { identity: a@e.com, issuer: i, root: { trustedRoot: /root.json } } }
  sure: { sigstore: { identity: a@e.com, issuer: i, root: { trustConfig: /config.json } } }
timestampAuthorities: /tsa.pem
endpoints: ['https://minio.e.com:9000', 'http://plain.e.com']
relaxations: [ignore-paths, hub-cache]
always: { hashes: sha256, files: { unsignedFiles: ignore, symlinks: recorded } }
rules:
  - name: one
    source: [s3://a/**, hf://o/m]
    modelName: [tiny, small]
    mode: enforce
    require: { anyOf: [alice, { allOf: [lab, { key: /inline.pub }] }, { threshold: { atLeast: 2, of: [alice, { anyOf: [any, robot] }] } }] }
    bundles: [second.sig]
    digests: { allow: ['${ZERO}', 'sha256:${ONE}'], deny: [{ digest: '${ONE}', reason: leaked }] }
    signedAfter: '2026-01-31T12:00:00+01:00'
    maxAge: 2h
    signedName: m
    requireTransparencyLog: true
    requireTimestamp: true
    hashes: [sha256, blake3]
    keyTypes: [P-256, P-521]
    files: { allow: ['*.bin', 'a/**'], deny: ['*.py', '?.sh'], maxFileSize: 2KiB, maxTotalSize: 4096, maxCount: 9, unsignedFiles: refuse, symlinks: allow }
    formats: { allow: [safetensors, json], deny: [pickle, hdf5], warn: [onnx, gguf], pickleImports: [a.b, c.*] }
  - { name: two, source: '*://**', mode: warn, require: alice, formats: {} }`;

describe('a policy', () => {
  it('is read whole', () => {
    const policy = read(FULL);
    const exact = (text: string) => ({ kind: 'exact', text });
    const pattern = (source: string) => ({ kind: 'pattern', source, test: expect.any(Function) });
    const at = (value: string, where: string) => ({ value, where });
    const sigstore = { kind: 'sigstore', identity: exact('a@e.com'), issuer: 'i', claims: new Map() };
    expect(Object.fromEntries(policy.signers)).toEqual({
      alice: { kind: 'key', keys: [at('/a.pub', 'signers.alice.key[0]'), at('/b.pub', 'signers.alice.key[1]')] },
      lab: {
        ...{ kind: 'certificate', roots: [at('/ca.pem', 'signers.lab.certificate.roots')], names: ['x@e.com'], subjects: ['CN=lab'] },
        purposes: ['1.3.6.1.5.5.7.3.3', '1.2.3'],
      },
      any: { kind: 'certificate', roots: [at('/ca.pem', 'signers.any.certificate.roots[0]')], names: [], subjects: [], purposes: [] },
      robot: {
        ...{ kind: 'sigstore', identity: pattern('ci-.+'), issuer: 'https://i.e.com', root: { kind: 'tuf' } },
        claims: new Map<string, unknown>([
          ['sourceRepositoryUri', exact('https://r')],
          ['sourceRepositoryRef', pattern('v.')],
        ]),
      },
      own: { ...sigstore, root: { kind: 'trusted-root', material: at('/root.json', 'signers.own.sigstore.root.trustedRoot') } },
      sure: { ...sigstore, root: { kind: 'trust-config', material: at('/config.json', 'signers.sure.sigstore.root.trustConfig') } },
      'rules[0].require.anyOf[1].allOf[1]': { kind: 'key', keys: [at('/inline.pub', 'rules[0].require.anyOf[1].allOf[1].key')] },
    });
    const { mode, timestampAuthorities, endpoints, relaxations, checks, rules } = policy;
    expect([mode, timestampAuthorities, endpoints, relaxations]).toEqual([
      ...['warn', [at('/tsa.pem', 'timestampAuthorities')], ['https://minio.e.com:9000', 'http://plain.e.com'], ['ignore-paths', 'hub-cache']],
    ]);
    expect([checks.hashes, checks.files.unsigned, checks.files.symlinks, checks.denyDigests, checks.formats]).toEqual([
      ...[['sha256'], 'ignore', 'recorded', [], undefined],
    ]);
    expect(rules[0]).toEqual({
      name: 'one',
      sources: [expect.objectContaining({ text: 's3://a/**' }), expect.objectContaining({ text: 'hf://o/m' })],
      modelNames: ['tiny', 'small'],
      mode: 'enforce',
      require: {
        kind: 'anyOf',
        of: [
          { kind: 'signer', signer: 'alice' },
          {
            kind: 'allOf',
            of: [
              { kind: 'signer', signer: 'lab' },
              { kind: 'signer', signer: 'rules[0].require.anyOf[1].allOf[1]' },
            ],
          },
          { kind: 'threshold', atLeast: 2, of: [['alice'], ['any', 'robot']] },
        ],
      },
      bundles: ['second.sig'],
      checks: {
        ...{ allowDigests: [ZERO, ONE], denyDigests: [{ digest: ONE, reason: 'leaked' }] },
        ...{ signedAfter: new Date('2026-01-31T11:00:00Z'), maxAgeMs: 7_200_000, name: 'm', transparencyLog: true, timestamp: true },
        ...{ hashes: ['sha256', 'blake3'], keyTypes: ['P-256', 'P-521'] },
        files: {
          ...{ allow: ['*.bin', 'a/**'], deny: ['*.py', '?.sh'], maxFileBytes: 2048, maxTotalBytes: 4096, maxCount: 9 },
          ...{ unsigned: 'refuse', symlinks: 'allow' },
        },
        formats: {
          allow: ['safetensors', 'json'],
          rules: { pickle: 'deny', hdf5: 'deny', onnx: 'warn', gguf: 'warn' },
          pickleImports: ['a.b', 'c.*'],
        },
      },
    });
    expect(rules[1]?.checks.formats).toEqual({ allow: undefined, rules: {}, pickleImports: [] });
    const least = read(oneRule('require: { key: /k }'));
    expect([least.mode, least.timestampAuthorities, least.relaxations, least.rules[0].bundles, least.rules[0].modelNames]).toEqual([
      ...['enforce', [], [], [], undefined],
    ]);
  });

  it('is explained line by line', () => {
    expect(explainPolicy(read(FULL)).split('\n')).toMatchInlineSnapshot(`
      [
        "mode warn",
        "signers",
        "  alice: one of 2 key materials",
        "  lab: a certificate for 'x@e.com' or 'CN=lab' below the given roots",
        "  any: a certificate for anybody below the given roots",
        "  robot: identity /ci-.+/ of issuer 'https://i.e.com', sourceRepositoryUri 'https://r', sourceRepositoryRef /v./",
        "  own: identity 'a@e.com' of issuer 'i'",
        "  sure: identity 'a@e.com' of issuer 'i'",
        "  rules[0].require.anyOf[1].allOf[1]: one of 1 key materials",
        "always",
        "  hashed with sha256",
        "  unsigned files are tolerated",
        "  symbolic links: recorded",
        "rules, the first that matches decides; without one the model is refused",
        "1. one (mode enforce)",
        "   source   s3://a/** or hf://o/m",
        "   model    tiny or small",
        "   signed   (by alice or (by lab and by rules[0].require.anyOf[1].allOf[1]) or by 2 different ones of alice, any|robot)",
        "   and      the digest is one of 2",
        "   and      the digest is none of 1 denied ones",
        "   and      signed after 2026-01-31T11:00:00.000Z",
        "   and      signed at most 120 minutes ago",
        "   and      the signed name is 'm'",
        "   and      in a transparency log",
        "   and      with a timestamp",
        "   and      hashed with sha256 or blake3",
        "   and      signed with keys on P-256 or P-521",
        "   and      files only *.bin, a/**",
        "   and      no files *.py, ?.sh",
        "   and      files of at most 2048 bytes",
        "   and      at most 4096 bytes together",
        "   and      at most 9 files",
        "   and      symbolic links: allow",
        "   and      formats only safetensors, json, none of them malformed",
        "   and      no pickle, hdf5",
        "   and      a warning for onnx, gguf",
        "   and      imports of pickles only those of plain weights and a.b, c.*",
        "2. two",
        "   source   *://**",
        "   signed   by alice",
        "   and      formats of every kind, none of them malformed",
        "   and      imports of pickles only those of plain weights",
        "",
      ]
    `);
  });

  const key = 'require: { key: /k }';
  it.each<[string, string, string, Layer?]>([
    [
      '201 rules',
      `rules: [${Array.from({ length: 201 }, (_, i) => `{ name: r${i}, source: '*://**', require: { key: /k } }`).join(', ')}]`,
      'rules has more than 200 rules',
    ],
    [
      '65 signers',
      oneRule(key, `signers: { ${Array.from({ length: 64 }, (_, i) => `s${i}: { key: /k }`).join(', ')} }`),
      'signers and rules name more than 64 signers',
    ],
    ['nine bundles', oneRule(`${key}, bundles: [${'a.sig, '.repeat(9)}]`), 'rules[0].bundles has more than 8 bundles'],
    ['a bundle called dot', oneRule(`${key}, bundles: ['.']`), 'rules[0].bundles[0] must be a file name without slashes'],
    ['a bundle called two dots', oneRule(`${key}, bundles: ['..']`), 'rules[0].bundles[0] must be a file name without slashes'],
    ['a long bundle', oneRule(`${key}, bundles: ['${'a'.repeat(201)}']`), 'rules[0].bundles[0] must be a file name without slashes'],
    ['a tree too deep', oneRule(`require: ${'{ anyOf: ['.repeat(9)}{ key: /k }${'] }'.repeat(9)}`), `is nested deeper than 8 levels`],
    ['an empty tree', oneRule('require: {}'), 'rules[0].require must have exactly one of anyOf, allOf, threshold, key, certificate, sigstore'],
    [
      'a threshold of a half',
      oneRule('require: { threshold: { atLeast: 1.5, of: [{ key: /k }, { key: /l }] } }'),
      'atLeast must be a whole number from 1 to 2',
    ],
    ['a threshold in words', oneRule("require: { threshold: { atLeast: '1', of: [{ key: /k }] } }"), 'atLeast must be a whole number from 1 to 1'],
    ['a signer with a space', oneRule(key, "signers: { 'a b': { key: /k } }"), 'is no name for a signer: letters, digits, dots, dashes, at most 63'],
    ['a signer with a dash before', oneRule(key, "signers: { '-a': { key: /k } }"), 'signers."-a" is no name for a signer'],
    ['a rule with a space before', oneRule(key).replace('name: r', "name: ' r'"), 'rules[0].name must be at most 63 printable ASCII characters'],
    ['a rule with a space behind', oneRule(key).replace('name: r', "name: 'r '"), 'rules[0].name must be at most 63 printable ASCII characters'],
    ['an endpoint with a path', oneRule(key, "endpoints: ['https://a.e.com/x']"), 'endpoints[0] must be an origin such as https://minio.example.com:9000'],
    ['an endpoint with a query', oneRule(key, "endpoints: ['https://a.e.com/?x']"), 'endpoints[0] must be an origin'],
    ['an endpoint with a user', oneRule(key, "endpoints: ['https://u@a.e.com']"), 'endpoints[0] must be an origin'],
    ['an endpoint of another scheme', oneRule(key, "endpoints: ['ftp://a.e.com']"), 'endpoints[0] must be an origin'],
    ['an endpoint that is none', oneRule(key, 'endpoints: [a]'), 'endpoints[0] must be an origin'],
    ['an unknown relaxation', oneRule(key, 'relaxations: [all]'), 'relaxations[0] must be one of ignore-paths, ignore-hub-metadata, hub-cache'],
    [
      'a usage that is none',
      oneRule('require: { certificate: { roots: /c, names: a, eku: x1.2.3 } }'),
      'eku must be codeSigning or an object identifier such as 1.3.6.1.5.5.7.3.3',
    ],
    ['a usage with more behind', oneRule('require: { certificate: { roots: /c, names: a, eku: 1.2.3x } }'), 'eku must be codeSigning'],
    ['a usage too long', oneRule(`require: { certificate: { roots: /c, names: a, eku: '1${'.1'.repeat(50)}' } }`), 'eku must be codeSigning'],
    [
      'everybody and somebody',
      oneRule('require: { certificate: { roots: /c, names: a, anySigner: true } }'),
      "must say who: 'names' or 'subject'; or 'anySigner: true'",
    ],
    ['no identity', oneRule('require: { sigstore: { issuer: i } }'), 'sigstore must have exactly one of identity, identityRegexp'],
    ['no root in a root', oneRule('require: { sigstore: { identity: a, issuer: i, root: {} } }'), 'root must have exactly one of trustedRoot, trustConfig'],
    ['a root that is unknown', oneRule('require: { sigstore: { identity: a, issuer: i, root: own } }'), 'root must be one of embedded, tuf'],
    [
      'a claim without its pattern',
      oneRule('require: { sigstore: { identity: a, issuer: i, claims: { sourceRepositoryUri: {} } } }'),
      "sourceRepositoryUri has no 'regexp'",
    ],
    [
      'an import with more before',
      oneRule(`${key}, formats: { pickleImports: ['-a.b'] }`),
      'pickleImports[0] must be module.name, such as collections.OrderedDict',
    ],
    ['an import with more behind', oneRule(`${key}, formats: { pickleImports: ['a.b-'] }`), 'pickleImports[0] must be module.name'],
    ['an import too long', oneRule(`${key}, formats: { pickleImports: ['a.${'b'.repeat(199)}'] }`), 'pickleImports[0] must be module.name'],
    ['an unknown format', oneRule(`${key}, formats: { deny: [exe] }`), 'deny[0] must be one of '],
    [
      'a glob too long',
      oneRule(`${key}, files: { deny: ['${'a'.repeat(501)}'] }`),
      'must be a relative glob: letters, ? and * within a component, ** for any number of components',
    ],
    ['a glob with two stars in a name', oneRule(`${key}, files: { deny: ['a**'] }`), "files.deny[0] 'a**' must be a relative glob"],
    [
      'a floor’s key with its pin cut short',
      oneRule(`require: { key: 'https://k.e.com/k#sha256=${'a'.repeat(63)}' }`),
      'a URI pinned with #sha256= in a floor policy',
      'floor',
    ],
    ['a floor’s key with more behind its pin', oneRule(`require: { key: 'https://k.e.com/k#sha256=${ZERO}0' }`), 'a URI pinned with #sha256=', 'floor'],
  ])('with %s is refused with the place', (_, text, message, layer) => {
    expect(() => read(text, layer)).toThrow(expect.objectContaining({ code: 'POLICY_INVALID', message: expect.stringContaining(message) }));
  });

  it('may go to each limit', () => {
    const signers = Array.from({ length: 63 }, (_, i) => `s${i}: { key: /k }`).join(', ');
    expect(read(oneRule(`${key}, bundles: [${'a.sig, '.repeat(8)}]`, `signers: { ${signers} }`)).signers.size).toBe(64);
    expect(read(oneRule(`${key}, bundles: ['${'a'.repeat(200)}'], files: { deny: ['${'a'.repeat(500)}'] }`)).rules).toHaveLength(1);
    expect(read(oneRule(`require: ${'{ anyOf: ['.repeat(8)}{ key: /k }${'] }'.repeat(8)}`)).rules).toHaveLength(1);
    const rules = Array.from({ length: 200 }, (_, i) => `{ name: r${i}, source: '*://**', require: a }`).join(', ');
    expect(read(`signers: { a: { key: /k } }\nrules: [${rules}]`).rules).toHaveLength(200);
  });

  it.each(['/k.pub', 'file:///k.pub', `https://k.e.com/k#sha256=${ZERO}`, '-----BEGIN PUBLIC KEY-----', '{"a": 1}', ' {"a": 1}'])(
    'that is a floor may have the material %s',
    (value) => {
      expect(read(oneRule(`require: { key: '${value}' }`), 'floor').signers.size).toBe(1);
    },
  );
});
