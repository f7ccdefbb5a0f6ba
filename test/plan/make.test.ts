// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { resolveOptions } from '../../src/plan/load.ts';
import { makePullPlan, makeVerifyPlan, materialRef } from '../../src/plan/make.ts';
import { type Command, OPTION_NAMES, type OptionName, optionOf, type Values } from '../../src/plan/options.ts';
import type { PullPlan, VerifyPlan } from '../../src/plan/plan.ts';
import type { TrustPlan } from '../../src/plan/trust.ts';
import { digestOf, refused } from '../oms/payload.ts';

type Flags = { readonly [K in OptionName]?: unknown };

const KEY: Flags = { 'public-key': ['/keys/a.pub'] };
const SIGSTORE: Flags = { identity: ['ci@example.com'], issuer: ['https://issuer'] };
const PIN = digestOf('pinned');

function values(command: Command, flags: Flags): Values {
  return resolveOptions(command, { flags, env: {}, file: undefined }).values;
}

const pull = (positionals: readonly string[], flags: Flags = KEY): PullPlan => makePullPlan(positionals, values('pull', flags));
const verify = (positionals: readonly string[], flags: Flags = KEY): VerifyPlan => makeVerifyPlan(positionals, values('verify', flags));
const trust = (flags: Flags): TrustPlan | undefined => verify(['/model'], flags).trust;

const contradiction = (message?: RegExp): unknown => refused('PLAN_CONTRADICTION', message);
const invalid = (message?: RegExp): unknown => refused('CONFIG_INVALID', message);
const usage = (message?: RegExp): unknown => refused('USAGE', message);
const unpinned = refused('ANCHORS_UNPINNED');

describe('pull', () => {
  it('takes pairs of source and destination; a single source goes to /mnt/models', () => {
    expect(pull(['s3://bucket/m/']).models).toMatchObject([{ source: { uri: 's3://bucket/m/', spec: { kind: 's3' } }, destination: '/mnt/models' }]);
    expect(pull(['s3://bucket/m/', '/a', 'pvc://c/x', '/b']).models).toMatchObject([
      { destination: '/a' },
      { source: { spec: { claim: 'c' } }, destination: '/b' },
    ]);
  });

  it('refuses what are no pairs', () => {
    expect(() => pull([])).toThrow(usage(/needs a source/));
    expect(() => pull(['a', '/x', 'https://u:secret@h/b?sig=secret'])).toThrow(usage(/^(?!.*secret).*has no destination/));
  });

  it('refuses two models for one destination', () => {
    expect(() => pull(['a', '/x', 'b', '/x'])).toThrow(contradiction(/two models go to \/x/));
  });

  it('refuses one bundle for several models', () => {
    expect(() => pull(['a', '/x', 'b', '/y'], { ...KEY, bundle: 'm.sig' })).toThrow(contradiction(/--bundle belongs to one model/));
    expect(pull(['a', '/x'], { ...KEY, bundle: 's3://bucket/m.sig' }).bundle).toMatchObject({
      uri: 's3://bucket/m.sig',
      spec: { kind: 's3', bucket: 'bucket' },
    });
  });

  it('needs the bundle’s own URL when the model’s is presigned', () => {
    const url = 'https://h/model.bin?X-Amz-Signature=secret';
    expect(() => pull([url, '/x'])).toThrow(contradiction(/^(?!.*secret).*presigned URL.*the bundle cannot be looked for/));
    expect(pull([url, '/x'], { ...KEY, bundle: 'https://h/model.sig?X-Amz-Signature=other' }).models[0].source.spec).toMatchObject({ presigned: true });
    expect(() => pull(['https://h/m/?sv=1&sig=sas', '/x'])).not.toThrow();
  });

  it('carries what was asked', () => {
    expect(pull(['a', '/x'], { ...KEY, replace: true, prune: true, 'keep-bundle': false })).toMatchObject({
      command: 'pull',
      replace: true,
      prune: true,
      keepBundle: false,
    });
    expect(pull(['a', '/x'])).toMatchObject({ replace: false, prune: false, keepBundle: true, connections: 16 });
    expect(() => pull(['a', '/x'], { ...KEY, connections: '65' })).toThrow(invalid(/--connections must be from 1 to 64/));
  });

  it('finds claims below --pvc-root', () => {
    expect(pull(['pvc://claim/m'], { ...KEY, 'pvc-root': '/volumes' }).models[0].source.spec).toMatchObject({ path: '/volumes/claim/m' });
    expect(() => pull(['pvc://claim/../m'])).toThrow(invalid(/leaves the claim/));
    expect(() => pull(['gs://bucket/m'])).toThrow(invalid(/unknown scheme/));
  });
});

describe('verify', () => {
  it('takes one path', () => {
    expect(verify(['/model'])).toMatchObject({ command: 'verify', model: { uri: '/model', spec: { kind: 'file', path: '/model' } } });
    expect(verify(['pvc://claim/m']).model.spec).toMatchObject({ path: '/mnt/pvc/claim/m' });
    expect(() => verify([])).toThrow(usage(/one path, got 0/));
    expect(() => verify(['a', 'b'])).toThrow(usage(/one path, got 2/));
    for (const uri of ['s3://bucket/m/', 'https://h/m/?sig=secret']) expect(() => verify([uri])).toThrow(usage(/^(?!.*secret).*pull it/));
  });
});

describe('the plan', () => {
  it('has a default for everything but trust', () => {
    expect(verify(['/model'])).toMatchObject({
      source: {
        http: { connectTimeoutMs: 10_000, stallTimeoutMs: 60_000, headers: {}, verifyTls: true },
        s3: { addressing: 'auto', anonymous: false, verifyTls: true },
      },
      ignorePaths: [],
      ignoreGitPaths: true,
      unsignedFiles: 'refuse',
      symlinks: 'recorded',
      expectDigests: [],
      include: [],
      exclude: [],
      limits: { bundleBytes: 64 * 2 ** 20, entries: 1_000_000, fileBytes: 2 ** 40 },
      relaxations: [],
    });
    expect(verify(['/model'])).not.toHaveProperty('bundle');
    expect(verify(['/model'])).not.toHaveProperty('timeoutMs');
  });

  it('takes over settings of the source', () => {
    const flags: Flags = {
      ...KEY,
      header: ['X-Token:  abc ', 'accept: */*'],
      'bearer-token-file': '/token',
      'ca-bundle': '/ca.pem',
      'insecure-skip-tls-verify': true,
      's3-region': 'eu-1',
      's3-endpoint': 'https://minio',
      's3-addressing': 'path',
      's3-anonymous': true,
      's3-accelerate': true,
      timeout: '5m',
    };
    expect(pull(['a', '/x'], flags)).toMatchObject({
      source: {
        http: { headers: { 'x-token': 'abc', accept: '*/*' }, bearerTokenFile: '/token', caBundle: '/ca.pem', verifyTls: false },
        s3: { region: 'eu-1', endpoint: 'https://minio', addressing: 'path', anonymous: true, accelerate: true, caBundle: '/ca.pem', verifyTls: false },
      },
      timeoutMs: 300_000,
    });
  });

  it.each(['secret', ': secret', 'X Y: secret', 'X: secret\r\nEvil: 1', 'X: secret\0', 'ä: secret', 'X: secret😀'])(
    'refuses the header %j without quoting it',
    (header) => {
      expect(() => verify(['/m'], { ...KEY, header: [header] })).toThrow(invalid(/^--header must be written 'Name: value'$/));
    },
  );

  it('lists every setting that weakens the check, by the flag’s name', () => {
    const weaker = OPTION_NAMES.filter((name) => optionOf(name).relaxes === true);
    expect(weaker).toEqual([
      'allow-expired-certificate',
      'ignore-paths',
      'ignore-hub-metadata',
      'ignore-unsigned-files',
      'allow-symlinks',
      'hub-cache',
      'insecure-skip-tls-verify',
      'sticky-readiness',
    ]);
    const flags: Flags = {
      ca: ['ca.pem'],
      'allow-expired-certificate': true,
      'ignore-paths': ['x'],
      'ignore-hub-metadata': true,
      'ignore-unsigned-files': true,
      'allow-symlinks': true,
      'insecure-skip-tls-verify': true,
    };
    expect(verify(['/m'], flags)).toMatchObject({
      relaxations: weaker.filter((name) => name !== 'hub-cache' && name !== 'sticky-readiness').map((name) => `--${name}`),
      unsignedFiles: 'ignore',
      symlinks: 'allow',
      trust: { expired: 'allow' },
    });
    expect(verify(['/m'], { ...KEY, 'hub-cache': true }).relaxations).toEqual(['--hub-cache']);
  });

  it('has ignore paths below the model only', () => {
    expect(verify(['/m'], { ...KEY, 'ignore-paths': ['cache', './sub/x/', 'a b'] }).ignorePaths).toEqual(['cache', 'sub/x', 'a b']);
    for (const path of ['/etc', '..', '../x', 'a/../..', '.', './', '/', 'a//b']) {
      expect(() => verify(['/m'], { ...KEY, 'ignore-paths': [path] })).toThrow(invalid(/--ignore-paths/));
    }
  });

  it('has digest pins of 64 hexadecimal digits, with or without their prefix', () => {
    expect(verify(['/m'], { ...KEY, 'expect-digest': [`sha256:${PIN}`, PIN.toUpperCase()] }).expectDigests).toEqual([PIN, PIN]);
    for (const pin of ['sha256:', PIN.slice(1), `sha512:${PIN}`, `${PIN}00`, 'latest', `sha256:${PIN} `]) {
      expect(() => verify(['/m'], { ...KEY, 'expect-digest': [pin] })).toThrow(invalid(/--expect-digest/));
    }
  });
});

describe('trust', () => {
  it('is never a default', () => {
    expect(() => trust({})).toThrow(refused('TRUST_METHOD_MISSING'));
    expect(() => trust({ bundle: 'x', 'expect-digest': [PIN], 'trusted-root': 'root.json' })).toThrow(refused('TRUST_METHOD_MISSING'));
  });

  it('is of one method only', () => {
    const both: readonly Flags[] = [
      { ...KEY, ca: ['ca.pem'] },
      { ...KEY, ...SIGSTORE },
      { ca: ['ca.pem'], ...SIGSTORE },
      { ...KEY, issuer: ['https://issuer'] },
      { ...KEY, 'certificate-chain': ['x'] },
    ];
    for (const flags of both) expect(() => trust(flags)).toThrow(contradiction(/several methods/));
  });

  it('may have several anchors of its method', () => {
    expect(trust({ 'public-key': ['a.pub', 'b.pub'] })).toEqual({
      kind: 'key',
      keys: [
        { kind: 'file', path: 'a.pub' },
        { kind: 'file', path: 'b.pub' },
      ],
    });
    expect(trust({ ca: ['a.pem'], 'certificate-chain': ['b.pem'], 'timestamp-authority': ['t.pem'], 'certificate-identity': ['CN=x'] })).toEqual({
      kind: 'certificate',
      certificates: [
        { kind: 'file', path: 'a.pem' },
        { kind: 'file', path: 'b.pem' },
      ],
      timestampAuthorities: [{ kind: 'file', path: 't.pem' }],
      expired: 'refuse',
      identities: ['CN=x'],
    });
  });

  it('refuses options of a method that is not in use', () => {
    const strays: readonly [Flags, Flags][] = [
      [KEY, { 'certificate-identity': ['x'] }],
      [KEY, { 'timestamp-authority': ['x'] }],
      [KEY, { 'allow-expired-certificate': true }],
      [KEY, { 'trusted-root': 'x' }],
      [KEY, { 'trust-config': 'x' }],
      [KEY, { 'tuf-refresh': true }],
      [{ ca: ['ca.pem'] }, { 'trusted-root': 'x' }],
      [{ ca: ['ca.pem'] }, { 'tuf-cache': 'x' }],
      [SIGSTORE, { 'certificate-identity': ['x'] }],
      [SIGSTORE, { 'timestamp-authority': ['x'] }],
      [SIGSTORE, { 'allow-expired-certificate': true }],
      [SIGSTORE, { 'tuf-mirror': 'https://x' }],
      [SIGSTORE, { 'tuf-root': 'x' }],
    ];
    for (const [method, stray] of strays) expect(() => trust({ ...method, ...stray })).toThrow(contradiction(/changes nothing without --/));
  });
});

describe('sigstore trust', () => {
  it('pairs identities with one issuer, or with one each, in order', () => {
    expect(trust({ identity: ['a', 'b'], issuer: ['i'] })).toMatchObject({
      kind: 'sigstore',
      root: { kind: 'embedded' },
      signers: [
        { identity: { kind: 'exact', text: 'a' }, issuer: 'i' },
        { identity: { kind: 'exact', text: 'b' }, issuer: 'i' },
      ],
    });
    expect(trust({ identity: ['a'], 'identity-regexp': ['b.*'], issuer: ['i', 'j'] })).toMatchObject({
      signers: [
        { identity: { kind: 'exact', text: 'a' }, issuer: 'i' },
        { identity: { kind: 'pattern', source: 'b.*' }, issuer: 'j' },
      ],
    });
  });

  it('needs both identity and issuer, neither of them empty', () => {
    expect(() => trust({ issuer: ['i'] })).toThrow(invalid(/--issuer needs --identity/));
    expect(() => trust({ identity: ['a'] })).toThrow(invalid(/--identity needs --issuer/));
    expect(() => trust({ 'identity-regexp': ['a'] })).toThrow(invalid(/needs --issuer/));
    expect(() => trust({ identity: ['a', 'b', 'c'], issuer: ['i', 'j'] })).toThrow(invalid(/for each of the 3 identities.*got 2/));
    expect(() => trust({ identity: ['a'], issuer: ['i', 'j'] })).toThrow(invalid(/got 2/));
    expect(() => trust({ identity: [''], issuer: ['i'] })).toThrow(invalid(/--identity must not be empty/));
    expect(() => trust({ identity: ['a'], issuer: [' '] })).toThrow(invalid(/--issuer must not be empty/));
  });

  it('takes patterns that cannot break out of their anchors', () => {
    for (const source of ['(', '[', '*', 'a)|(?:.*', ')(', 'a\\', '(?<a', 'a)$|^(b']) {
      expect(() => trust({ 'identity-regexp': [source], issuer: ['i'] })).toThrow(invalid(/is not a regular expression/));
    }
    expect(() => trust({ 'identity-regexp': ['(a|b)@example\\.com'], issuer: ['i'] })).not.toThrow();
  });

  it('has one trusted root', () => {
    expect(trust({ ...SIGSTORE, 'trusted-root': 'root.json' })).toMatchObject({ root: { kind: 'trusted-root', ref: { kind: 'file', path: 'root.json' } } });
    expect(trust({ ...SIGSTORE, 'trust-config': '{"trustedRoot":{}}' })).toMatchObject({ root: { kind: 'trust-config', ref: { kind: 'text' } } });
    expect(trust({ ...SIGSTORE, 'tuf-refresh': true })).toMatchObject({ root: { kind: 'tuf' } });
    expect(trust({ ...SIGSTORE, 'tuf-refresh': true, 'tuf-mirror': 'https://m', 'tuf-root': 'r.json', 'tuf-cache': '/c' })).toMatchObject({
      root: { kind: 'tuf', mirror: 'https://m', rootFile: 'r.json', cacheDir: '/c' },
    });
    expect(() => trust({ ...SIGSTORE, 'trusted-root': 'a', 'trust-config': 'b' })).toThrow(contradiction(/--trusted-root and --trust-config/));
    expect(() => trust({ ...SIGSTORE, 'trusted-root': 'a', 'tuf-refresh': true })).toThrow(contradiction(/--trusted-root and --tuf-refresh/));
  });
});

describe('trust material', () => {
  it('is a path, a file:// or other URI, or the text itself', () => {
    expect(materialRef('/keys/a.pub')).toEqual({ kind: 'file', path: '/keys/a.pub' });
    expect(materialRef('file:///keys/a.pub')).toEqual({ kind: 'file', path: '/keys/a.pub' });
    expect(materialRef('https://h/a.pub')).toEqual({ kind: 'uri', uri: 'https://h/a.pub' });
    expect(materialRef('S3://bucket/a.pub')).toEqual({ kind: 'uri', uri: 'S3://bucket/a.pub' });
    const pem = '-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----';
    expect(materialRef(`# https://h/#sha256=\n${pem}`)).toEqual({ kind: 'text', text: `# https://h/#sha256=\n${pem}` });
    expect(materialRef(' {"mediaType":"x"}')).toEqual({ kind: 'text', text: ' {"mediaType":"x"}' });
  });

  it('may be pinned by digest', () => {
    expect(materialRef(`https://h/a.pub#sha256=${PIN}`)).toEqual({ kind: 'uri', uri: 'https://h/a.pub', sha256: PIN });
    expect(materialRef(`/keys/a#b.pub#sha256=${PIN.toUpperCase()}`)).toEqual({ kind: 'file', path: '/keys/a#b.pub', sha256: PIN });
    expect(materialRef(`https://h/a?x=1#sha256=${PIN}`)).toEqual({ kind: 'uri', uri: 'https://h/a?x=1', sha256: PIN });
    for (const pin of ['', PIN.slice(2), `${PIN}00`])
      expect(() => materialRef(`https://h/a?secret#sha256=${pin}`)).toThrow(invalid(/^(?!.*secret).*64 hexadecimal digits/));
    // What is no hexadecimal at all is part of the name, which then does not exist: nothing is read unpinned by mistake.
    expect(materialRef('/keys/a.pub#sha256=nothex')).toEqual({ kind: 'file', path: '/keys/a.pub#sha256=nothex' });
  });

  it('comes over plain http only when pinned, and from no unknown scheme', () => {
    expect(() => materialRef('http://h/a.pub')).toThrow(unpinned);
    expect(() => materialRef('HTTP://h/a.pub')).toThrow(unpinned);
    expect(materialRef(`http://h/a.pub#sha256=${PIN}`)).toEqual({ kind: 'uri', uri: 'http://h/a.pub', sha256: PIN });
    expect(() => materialRef('file://h/a.pub')).toThrow(invalid(/names a host/));
    for (const uri of ['ftp://h/a', 'pvc://claim/a', 'gs://b/a']) expect(() => materialRef(uri)).toThrow(invalid(/cannot come from/));
  });

  it('does not come from the model’s own bucket or origin, unless pinned', () => {
    const cases: readonly [string, Flags][] = [
      ['s3://models/a/', { 'public-key': ['s3://models/keys/a.pub'] }],
      ['s3://models/a/', { 'public-key': ['/ok.pub', 's3://models/a.pub'] }],
      ['s3://models/a/', { ca: ['s3://models/ca.pem'] }],
      ['s3://models/a/', { ca: ['/ok.pem'], 'timestamp-authority': ['s3://models/tsa.pem'] }],
      ['s3://models/a/', { ...SIGSTORE, 'trusted-root': 's3://models/root.json' }],
      ['s3://models/a/', { ...SIGSTORE, 'trust-config': 's3://models/config.json' }],
      ['https://h/models/', { 'public-key': ['https://h/keys/a.pub'] }],
      ['https://h:443/models/', { 'public-key': ['https://H/keys/a.pub'] }],
      ['http://h/models/', { 'public-key': ['https://h/keys/a.pub'] }],
      ['s3://models/a/', { 'public-key': ['https://models.s3.eu-west-1.amazonaws.com/a.pub'] }],
      ['s3://models/a/', { 'public-key': ['https://minio.example.com/models/a.pub'] }],
      ['https://s3.example.com/models/a/', { 'public-key': ['s3://models/a.pub'] }],
    ];
    for (const [source, flags] of cases) expect(() => pull([source, '/x'], flags)).toThrow(unpinned);
    const several: Flags = { 'public-key': ['s3://models/a.pub'] };
    expect(() => pull(['https://h/a/', '/x', 's3://models/b/', '/y'], several)).toThrow(unpinned);
    expect(() => pull(['s3://models/a/', '/x'], { 'public-key': [`s3://models/a.pub#sha256=${PIN}`] })).not.toThrow();
    expect(() => pull(['s3://models/a/', '/x'], { 'public-key': ['s3://keys/a.pub'] })).not.toThrow();
    expect(() => pull(['https://h/models/', '/x'], { 'public-key': ['https://keys.h/a.pub'] })).not.toThrow();
    expect(() => pull(['/models/a', '/x'], { 'public-key': ['/models/a.pub'] })).not.toThrow();
    expect(() => pull(['s3://models/a/', '/x'], { ...SIGSTORE, 'tuf-refresh': true })).not.toThrow();
  });
});
