// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Files, KEYS, leftovers, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { bindMount, CAN_MOUNT, IS_ROOT } from '../support/mounts.ts';
import { pullHere, startGate, until } from '../support/run.ts';
import { type ModelServer, serveModel } from '../support/servers.ts';

const files: Files = signed({ ...SMALL_MODEL, ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`many/${i}.bin`, `content ${i}`])) });
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };

let tmp: Scratch;
let server: ModelServer;
beforeAll(async () => {
  tmp = scratch();
  server = await serveModel(files);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

describe('a start that is killed at any moment', () => {
  /** Under final names stand verified files only; the next start makes a whole of them. */
  async function survives(to: string, parent: string, afterRequests: number): Promise<void> {
    server.seen.length = 0;
    const gate = startGate(['pull', server.url, to], { env });
    await until(() => server.seen.length >= afterRequests, `${afterRequests} requests`);
    gate.kill('SIGKILL');
    await gate.ended;
    const whole = treeFrom(files);
    for (const [name, what] of Object.entries(treeOf(to)).filter(([name]) => !name.startsWith('.model-gate-')))
      expect([name, what]).toEqual([name, whole[name]]);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(whole);
    expect(leftovers(parent)).toEqual([]);
  }

  test.each([1, 5, 30, 44])('where the directory can be renamed: after %i requests', async (afterRequests) => {
    const parent = tmp.at(`rename-${afterRequests}`);
    await survives(`${parent}/models`, parent, afterRequests);
  });

  test.runIf(CAN_MOUNT).each([1, 5, 30, 44])('on a mount point: after %i requests', async (afterRequests) => {
    const volume = tmp.at(`volume-${afterRequests}`);
    mkdirSync(volume);
    using _mount = bindMount(volume, tmp.at(`mount-${afterRequests}`));
    await survives(tmp.at(`mount-${afterRequests}`), volume, afterRequests);
  });
});

describe.runIf(IS_ROOT && CAN_MOUNT)('as PID 1, which has no default signal actions', () => {
  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('%s ends it with %i', async (signal, code) => {
    await using stalled = await serveModel(files);
    stalled.always(stalled.pathOf('model.sig'), { kind: 'silence' });
    const gate = startGate(['pull', stalled.url, tmp.at('pid1')], { env, wrapper: ['unshare', '--pid', '--fork'] });
    await until(() => stalled.seen.length > 0, 'the first request');
    const [inner = ''] = readFileSync(`/proc/${gate.pid}/task/${gate.pid}/children`, 'utf8').trim().split(' ');
    process.kill(Number(inner), signal);
    expect((await gate.ended).code).toBe(code);
  });
});
