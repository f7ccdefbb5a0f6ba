// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { exposition } from '../../src/serve/metrics.ts';
import { serve } from '../../src/serve/server.ts';

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
