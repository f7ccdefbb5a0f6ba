// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/freePort.ts';

export interface RealS3 extends AsyncDisposable {
  readonly origin: string;
  /** Its sub-directories are buckets. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A real S3 server on loopback, from PATH or where `go install` puts it. */
export async function startVersitygw(...buckets: readonly string[]): Promise<RealS3> {
  const root = await mkdtemp(join(tmpdir(), 'model-gate-s3-'));
  for (const bucket of buckets) await mkdir(join(root, bucket));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const server = spawn(findBinary(), ['--port', `127.0.0.1:${port}`, '--keep-alive', '--quiet', 'posix', root], {
    env: { ...process.env, ROOT_ACCESS_KEY: 'access', ROOT_SECRET_KEY: 'secret' },
    stdio: 'ignore',
  });
  await answered(origin, server, 'versitygw');
  return {
    origin,
    root,
    env: { AWS_ACCESS_KEY_ID: 'access', AWS_SECRET_ACCESS_KEY: 'secret', AWS_ENDPOINT_URL: origin },
    async [Symbol.asyncDispose]() {
      const exit = once(server, 'exit');
      server.kill();
      await exit;
      await rm(root, { recursive: true });
    },
  };
}

function findBinary(): string {
  const inPath = (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'versitygw'));
  const found = inPath.find((path) => existsSync(path));
  return found ?? join(execFileSync('go', ['env', 'GOPATH']).toString().trim(), 'bin', 'versitygw');
}

export async function answered(origin: string, server: { readonly exitCode: number | null }, name: string): Promise<void> {
  for (let attempt = 0; attempt < 200 && server.exitCode === null; attempt++) {
    const response = await fetch(origin).catch(() => undefined);
    if (response !== undefined) return void (await response.body?.cancel());
    await sleep(50);
  }
  throw new Error(`${name} does not answer`);
}
