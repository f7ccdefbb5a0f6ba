// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { PLAIN_FORMATS } from '../../src/plan/formats.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makeDigestPlan, makeInspectPlan, makeReportPlan, makeScanPlan, makeSignPlan } from '../../src/plan/makeTool.ts';
import { makeWatchPlan } from '../../src/plan/makeWatch.ts';
import type { Command, OptionName, Values } from '../../src/plan/options.ts';
import { refused } from '../oms/payload.ts';

// Plans of the commands beside the gate, and of watch.

type Flags = { readonly [K in OptionName]?: unknown };
type Environment = Readonly<Record<string, string>>;

function values(command: Command, flags: Flags, env: Environment = {}): Values {
  return resolveOptions(command, { flags, env, file: undefined }).values;
}

const sign = (words: readonly string[], flags: Flags = {}, env: Environment = {}) => makeSignPlan(words, values('sign', flags, env));
const watch = (flags: Flags = {}, words: readonly string[] = ['/model']) => makeWatchPlan(words, values('watch', { 'public-key': ['k.pub'], ...flags }));
const usage = (message: RegExp): unknown => refused('USAGE', message);
const contradiction = (message: RegExp): unknown => refused('PLAN_CONTRADICTION', message);
const invalid = (message: RegExp): unknown => refused('CONFIG_INVALID', message);
const file = (path: string) => ({ kind: 'file', path });
const KEY: Flags = { 'private-key': 'key.pem' };
const CERTIFICATE: Flags = { ...KEY, 'signing-certificate': 'cert.pem' };
const PEM = '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----';

describe('sign', () => {
  it('needs a method and one local path', () => {
    expect(() => sign([])).toThrow(usage(/^sign needs a method before the path: sign key, sign certificate or sign sigstore$/));
    expect(() => sign(['model', '/m'])).toThrow(usage(/got 'model'$/));
    expect(() => sign(['key'], KEY)).toThrow(usage(/sign needs one path, got 0/));
    expect(() => sign(['key', '/a', '/b'], KEY)).toThrow(usage(/sign needs one path, got 2/));
    expect(() => sign(['key', 's3://bucket/m/'], KEY)).toThrow(usage(/sign works on local files, not on s3:\/\/bucket\/m\//));
  });

  it('has defaults that the specification asks for', () => {
    const plan = sign(['key', '/m'], KEY);
    expect(plan).toMatchObject({
      command: 'sign',
      model: { uri: '/m', spec: { kind: 'file', path: '/m' } },
      algorithm: 'sha256',
      ignorePaths: [],
      ignoreGitPaths: true,
      symlinks: 'reject',
      bundle: { kind: 'customary' },
      singleFile: 'basename',
      limits: { entries: 1_000_000, fileBytes: 2 ** 40 },
    });
    expect(plan.signer).toStrictEqual({ kind: 'key', privateKey: file('key.pem') });
    for (const name of ['shardSizeBytes', 'timestampUrl', 'timeoutMs']) expect(plan).not.toHaveProperty(name);
  });

  it('carries what was asked', () => {
    const flags: Flags = {
      ...KEY,
      hash: 'blake2b',
      'shard-size': '1MiB',
      'ignore-paths': ['./x/'],
      'ignore-git-paths': false,
      'allow-symlinks': true,
      signature: '/out/m.sig',
      'timestamp-url': 'http://tsa.example.com/ts',
      timeout: '5m',
      'max-entries': '5',
      'max-file-size': '1MiB',
    };
    expect(sign(['key', '/m'], flags)).toMatchObject({
      algorithm: 'blake2b',
      shardSizeBytes: 2 ** 20,
      ignorePaths: ['x'],
      ignoreGitPaths: false,
      symlinks: 'follow',
      bundle: { kind: 'path', path: '/out/m.sig' },
      timestampUrl: new URL('http://tsa.example.com/ts'),
      timeoutMs: 300_000,
      limits: { entries: 5, fileBytes: 2 ** 20 },
    });
    expect(() => sign(['key', '/m'], { ...KEY, 'timestamp-url': 'ftp://x' })).toThrow(invalid(/--timestamp-url/));
  });

  it('with a key takes it and its password from a file or as text, each from one place', () => {
    expect(sign(['key', '/m'], { ...KEY, 'password-file': 'pass' }).signer).toStrictEqual({ kind: 'key', privateKey: file('key.pem'), password: file('pass') });
    expect(sign(['key', '/m'], {}, { MODEL_GATE_PRIVATE_KEY: PEM, MODEL_GATE_PASSWORD: 'secret' }).signer).toStrictEqual({
      kind: 'key',
      privateKey: { kind: 'text', text: PEM },
      password: { kind: 'text', text: 'secret' },
    });
    expect(sign(['key', '/m'], { 'private-key': 'file:///k.pem' }).signer).toMatchObject({ privateKey: file('/k.pem') });
    expect(() => sign(['key', '/m'], { ...KEY, 'password-file': 'pass' }, { MODEL_GATE_PASSWORD: 'secret' })).toThrow(
      contradiction(/^both --password-file and MODEL_GATE_PASSWORD are given; give one$/),
    );
    expect(() => sign(['key', '/m'])).toThrow(usage(/^sign key needs --private-key$/));
    for (const url of ['https://u:secret@h/k.pem', 'S3://bucket/k.pem'])
      expect(() => sign(['key', '/m'], { 'private-key': url })).toThrow(invalid(/^(?!.*secret)--private-key takes a file or PEM text, not /));
  });

  it('with a key puts no certificates into the bundle', () => {
    for (const more of [{ 'signing-certificate': 'c.pem' }, { 'certificate-chain': ['c.pem'] }])
      expect(() => sign(['key', '/m'], { ...KEY, ...more })).toThrow(contradiction(/sign key puts no certificates into the bundle/));
  });

  it('with a certificate needs it, and may have a chain', () => {
    expect(() => sign(['certificate', '/m'], KEY)).toThrow(usage(/^sign certificate needs --signing-certificate$/));
    expect(() => sign(['certificate', '/m'], { 'signing-certificate': 'c.pem' })).toThrow(usage(/^sign certificate needs --private-key$/));
    expect(sign(['certificate', '/m'], { ...CERTIFICATE, 'certificate-chain': ['a.pem', 'b.pem'] }).signer).toStrictEqual({
      kind: 'certificate',
      privateKey: file('key.pem'),
      certificate: file('cert.pem'),
      chain: [file('a.pem'), file('b.pem')],
    });
    for (const name of ['signing-certificate', 'certificate-chain'] as const) {
      const remote = { ...CERTIFICATE, [name]: name === 'certificate-chain' ? ['https://h/c.pem'] : 'https://h/c.pem' };
      expect(() => sign(['certificate', '/m'], remote)).toThrow(invalid(new RegExp(`--${name} takes a file`)));
    }
  });

  it.each<[string, Flags]>([
    ['key', { 'identity-token-file': 't' }],
    ['key', { 'fulcio-url': 'https://f' }],
    ['certificate', { 'rekor-url': 'https://r' }],
    ['certificate', { 'signing-config': 'c' }],
    ['key', { 'trusted-root': 'r' }],
    ['key', { 'trust-config': 'c' }],
    ['sigstore', { 'private-key': 'k' }],
    ['sigstore', { 'password-file': 'p' }],
    ['sigstore', { 'signing-certificate': 'c' }],
    ['sigstore', { 'certificate-chain': ['c'] }],
  ])('with %s refuses options of another method (%j)', (method, stray) => {
    const own = { key: KEY, certificate: CERTIFICATE, sigstore: {} }[method] ?? {};
    expect(() => sign([method, '/m'], { ...own, ...stray })).toThrow(
      contradiction(new RegExp(`^--${Object.keys(stray)[0]} has no meaning for sign ${method}$`)),
    );
  });
});

describe('sign keyless', () => {
  const keyless = (flags: Flags = {}, env: Environment = {}) => sign(['sigstore', '/m'], flags, env).signer;

  it('asks the public instance unless told otherwise, and verifies with its root', () => {
    expect(keyless()).toStrictEqual({
      kind: 'sigstore',
      token: { ambient: 'use', audience: 'sigstore' },
      services: { kind: 'urls', fulcio: new URL('https://fulcio.sigstore.dev'), rekor: new URL('https://rekor.sigstore.dev') },
      root: { kind: 'embedded' },
    });
  });

  it('takes the token from a file or a variable, for an audience', () => {
    expect(keyless({ 'identity-token-file': 't', 'token-audience': 'mine' })).toMatchObject({ token: { given: file('t'), audience: 'mine' } });
    expect(keyless({}, { MODEL_GATE_IDENTITY_TOKEN: 'a.b.c' })).toMatchObject({ token: { given: { kind: 'text', text: 'a.b.c' } } });
    expect(() => keyless({ 'identity-token-file': 't' }, { MODEL_GATE_IDENTITY_TOKEN: 'a.b.c' })).toThrow(contradiction(/both --identity-token-file and/));
  });

  it('takes services from two addresses of one instance, or from one file', () => {
    const urls = { 'fulcio-url': 'https://f.example.com', 'rekor-url': 'https://r.example.com' };
    expect(keyless(urls)).toStrictEqual({
      kind: 'sigstore',
      token: { ambient: 'use', audience: 'sigstore' },
      services: { kind: 'urls', fulcio: new URL('https://f.example.com'), rekor: new URL('https://r.example.com') },
    });
    expect(keyless({ 'signing-config': 's.json' })).toMatchObject({ services: { kind: 'signing-config', ref: file('s.json') } });
    expect(keyless({ 'signing-config': 's.json' })).not.toHaveProperty('root');
    expect(keyless({ 'trust-config': 't.json' })).toMatchObject({
      services: { kind: 'trust-config', ref: file('t.json') },
      root: { kind: 'trust-config', ref: file('t.json') },
    });
    expect(keyless({ 'trusted-root': 'r.json' })).toMatchObject({ root: { kind: 'trusted-root', ref: file('r.json') } });
    for (const half of [{ 'fulcio-url': 'https://f' }, { 'rekor-url': 'https://r' }])
      expect(() => keyless(half)).toThrow(contradiction(/--fulcio-url and --rekor-url belong to one instance: give both/));
    expect(() => keyless({ ...urls, 'signing-config': 's' })).toThrow(contradiction(/given by --fulcio-url or --rekor-url and --signing-config; give one/));
    expect(() => keyless({ 'rekor-url': 'https://r', 'trust-config': 't' })).toThrow(contradiction(/--fulcio-url or --rekor-url and --trust-config/));
    expect(() => keyless({ 'signing-config': 's', 'trust-config': 't' })).toThrow(contradiction(/--signing-config and --trust-config/));
    expect(() => keyless({ 'trusted-root': 'r', 'trust-config': 't' })).toThrow(
      contradiction(/the trusted root is given by --trusted-root and --trust-config/),
    );
  });

  it('sends the token nowhere in the clear', () => {
    expect(() => keyless({ 'fulcio-url': 'http://f.example.com', 'rekor-url': 'http://r.example.com' })).toThrow(invalid(/--fulcio-url.*plain http/));
    expect(() => keyless({ 'fulcio-url': 'https://f.example.com', 'rekor-url': 'http://r.example.com' })).not.toThrow();
  });
});

describe('digest, inspect, scan and report', () => {
  it('take one thing each', () => {
    for (const words of [[], ['/a', '/b']]) {
      expect(() => makeDigestPlan(words, values('digest', {}))).toThrow(usage(new RegExp(`digest needs one path, got ${words.length}`)));
      expect(() => makeInspectPlan(words, values('inspect', {}))).toThrow(usage(new RegExp(`inspect needs one bundle, got ${words.length}`)));
      expect(() => makeScanPlan(words, values('scan', {}))).toThrow(usage(new RegExp(`scan needs one path, got ${words.length}`)));
      expect(() => makeReportPlan(words, values('report', {}))).toThrow(usage(new RegExp(`report needs one file, got ${words.length}`)));
    }
    expect(() => makeScanPlan(['https://h/m'], values('scan', {}))).toThrow(usage(/scan works on local files/));
  });

  it('digest measures as sign does', () => {
    expect(makeDigestPlan(['/m'], values('digest', { json: true, hash: 'blake3' }))).toMatchObject({ command: 'digest', json: true, algorithm: 'blake3' });
    expect(makeDigestPlan(['/m'], values('digest', {}))).toMatchObject({ json: false, algorithm: 'sha256' });
  });

  it('inspect believes nothing unless told whom to trust', () => {
    const plain = makeInspectPlan(['s3://bucket/m.sig'], values('inspect', {}));
    expect(plain).toMatchObject({
      command: 'inspect',
      bundle: { uri: 's3://bucket/m.sig', spec: { kind: 's3' } },
      json: false,
      limits: { bundleBytes: 64 * 2 ** 20, entries: 1_000_000 },
    });
    for (const name of ['trust', 'timeoutMs']) expect(plain).not.toHaveProperty(name);
    const ways: readonly [Flags, string][] = [
      [{ 'public-key': ['k'] }, 'key'],
      [{ ca: ['c'] }, 'certificate'],
      [{ 'certificate-chain': ['c'] }, 'certificate'],
      [{ identity: ['a'], issuer: ['i'] }, 'sigstore'],
      [{ 'identity-regexp': ['a'], issuer: ['i'] }, 'sigstore'],
    ];
    for (const [flags, kind] of ways)
      expect(makeInspectPlan(['m.sig'], values('inspect', { ...flags, json: true, timeout: '1s' }))).toMatchObject({
        trust: { kind },
        json: true,
        timeoutMs: 1000,
      });
    expect(() => makeInspectPlan(['m.sig'], values('inspect', { issuer: ['i'] }))).toThrow(invalid(/--issuer needs --identity/));
  });

  it('scan allows plain formats unless told otherwise', () => {
    const plain = makeScanPlan(['/m'], values('scan', {}));
    expect(plain).toMatchObject({
      command: 'scan',
      formats: { allow: PLAIN_FORMATS, rules: {} },
      ignorePaths: [],
      ignoreGitPaths: true,
      json: false,
      limits: { entries: 1_000_000 },
    });
    expect(plain).not.toHaveProperty('timeoutMs');
    const flags: Flags = {
      'allow-formats': 'json',
      format: ['pickle=warn'],
      'ignore-paths': ['x'],
      'ignore-git-paths': false,
      json: true,
      timeout: '1s',
      'max-entries': '7',
    };
    expect(makeScanPlan(['/m'], values('scan', flags))).toMatchObject({
      formats: { allow: ['json'], rules: { pickle: 'warn' } },
      ignorePaths: ['x'],
      ignoreGitPaths: false,
      json: true,
      timeoutMs: 1000,
      limits: { entries: 7 },
    });
  });

  it('report is text unless a page is asked for', () => {
    expect(makeReportPlan(['r.json'], values('report', {}))).toStrictEqual({ command: 'report', path: 'r.json', form: 'text' });
    expect(makeReportPlan(['r.json'], values('report', { html: true, output: 'r.html', timeout: '1s' }))).toStrictEqual({
      command: 'report',
      path: 'r.json',
      form: 'html',
      output: 'r.html',
      timeoutMs: 1000,
    });
  });
});

describe('watch', () => {
  it('takes one path, and checks as verify does', () => {
    expect(watch()).toMatchObject({ command: 'watch', check: { command: 'verify', model: { uri: '/model' }, trust: { kind: 'key' } } });
    for (const words of [[], ['/a', '/b']]) expect(() => watch({}, words)).toThrow(usage(new RegExp(`watch needs one path, got ${words.length}`)));
  });

  it('has settings for how often, and what follows', () => {
    expect(watch()).toMatchObject({ onFailure: { kind: 'unready' }, readiness: 'current', share: { of: 1, parts: 1 } });
    const flags: Flags = {
      interval: '1h',
      share: '1/10',
      'poll-interval': '5s',
      grace: '1m',
      'sticky-readiness': true,
      'health-port': '9000',
      'health-address': '::1',
    };
    expect(watch(flags)).toMatchObject({
      intervalMs: 3_600_000,
      share: { of: 1, parts: 10 },
      pollMs: 5000,
      graceMs: 60_000,
      readiness: 'sticky',
      health: { port: 9000, address: '::1' },
    });
    expect(watch({ 'on-failure': 'exit', 'max-failures': '3' })).toMatchObject({ onFailure: { kind: 'exit', failures: 3 } });
    expect(watch({ 'on-failure': 'exit' })).toMatchObject({ onFailure: { kind: 'exit', failures: 1 } });
    expect(watch({ 'on-failure': 'gate-file', 'gate-file': '/run/gate' })).toMatchObject({ onFailure: { kind: 'gateFile', path: '/run/gate' } });
  });

  it.each(['0/1', '2/1', '1/100001', '1', '1/', '/1', '1/1/1', '1/1234567', 'a1/10', '1/10b', ''])('refuses the share %j', (share) => {
    const message = share === '' ? /--share/ : /is not a share such as 1\/10/;
    expect(() => watch({ share })).toThrow(invalid(message));
  });

  it('takes the smallest and the largest share, and ports to 65535', () => {
    expect(watch({ share: '100000/100000' })).toMatchObject({ share: { of: 100_000, parts: 100_000 } });
    expect(watch({ 'health-port': '65535' })).toMatchObject({ health: { port: 65_535 } });
    expect(() => watch({ 'health-port': '65536' })).toThrow(invalid(/--health-port must be from 1 to 65535/));
  });

  it('refuses what belongs to another way of failing', () => {
    expect(() => watch({ 'gate-file': '/run/gate' })).toThrow(contradiction(/--gate-file belongs to --on-failure gate-file/));
    expect(() => watch({ 'max-failures': '3' })).toThrow(contradiction(/--max-failures belongs to --on-failure exit/));
    expect(() => watch({ 'on-failure': 'gate-file' })).toThrow(invalid(/--on-failure gate-file needs --gate-file/));
  });

  it('keeps its gate file out of the model', () => {
    const at = (path: string) => watch({ 'on-failure': 'gate-file', 'gate-file': path });
    for (const path of ['/model/gate', '/model/./x/gate', '/other/../model/gate', '/model'])
      expect(() => at(path)).toThrow(contradiction(/--gate-file lies in the model/));
    for (const path of ['/model2/gate', '/models', '/run/model/gate']) expect(() => at(path)).not.toThrow();
    expect(() => watch({ 'on-failure': 'gate-file', 'gate-file': '/model/gate' }, ['/model/'])).toThrow(contradiction(/lies in the model/));
  });
});
