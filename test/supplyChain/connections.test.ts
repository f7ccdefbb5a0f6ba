// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, writeTree } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
  // Every socket of every thread goes through this function of Node, whatever library opens it.
  const recorder = `import { appendFileSync } from 'node:fs'; import { Socket } from 'node:net';
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  appendFileSync(process.env.CONNECTIONS, (options.path ?? options.host + ':' + options.port) + '\\n');
  return connect.apply(this, args);
};`;
  writeTree(tmp.path, {
    'recorder.mjs': recorder,
    'key.pem': KEYS.publicPem,
    ...Object.fromEntries(Object.entries(signed(SMALL_MODEL)).map(([name, body]) => [`model/${name}`, body])),
  });
});
afterAll(() => tmp[Symbol.dispose]());

async function connectionsOf(name: string, args: readonly string[]): Promise<{ code: unknown; to: readonly string[] }> {
  const log = tmp.at(name);
  const { code } = await runGate(args, { env: { NODE_OPTIONS: `--import=${tmp.at('recorder.mjs')}`, CONNECTIONS: log } });
  return { code, to: existsSync(log) ? [...new Set(readFileSync(log, 'utf8').trim().split('\n'))] : [] };
}

test('a pull connects to its source and to nothing else', async () => {
  await using server = await serveModel(signed(SMALL_MODEL));
  const found = await connectionsOf('pull.log', ['pull', server.url, tmp.at('to'), '--public-key', tmp.at('key.pem')]);
  expect(found).toEqual({ code: 0, to: [new URL(server.url).host] });
});

test('a verify, also of a keyless identity with the embedded root, connects to nothing', async () => {
  expect(await connectionsOf('verify.log', ['verify', tmp.at('model'), '--public-key', tmp.at('key.pem')])).toEqual({ code: 0, to: [] });
  const keyless = ['verify', tmp.at('model'), '--identity', 'a@example.com', '--issuer', 'https://issuer.example.com'];
  expect(await connectionsOf('keyless.log', keyless)).toEqual({ code: 1, to: [] });
});
