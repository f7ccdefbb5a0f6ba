// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { limitMemory } from '../support/controlGroup.ts';
import { KEYS, scratch } from '../support/model.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/main.js');
const PORT = 19_464;

test('watch keeps 10,000 files in a memory limit of 128 MiB, its page included', async () => {
  using tmp = scratch();
  for (let i = 0; i < 100; i++) {
    mkdirSync(tmp.at(`model/${i}`), { recursive: true });
    for (let j = 0; j < 100; j++) writeFileSync(tmp.at(`model/${i}/${j}.bin`), randomBytes(4096));
  }
  writeFileSync(tmp.at('key.pem'), KEYS.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const signing = spawn(process.execPath, [PROGRAM, 'sign', 'key', tmp.at('model'), '--private-key', tmp.at('key.pem')], { stdio: 'ignore' });
  expect(await once(signing, 'exit')).toEqual([0, null]);

  using limit = limitMemory(128 * 1024 * 1024);
  if (limit === undefined) throw new Error('no memory control group can be made here: that takes root');
  const flags = ['--health-port', `${PORT}`, '--health-address', '127.0.0.1', '--interval', '5s', '--termination-log', tmp.at('message')];
  const [command, ...args] = limit.wrapper;
  const watch = spawn(command, [...args, process.execPath, PROGRAM, 'watch', tmp.at('model'), ...flags], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], MODEL_GATE_PUBLIC_KEY: KEYS.publicPem },
  });
  const ended = once(watch, 'exit');
  try {
    await answers200('/startup');
    const rounds = async (): Promise<number> =>
      Number(/^model_gate_checks_total\{trigger="interval",verdict="verified"\} (\d+)$/m.exec(await text('/metrics'))?.[1] ?? 0);
    for (const deadline = Date.now() + 60_000; (await rounds()) < 2; await sleep(200)) expect(Date.now()).toBeLessThan(deadline);
    expect(await text('/')).toContain('Verified');
    await answers200('/ready');
  } finally {
    watch.kill('SIGTERM');
  }
  // The kernel would have ended it with SIGKILL.
  expect(await ended).toEqual([0, null]);
});

async function answers200(path: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    const answer = await fetch(`http://127.0.0.1:${PORT}${path}`).catch(() => undefined);
    if (answer?.status === 200) return;
    expect(Date.now()).toBeLessThan(deadline);
  }
}

async function text(path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${PORT}${path}`)).text();
}
