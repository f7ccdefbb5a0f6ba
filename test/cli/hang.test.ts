// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { truncateSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEYS, type Scratch, scratch, signed, writeTree } from '../support/model.ts';
import { runGate, startGate, until } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const files = signed({ 'config.json': '{}' });

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
  execFileSync('mkfifo', [tmp.at('pipe')]);
});
afterAll(() => tmp[Symbol.dispose]());

/**
 * A network volume that hangs, as the process sees it: of the threads that serve the file system one waits in the kernel for ever (it opens a
 * pipe that nobody writes to). With one such thread all of them do.
 */
function hanging(threads: number, afterMs = 0) {
  const preload = `import{open}from'node:fs';setTimeout(()=>open(${JSON.stringify(tmp.at('pipe'))},'r',()=>{}),${afterMs})`;
  return {
    MODEL_GATE_PUBLIC_KEY: KEYS.publicPem,
    UV_THREADPOOL_SIZE: `${threads}`,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}`,
  };
}

describe('a process of which a thread hangs in the file system', () => {
  test('ends by --timeout with its reason in the termination message', async () => {
    await using server = await serveModel(files);
    server.always(server.pathOf('model.sig'), { kind: 'silence' });
    const ended = await runGate(['pull', server.url, tmp.at('models'), '--timeout', '1s'], { env: hanging(4) });
    expect(ended).toMatchObject({ code: 3, termination: { reason: 'SOURCE_TIMEOUT', exitCode: 3 } });
    expect(ended.ms).toBeLessThan(6000);
  });

  test('ends by --timeout even when no call returns any more, not even those that tell the reason', async () => {
    await using server = await serveModel(files);
    // The volume hangs while the bundle is waited for.
    server.next(server.pathOf('model.sig'), { kind: 'status', status: 503, headers: { 'retry-after': '1' } });
    const ended = await runGate(['pull', server.url, tmp.at('models'), '--timeout', '2s'], { env: hanging(1, 500) });
    expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining('SOURCE_TIMEOUT (exit 3)') });
    expect(ended.ms).toBeLessThan(6000);
  });

  test('ends by --timeout when it is a worker that hangs while it reads', async () => {
    // As long as is worth workers; nobody gets as far as its digest.
    writeTree(tmp.at('large'), signed({ 'weights.bin': '' }));
    truncateSync(tmp.at('large', 'weights.bin'), 600 * 1024 * 1024);
    const preload = `import{openSync}from'node:fs';import{isMainThread}from'node:worker_threads';if(!isMainThread)openSync(${JSON.stringify(tmp.at('pipe'))},'r')`;
    const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` };
    const ended = await runGate(['verify', tmp.at('large'), '--timeout', '1s'], { env });
    expect(ended).toMatchObject({ code: 3, termination: { reason: 'SOURCE_TIMEOUT', exitCode: 3 } });
    expect(ended.ms).toBeLessThan(6000);
  });

  test('ends by a signal', async () => {
    await using server = await serveModel(files);
    server.always(server.pathOf('model.sig'), { kind: 'silence' });
    const gate = startGate(['pull', server.url, tmp.at('models')], { env: hanging(4) });
    await until(() => gate.stderrSoFar() !== '', 'the first line of log');
    gate.kill('SIGTERM');
    expect(await gate.ended).toMatchObject({ code: 143 });
  });
});
