// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { bundleOf, type Files, KEYS, leftovers, SMALL_MODEL, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { type Ended, pullHere, type RunOptions, runGate, verifyHere } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import { resourceOf, shardsOf, signResources } from '../support/signer.ts';

const tmp = fileScratch();
const fresh = tmp.fresh;

/** Pulls from a local directory; refused, and nothing is left. */
async function refused(files: Files, reason: string, options: RunOptions = {}): Promise<void> {
  const at = fresh();
  writeTree(`${at}/source`, files);
  const outcome = await pullHere([`${at}/source`, `${at}/to/models`], options);
  expect([outcome.reason, outcome.exitCode]).toEqual([reason, 1]);
  expect(treeOf(`${at}/to`)).toEqual({});
}

describe('a signed statement that plays with JavaScript', () => {
  const withMember = (where: 'statement' | 'predicate' | 'resource', json: string): Buffer =>
    signResources([resourceOf('a', 'x')], KEYS, {
      edit(statement) {
        const text = JSON.stringify(statement);
        const at = { statement: '{"_type"', predicate: '"predicate":{', resource: '"resources":[{' }[where];
        const insert = where === 'statement' ? `{${json},"_type"` : `${at}${json},`;
        return JSON.parse(text.replace(at, insert)) as unknown;
      },
    });

  test.each(['statement', 'predicate', 'resource'] as const)(
    'by members called __proto__ and constructor in the %s changes nothing but itself',
    async (where) => {
      const bundle = withMember(where, '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"hasOwnProperty":1,"toString":null');
      const at = fresh();
      writeTree(`${at}/source`, { a: 'x', 'model.sig': bundle });
      expect(await pullHere([`${at}/source`, `${at}/to`])).toMatchObject({ reason: 'OK' });
      expect({}).not.toHaveProperty('polluted');
    },
  );

  test('by files called __proto__, constructor and hasOwnProperty publishes exactly those', async () => {
    const files = signed({ constructor: 'a', hasOwnProperty: 'b', 'x/__proto__/y': 'c', toString: 'd' });
    const at = fresh();
    writeTree(`${at}/source`, files);
    expect(await pullHere([`${at}/source`, `${at}/to`])).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${at}/to`)).toEqual(treeFrom(files));
  });

  test.each([1e308, 2 ** 53, 0.5, -1, 0])('by the number %d where a size belongs is refused', async (size) => {
    const shards = shardsOf('w', Buffer.alloc(10), 10);
    await refused(
      { w: Buffer.alloc(10), 'model.sig': signResources(shards, KEYS, { serialization: { method: 'shards', shard_size: size } }) },
      'BUNDLE_MALFORMED',
    );
  });

  test.each(['w:0:9007199254740993', 'w:0:99999999999999999999', 'w:0:1e3', 'w:-1:10', 'w:0:0x10'])('by the range %s is refused', async (name) => {
    const bundle = signResources([{ ...resourceOf('w', Buffer.alloc(10)), name }], KEYS, { serialization: { method: 'shards', shard_size: 10 } });
    await refused({ w: Buffer.alloc(10), 'model.sig': bundle }, 'BUNDLE_MALFORMED');
  });

  test('by a size beyond every disk ends before anything is written', async () => {
    const size = 2 ** 52;
    const bundle = signResources([{ ...resourceOf('w', Buffer.alloc(10)), name: `w:0:${size}` }], KEYS, {
      serialization: { method: 'shards', shard_size: size },
    });
    const at = fresh();
    writeTree(`${at}/source`, { w: Buffer.alloc(10), 'model.sig': bundle });
    expect(await pullHere([`${at}/source`, `${at}/to/models`])).toMatchObject({ reason: 'NO_SPACE', exitCode: 4 });
    expect(existsSync(`${at}/to/models`)).toBe(false);
  });
});

describe('a file that is not what a file is', () => {
  test('by being sparse and endless is refused by its length, not read for hours', async () => {
    const at = fresh();
    writeTree(`${at}/source`, { 'model.sig': bundleOf({ 'w.bin': 'x' }), 'w.bin': '' });
    const fd = openSync(`${at}/source/w.bin`, 'w');
    ftruncateSync(fd, 2 ** 42);
    closeSync(fd);
    const start = performance.now();
    expect(await pullHere([`${at}/source`, `${at}/to/models`])).toMatchObject({ exitCode: expect.toSatisfy((code: number) => code === 1 || code === 4) });
    expect(await verifyHere(`${at}/source`)).toMatchObject({ reason: 'LIMIT_EXCEEDED', exitCode: 1 });
    expect(performance.now() - start).toBeLessThan(5000);
    expect(existsSync(`${at}/to/models`)).toBe(false);
  });

  // Only root may make one.
  test.skipIf(process.geteuid?.() !== 0)('but a device is neither opened nor read', async () => {
    const at = fresh();
    writeTree(`${at}/source`, { 'model.sig': bundleOf({ zero: 'x' }) });
    execFileSync('mknod', [`${at}/source/zero`, 'c', '1', '5']);
    expect(await pullHere([`${at}/source`, `${at}/to/models`])).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
    expect(await verifyHere(`${at}/source`)).toMatchObject({ reason: 'FILE_TYPE', exitCode: 1 });
    expect(existsSync(`${at}/to/models`)).toBe(false);
    rmSync(`${at}/source/zero`);
  });
});

describe('YAML that stands for gigabytes', () => {
  const BOMB = ['a: &a [x,x,x,x,x,x,x,x,x]', ...[...'bcdefghi'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)].join(
    '\n',
  );
  const DEEP = `${'['.repeat(50_000)}x`;

  test.each([
    ['aliases', BOMB],
    ['nesting', DEEP],
    ['a merge of itself', 'a: &a\n  <<: *a\n  b: c\n'],
    ['a tag', '!!js/function "x"'],
  ])('by %s is refused as configuration and as policy, soon', async (_, text) => {
    const at = fresh();
    writeTree(at, { 'file.yaml': text });
    for (const [flag, reason] of [
      ['--config', 'CONFIG_INVALID'],
      ['--policy', 'POLICY_INVALID'],
    ] as const) {
      const ended = await runGate(['pull', `${at}/absent`, `${at}/to`, flag, `${at}/file.yaml`], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
      expect({ code: ended.code, reason: ended.termination['reason'] }).toEqual({ code: 2, reason });
      expect(ended.ms).toBeLessThan(10_000);
    }
    expect(existsSync(`${at}/to`)).toBe(false);
  });
});

describe('a server that does not speak HTTP', () => {
  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a version that is none', 'HTTQ/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['a status that is none', 'HTTP/1.1 2x0 OK\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: x\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['nothing', ''],
    ['zeros', '\0'.repeat(100_000)],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}`],
  ])('but %s is no defect of ours: exit 3', async (_, answer) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(Buffer.from(answer, 'latin1')));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    try {
      const to = `${fresh()}/models`;
      for (const reader of ['auto', 'library']) {
        const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/m/`;
        // Retries with their pauses are of no interest here.
        const outcome = await pullHere([url, to], { flags: { 'http-reader': reader, 'stall-timeout': '1s' }, signal: AbortSignal.timeout(15_000) });
        expect([outcome.reason, outcome.exitCode]).not.toEqual(['INTERNAL', 70]);
        expect(outcome.exitCode).toBe(3);
      }
      expect(existsSync(to)).toBe(false);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('the environment of a pod', () => {
  const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
  const run = (args: readonly string[], more: Readonly<Record<string, string>>): Promise<Ended> => runGate(args, { env: { ...env, ...more } });

  test('cannot switch TLS verification off behind the plan’s back', async () => {
    const authority = await makeAuthority();
    await using server = await serveModel(signed(SMALL_MODEL), { tls: await issueServer(authority) });
    for (const args of [[], ['--http-reader', 'library']]) {
      const to = `${fresh()}/models`;
      const ended = await run(['pull', server.url, to, ...args], { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
      expect({ code: ended.code, reason: ended.termination['reason'] }).toEqual({ code: 3, reason: 'TLS_FAILED' });
      expect(existsSync(to)).toBe(false);
    }
  });

  test('cannot hold it up by a pipe in place of a report, a termination log, a netrc file or an AWS configuration', async () => {
    const at = fresh();
    writeTree(`${at}/source`, signed(SMALL_MODEL));
    execFileSync('mkfifo', [`${at}/pipe`]);
    const pipe = `${at}/pipe`;
    const ended = await run(['pull', `${at}/source`, `${at}/to`, '--report', pipe, '--termination-log', pipe], {});
    expect(ended.code).toBe(0);
    for (const args of [['--netrc-file'], ['--bearer-token-file'], ['--ca-bundle'], ['--config'], ['--bundle'], ['--public-key']]) {
      rmSync(pipe, { force: true });
      execFileSync('mkfifo', [pipe]);
      const stuck = await run(
        ['pull', 'http://127.0.0.1:9/m/', `${at}/to2`, ...args, pipe, '--timeout', '8s'],
        args[0] === '--public-key' ? { MODEL_GATE_PUBLIC_KEY: '' } : {},
      );
      expect([args, stuck.code === 2 || stuck.code === 3 || stuck.code === 1, stuck.ms < 8000]).toEqual([args, true, true]);
    }
    expect(leftovers(at)).toEqual([]);
  });

  test('does not show its secrets to other processes: no secret has to stand in argv', async () => {
    const at = fresh();
    writeTree(`${at}/source`, signed(SMALL_MODEL));
    writeFileSync(`${at}/token`, 's3cr3t');
    // What only a variable may hold is refused as a flag, before anybody could get used to it.
    const ended = await run(['sign', 'key', `${at}/source`, '--password', 's3cr3t'], {});
    expect(ended.code).toBe(2);
    expect(`${ended.stderr}${ended.terminationText}`).toContain('MODEL_GATE_PASSWORD');
    expect(`${ended.stderr}${ended.terminationText}`).not.toContain('s3cr3t');
  });
});
