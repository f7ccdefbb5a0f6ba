// SPDX-License-Identifier: Apache-2.0
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeToken, PATHS, type SigstoreServer, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { type Scratch, SMALL_MODEL, scratch, writeTree } from '../support/model.ts';
import { type Ended, runGate } from '../support/run.ts';

// Keyless signing as a process, under both names: words, exit codes, and the token in none of the output.

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const SUBJECT = 'https://ci.example.com/models/release';
const ISSUER = 'https://issuer.example.com';

let server: SigstoreServer;
let space: Scratch;
let token: string;

beforeAll(async () => {
  server = await startSigstoreServer();
});
afterAll(() => server[Symbol.asyncDispose]());

beforeEach(() => {
  server.reset();
  space = scratch();
  token = makeToken();
  writeTree(space.at('model'), SMALL_MODEL);
  writeFileSync(space.at('trust.json'), JSON.stringify(server.trustConfig()));
  writeFileSync(space.at('token'), token);
  for (const name of ['model_signing', 'model-gate']) symlinkSync(MAIN, space.at(name));
});
afterEach(() => space[Symbol.dispose]());

/** Fails when any part of the token gets out. */
async function run(name: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const ended = await runGate(args, { entry: space.at(name), cwd: space.path, env });
  for (const part of token.split('.')) expect(ended.stdout + ended.stderr).not.toContain(part);
  return ended;
}

const gate = (args: readonly string[], env?: Record<string, string>) =>
  run('model-gate', ['sign', 'sigstore', 'model', '--signature', 'model.sig', '--trust-config', 'trust.json', ...args], env);
const dropIn = (args: readonly string[], env?: Record<string, string>) => run('model_signing', ['sign', 'model', '--trust_config', 'trust.json', ...args], env);
const verify = async () => {
  const flags = ['--signature', 'model.sig', '--identity', SUBJECT, '--identity_provider', ISSUER, '--trust_config', 'trust.json', 'model'];
  return (await run('model_signing', ['verify', ...flags])).code;
};

describe('model-gate sign sigstore', () => {
  test('prints the root digest, and tells who signed', async () => {
    const ended = await gate(['--identity-token-file', 'token']);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/), stderr: expect.stringContaining(SUBJECT) });
    expect(await verify()).toBe(0);
  });

  test.each<[string, number, Record<string, string>]>([
    ['there is no token', 3, {}],
    ['the token has expired', 3, { SIGSTORE_ID_TOKEN: makeToken({ exp: 1 }) }],
  ])('ends with its exit code when %s', async (_what, code, env) => {
    expect(await gate([], env)).toMatchObject({ code, stdout: '', stderr: expect.stringContaining('CREDENTIALS_MISSING') });
    expect(existsSync(space.at('model.sig'))).toBe(false);
  });

  test('does not show the token in its plan', async () => {
    const ended = await gate(['--dry-run'], { MODEL_GATE_IDENTITY_TOKEN: token });
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('by sigstore') });
    expect(server.seen).toEqual([]);
  });

  test('ends with 3 when a service fails, and repeats nothing of the token', async () => {
    server.misbehave(PATHS.fulcio, ({ body }) => ({ status: 400, body: JSON.stringify({ message: body.toString() }) }));
    expect(await gate(['--identity-token-file', 'token'])).toMatchObject({ code: 3, stderr: expect.stringContaining('SIGNING_SERVICE_FAILED') });
    expect(existsSync(space.at('model.sig'))).toBe(false);
  });
});

describe('model_signing sign sigstore', () => {
  test('signs with a token given as a flag, in the words people look for', async () => {
    expect(await dropIn(['--identity_token', token])).toMatchObject({ code: 0, stdout: 'Signing succeeded\n', stderr: '' });
    expect(await verify()).toBe(0);
  });

  test('takes what the CI job provides only when told to', async () => {
    const env = { SIGSTORE_ID_TOKEN: token };
    expect(await dropIn([], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('no browser to log in with') });
    expect(existsSync(space.at('model.sig'))).toBe(false);
    expect((await dropIn(['--use_ambient_credentials', '--client_id', 'models', '--client_secret', 'x', '--oauth_force_oob'], env)).code).toBe(0);
    expect(await verify()).toBe(0);
  });

  test.each<[string, readonly string[], number]>([
    ['the staging instance is asked for', ['--use_staging', '--identity_token', makeToken()], 1],
    ['the token is nonsense', ['--identity_token', 'x'], 1],
    ['the flag belongs to another method', ['--private_key', 'x'], 2],
  ])('ends with its exit code when %s', async (_what, args, code) => {
    expect((await dropIn(args)).code).toBe(code);
    expect(existsSync(space.at('model.sig'))).toBe(false);
  });
});
