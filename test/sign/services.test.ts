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
