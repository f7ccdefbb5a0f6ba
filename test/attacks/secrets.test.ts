// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { serialiseError } from '../../src/base/errors.ts';
import { runProgram } from '../../src/cli/program.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { type Files, KEYS, SMALL_MODEL, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { type Ended, type ProcessOptions, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const SECRET = 'sv-2024-sig-TopSecretValue';
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
const files = signed(SMALL_MODEL);

const tmp = fileScratch();
const fresh = (): string => `${tmp.fresh()}/models`;

/** Whatever the program says anywhere. */
async function saying(args: readonly string[], options: ProcessOptions = {}): Promise<Ended> {
  const ended = await runGate(args, { ...options, env: { ...env, ...options.env } });
  for (const [where, text] of Object.entries({ ...ended, report: JSON.stringify(ended.report) }))
    expect([where, String(text).includes(SECRET)]).toEqual([where, false]);
  return ended;
}

describe('a secret', () => {
  test('in the query of the base URL goes with every request and into no output, pass or fail', async () => {
    await using server = await serveModel(files);
    const to = fresh();
    const base = `${server.url}?sig=${SECRET}&se=2027`;
    expect((await saying(['pull', base, to])).code).toBe(0);
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(server.seen.every(({ url }) => url.endsWith(`?sig=${SECRET}&se=2027`))).toBe(true);

    const broken: readonly [Files, string][] = [
      [{ ...files, 'config.json': 'tampered' }, 'DIGEST_MISMATCH'],
      [{}, 'UNSIGNED'],
    ];
    for (const [model, reason] of broken) {
      server.files.clear();
      for (const [name, body] of Object.entries(model)) server.files.set(server.pathOf(name), Buffer.from(body));
      expect((await saying(['pull', base, fresh(), '--log-format', 'json'])).termination['reason']).toBe(reason);
    }
    server.always(server.pathOf('model.sig'), { kind: 'status', status: 400, body: `bad signature ${SECRET}` });
    expect((await saying(['pull', base, fresh()])).code).toBe(3);
  });

  test('in headers, in a presigned URL and in the bundle’s URL goes into no output', async () => {
    await using server = await serveModel({ 'model.bin': 'x' });
    const args = ['pull', `${server.url}model.bin?X-Amz-Signature=${SECRET}`, fresh(), '--bundle', `${server.url}model.bin.sig?sig=${SECRET}`];
    expect((await saying([...args, '--header', `X-Token: ${SECRET}`])).termination).toMatchObject({ reason: 'UNSIGNED' });
    expect((await saying([...args, '--header', `X-Token: ${SECRET}`, '--dry-run'])).stdout).toContain('<redacted>');
    expect((await saying([...args, '--header', `X-Token ${SECRET}`])).code).toBe(2);
  });

  test('in user info or a wrong URI goes into no message', async () => {
    const host = { env, signal: new AbortController().signal, signalName: () => undefined };
    for (const args of [
      [`https://user:${SECRET}@127.0.0.1:1/m/`, fresh()],
      [`gopher://user:${SECRET}@127.0.0.1/m/?x=${SECRET}`, fresh()],
      ['a', 'b', `https://127.0.0.1/m/?x=${SECRET}`],
      [`https://127.0.0.1/m/?X-Amz-Signature=${SECRET}`, fresh()],
    ]) {
      const error = await runProgram(['pull', ...args], host).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: expect.stringMatching(/^(CONFIG_INVALID|USAGE|PLAN_CONTRADICTION)$/) });
      expect(JSON.stringify(serialiseError(error))).not.toContain(SECRET);
    }
  });

  test('of S3 goes into no output', async () => {
    await using server = await startS3Server({ buckets: { models: {} }, keys: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'another' } });
    const ended = await saying(['pull', 's3://models/v1/', fresh()], {
      env: {
        AWS_ENDPOINT_URL: server.origin,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
        AWS_SECRET_ACCESS_KEY: SECRET,
        AWS_SESSION_TOKEN: SECRET,
      },
    });
    expect(ended).toMatchObject({ code: 3, termination: { reason: 'SOURCE_DENIED' } });
    expect(`${ended.stderr}${ended.terminationText}${JSON.stringify(ended.report)}`).not.toMatch(/X-Amz-|AKIDEXAMPLE/);
  });

  test('of a bearer token file goes into no output, however it is misused', async () => {
    await using server = await serveModel(files);
    const at = fresh();
    writeTree(at, { token: `${SECRET}\nand a second line` });
    const ended = await saying(['pull', server.url, fresh(), '--bearer-token-file', `${at}/token`]);
    expect(ended.code).not.toBe(0);
    writeTree(at, { token: SECRET });
    expect((await saying(['pull', server.url, fresh(), '--bearer-token-file', `${at}/token`])).code).toBe(0);
    expect(server.seen.at(-1)?.headers.authorization).toBe(`Bearer ${SECRET}`);
  });
});
