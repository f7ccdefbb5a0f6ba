// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { readSigningConfig } from '../../src/sign/services.ts';

const NOW = new Date('2026-06-01T00:00:00Z');

type Service = { url: string; majorApiVersion: number; validFor?: { start?: string; end?: string }; operator?: string };

function service(url: string, more: Partial<Service> = {}): Service {
  return { url: `https://${url}`, majorApiVersion: 1, validFor: { start: '2026-01-01T00:00:00Z' }, operator: url, ...more };
}

function read(change: Record<string, unknown> = {}) {
  const config = {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    caUrls: [service('ca')],
    rekorTlogUrls: [service('log')],
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [service('tsa-1/x'), service('tsa-2/x'), service('tsa-3/x')],
    tsaConfig: { selector: 'ANY' },
    ...change,
  };
  const { fulcio, logs, timestampAuthorities } = readSigningConfig(config, 'config.json', NOW);
  return { ca: fulcio.host, logs: logs.map(({ url, version }) => `${url.host} v${version}`), authorities: timestampAuthorities.map(({ host }) => host) };
}

const refused = (message: string) => expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) });

describe('a signing configuration', () => {
  it('names one authority, one log and one timestamp authority with ANY', () => {
    expect(read()).toEqual({ ca: 'ca', logs: ['log v1'], authorities: ['tsa-1'] });
  });

  it('names all or exactly as many as it says, of different operators', () => {
    expect(read({ tsaConfig: { selector: 'ALL' } }).authorities).toEqual(['tsa-1', 'tsa-2', 'tsa-3']);
    expect(read({ tsaConfig: { selector: 'EXACT', count: 2 } }).authorities).toEqual(['tsa-1', 'tsa-2']);
    expect(() => read({ tsaConfig: { selector: 'EXACT', count: 4 } })).toThrow(refused('4 of different operators are to be used, 3 are in service'));
    expect(() => read({ tsaConfig: { selector: 'EXACT' } })).toThrow(refused('no count'));
    const same = [service('a', { operator: 'x' }), service('b', { operator: 'x' })];
    expect(read({ tsaUrls: same, tsaConfig: { selector: 'ALL' } }).authorities).toEqual(['a']);
  });

  it('prefers the highest version that is spoken, then the newest', () => {
    const logs = [service('old'), service('new', { majorApiVersion: 2 }), service('next', { majorApiVersion: 3 })];
    expect(read({ rekorTlogUrls: logs }).logs).toEqual(['new v2']);
    const authorities = [service('old'), service('new', { validFor: { start: '2026-05-01T00:00:00Z' } })];
    expect(read({ caUrls: authorities }).ca).toBe('new');
  });

  it('counts only what is in service now', () => {
    const ended = service('ended', { validFor: { start: '2026-01-01T00:00:00Z', end: '2026-05-31T00:00:00Z' } });
    const coming = service('coming', { validFor: { start: '2026-06-02T00:00:00Z' } });
    expect(read({ rekorTlogUrls: [ended, coming, service('now')] }).logs).toEqual(['now v1']);
    expect(read({ rekorTlogUrls: [ended, { url: 'https://always', majorApiVersion: 1 }] }).logs).toEqual(['always v1']);
    expect(() => read({ rekorTlogUrls: [ended, coming] })).toThrow(refused('no transparency log'));
    expect(() => read({ caUrls: [ended] })).toThrow(refused('no certificate authority'));
    expect(read({ tsaUrls: [ended] }).authorities).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['of another version', { mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.1+json' }, 'version 0.2'],
    ['of another shape', { caUrls: 'x' }, 'config.json'],
    ['with an authority over plain http', { caUrls: [{ ...service('x'), url: 'http://ca.example.com' }] }, 'plain http'],
    ['with a log that has no URL', { rekorTlogUrls: [{ ...service('x'), url: 'ftp://log' }] }, 'http'],
    ['that would ask dozens', { tsaUrls: Array.from({ length: 20 }, (_, i) => service(`tsa-${i}`)), tsaConfig: { selector: 'ALL' } }, 'at most 8'],
  ])('%s is refused', (_what, change, message) => {
    expect(() => read(change)).toThrow(refused(message));
  });
});

describe('the services of a configuration', () => {
  const START = '2026-06-01T00:00:00Z';
  const many = (count: number): readonly Service[] => Array.from({ length: count }, (_, i) => service(`s${i}`));
  const exactly = (message: string) => expect.objectContaining({ code: 'CONFIG_INVALID', message });

  it.each<[string, Service['validFor'], boolean]>([
    ['from this moment on', { start: START }, true],
    ['from the next', { start: '2026-06-01T00:00:00.001Z' }, false],
    ['to this moment', { start: '2026-01-01T00:00:00Z', end: START }, true],
    ['to the one before', { start: '2026-01-01T00:00:00Z', end: '2026-05-31T23:59:59.999Z' }, false],
    ['without a beginning', { end: START }, true],
    ['without either', {}, true],
  ])('are in service %s: %j is %s', (_when, validFor, used) => {
    expect(read({ tsaUrls: [service('a', { validFor: validFor ?? {} })] }).authorities).toEqual(used ? ['a'] : []);
  });

  it.each<[string, string, number, readonly string[]]>([
    ['logs', 'rekorTlogUrls', 1, ['log']],
    ['logs', 'rekorTlogUrls', 2, ['log']],
    ['authorities', 'tsaUrls', 1, ['log']],
    ['authorities', 'tsaUrls', 2, []],
    ['authorities', 'tsaUrls', 0, []],
  ])('speak a version that is spoken here: %s (%s) of version %i', (kind, member, majorApiVersion, hosts) => {
    const found = read({ [member]: [service('log', { majorApiVersion })] });
    expect((kind === 'logs' ? found.logs : found.authorities).map((one) => one.split(' ')[0])).toEqual(hosts);
  });

  it('need a certificate authority and a log of such a version', () => {
    const wrong = (version: number): readonly Service[] => [service('x', { majorApiVersion: version })];
    expect(() => read({ caUrls: wrong(2) })).toThrow(exactly('config.json names no certificate authority that is in service'));
    expect(() => read({ caUrls: [] })).toThrow(exactly('config.json names no certificate authority that is in service'));
    for (const version of [0, 3])
      expect(() => read({ rekorTlogUrls: wrong(version) })).toThrow(exactly('config.json names no transparency log that is in service'));
  });

  it('are asked in the order of their version, then of their beginning, then of the file', () => {
    const logs = [
      { url: 'https://undated', majorApiVersion: 1, operator: 'undated' },
      service('endless', { validFor: {} }),
      service('old', { validFor: { start: '2025-01-01T00:00:00Z' } }),
      service('new', { validFor: { start: '2026-03-01T00:00:00Z' } }),
      service('same', { validFor: { start: '2026-03-01T00:00:00Z' } }),
      service('next', { majorApiVersion: 2, validFor: { start: '2024-01-01T00:00:00Z' } }),
    ];
    const all = read({ rekorTlogUrls: logs, rekorTlogConfig: { selector: 'ALL' } }).logs;
    expect(all).toEqual(['next v2', 'new v1', 'same v1', 'old v1', 'undated v1', 'endless v1']);
  });

  it('are one for each operator: the first in that order', () => {
    const logs = [
      service('a-old', { operator: 'a' }),
      service('b', { operator: 'b' }),
      service('a-new', { operator: 'a', majorApiVersion: 2 }),
      service('a-newer', { operator: 'a', validFor: { start: '2026-05-01T00:00:00Z' } }),
    ];
    expect(read({ rekorTlogUrls: logs, rekorTlogConfig: { selector: 'ALL' } }).logs).toEqual(['a-new v2', 'b v1']);
  });

  it.each<[string, Record<string, unknown> | undefined]>([
    ['without a selector', undefined],
    ['with ANY', { selector: 'ANY' }],
    ['with one that is undefined', { selector: 'SERVICE_SELECTOR_UNDEFINED' }],
    ['with ANY and a count', { selector: 'ANY', count: 3 }],
  ])('are one %s, or none where there is none', (_what, tsaConfig) => {
    expect(read({ tsaConfig }).authorities).toEqual(['tsa-1']);
    expect(read({ tsaConfig, tsaUrls: [] }).authorities).toEqual([]);
  });

  it('are eight at most', () => {
    expect(read({ tsaUrls: many(8), tsaConfig: { selector: 'ALL' } }).authorities).toHaveLength(8);
    expect(read({ tsaUrls: many(9), tsaConfig: { selector: 'EXACT', count: 8 } }).authorities).toHaveLength(8);
    expect(() => read({ tsaUrls: many(9), tsaConfig: { selector: 'ALL' } })).toThrow(
      exactly('config.json: timestamp authorities: 9 are to be used, at most 8 are supported'),
    );
    expect(() => read({ rekorTlogConfig: { selector: 'EXACT', count: 9 } })).toThrow(
      exactly('config.json: transparency logs: 9 are to be used, at most 8 are supported'),
    );
  });

  it('are as many as a count says', () => {
    const tsaConfig = (count: number) => ({ tsaConfig: { selector: 'EXACT', count } });
    expect(read(tsaConfig(1)).authorities).toEqual(['tsa-1']);
    expect(read(tsaConfig(3)).authorities).toEqual(['tsa-1', 'tsa-2', 'tsa-3']);
    const fewer = exactly('config.json: transparency logs: 2 of different operators are to be used, 1 are in service');
    expect(() => read({ rekorTlogConfig: { selector: 'EXACT', count: 2 } })).toThrow(fewer);
    const none = exactly('config.json: timestamp authorities: the selector EXACT has no count');
    for (const count of [0, -1]) expect(() => read(tsaConfig(count))).toThrow(none);
  });

  it('learn the identity token only over https, where they learn it', () => {
    const plain = (host: string): readonly unknown[] => [{ ...service(host), url: `http://${host}` }];
    expect(() => read({ caUrls: plain('ca.example.com') })).toThrow(refused('the certificate authority of config.json http://ca.example.com'));
    expect(read({ caUrls: plain('localhost') }).ca).toBe('localhost');
    expect(read({ rekorTlogUrls: plain('log.example.com'), tsaUrls: plain('tsa.example.com') })).toEqual({
      ca: 'ca',
      logs: ['log.example.com v1'],
      authorities: ['tsa.example.com'],
    });
  });

  it('are named where their URL is none', () => {
    const wrong = [{ ...service('x'), url: 'ftp://x' }];
    expect(() => read({ caUrls: wrong })).toThrow(refused("the certificate authority of config.json 'ftp://x'"));
    expect(() => read({ rekorTlogUrls: wrong })).toThrow(refused("the log of config.json 'ftp://x'"));
    expect(() => read({ tsaUrls: wrong })).toThrow(refused("the timestamp authority of config.json 'ftp://x'"));
  });

  it('are not read from another kind of file', () => {
    expect(() => read({ mediaType: undefined })).toThrow(
      expect.objectContaining({
        message: 'config.json is not a signing configuration of version 0.2',
        hint: 'Take the signing configuration from the operator of the Sigstore instance.',
      }),
    );
    const broken = [service('x', { validFor: { start: 'soon' } })].map((one) => ({ ...one, majorApiVersion: {} }));
    expect(() => read({ caUrls: broken })).toThrow(/config\.json/);
    expect(() => read({ rekorTlogConfig: { selector: 'SOME' } })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: 'config.json is not a usable signing configuration', cause: expect.any(Error) }),
    );
  });
});
