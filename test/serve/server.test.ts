// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { exposition } from '../../src/serve/metrics.ts';
import { serve } from '../../src/serve/server.ts';
import { Tally } from '../../src/serve/tally.ts';

const VIEW = { startup: true, ready: false, why: 'IO', metrics: () => 'm 1\n', page: () => Promise.reject(new Error('secret')) };

/** Everything that comes back for these bytes until the connection ends. */
async function exchange(bytes: string): Promise<string> {
  await using server = await serve({ port: 0, address: '127.0.0.1' }, () => VIEW);
  return await new Promise((done) => {
    let answer = '';
    const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', () => {});
    socket.on('close', () => done(answer));
  });
}

test.each<[string, string, RegExp]>([
  ['a probe', 'GET /startup HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nstarted\n$/],
  ['a probe of what is not', 'GET /ready?x=1 HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 503 [\s\S]*\r\n\r\nnot ready: IO\n$/],
  ['HEAD, without a body', 'HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n$/],
  ['another method', 'POST /ready HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1\.1 405 [\s\S]*allow: GET, HEAD/i],
  ['a body', 'GET /ready HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 413 /],
  ['a body announced', 'GET /ready HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n', /^HTTP\/1\.1 413 /],
  ['another path', 'GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 404 [\s\S]*\r\n\r\nnot found\n$/],
  ['a page that cannot be made, without telling why', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 500 (?![\s\S]*secret)/],
  ['one request only', 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 200 (?![\s\S]*HTTP\/1\.1)/],
  ['a head that is too large', `GET /${'a'.repeat(10_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, /^$/],
  ['what is no request', '\x16\x03\x01\x00\r\n\r\n', /^$/],
])('answers %s', async (_what, bytes, expected) => {
  expect(await exchange(bytes)).toMatch(expected);
});

test('escapes labels, so that no signer can write metrics of his own', () => {
  const text = exposition([{ name: 'a', type: 'gauge', help: 'b', samples: [{ labels: { c: 'x"} 1\na{c="\\' }, value: 1 }] }]);
  expect(text).toBe('# HELP a b\n# TYPE a gauge\na{c="x\\"} 1\\na{c=\\"\\\\"} 1\n');
});

describe('the metrics', () => {
  const tally = new Tally('1.2.3');
  const model = { files: 4, bytes: 110_019, signer: 'key a', method: 'key', digest: 'sha256:0' };
  const check = { trigger: 'start', verdict: 'verified', exitCode: 0, ms: 12, endedAt: new Date(), waived: ['FORMAT_DENIED'] as const, model };
  tally.checked(check);
  tally.checked({ ...check, reason: 'DIGEST_MISMATCH', exitCode: 1, verdict: 'refused' });
  const families = tally.families({ verified: true, ready: true, until: new Date() });

  // What `promtool check metrics` asks for, and the naming practices of Prometheus.
  test.each(families.map((family) => [family.name, family] as const))('%s has a conventional name and unit', (name, { type, help, samples }) => {
    expect(samples.length).toBeGreaterThan(0);
    expect(name).toMatch(/^(model_gate|process)(_[a-z]+)+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(name).not.toMatch(/_(gauge|counter|metric|milliseconds|ms|minutes|kib|mib|kilobytes|megabytes|count|sum|bucket)(_|$)/);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
    if (name.includes('timestamp')) expect(name).toMatch(/_timestamp_seconds$/);
    for (const { labels = {}, value } of samples) {
      expect(Object.keys(labels).every((label) => /^[a-z_]+$/.test(label) && !name.includes(`_by_${label}`))).toBe(true);
      if (name.endsWith('_info')) expect(value).toBe(1);
      else if (name.includes('duration')) expect(value).toBe(0.012);
    }
  });

  test('have each name once', () => {
    expect(new Set(families.map(({ name }) => name)).size).toBe(families.length);
  });
});
