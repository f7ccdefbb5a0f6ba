// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/freePort.ts';
import { answered, type RealS3 } from './versitygw.ts';

/** `rclone serve s3` on loopback, from PATH: another implementation of S3 over a directory, whose sub-directories are buckets. */
export async function startRclone(...buckets: readonly string[]): Promise<RealS3> {
  const root = await mkdtemp(join(tmpdir(), 'model-gate-rclone-'));
  for (const bucket of buckets) await mkdir(join(root, bucket));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const server = spawn('rclone', ['serve', 's3', '--addr', `127.0.0.1:${port}`, '--auth-key', 'access,secret', '--vfs-cache-mode', 'writes', root], {
    // Neither a configuration nor a cache of this machine's user.
    env: { ...process.env, RCLONE_CONFIG: '/dev/null', RCLONE_CACHE_DIR: `${root}-cache` },
    stdio: 'ignore',
  });
  await answered(origin, server, 'rclone');
  return {
    origin,
    root,
    env: { AWS_ACCESS_KEY_ID: 'access', AWS_SECRET_ACCESS_KEY: 'secret', AWS_ENDPOINT_URL: origin },
    async [Symbol.asyncDispose]() {
      const exit = once(server, 'exit');
      server.kill();
      await exit;
      await rm(root, { recursive: true });
      await rm(`${root}-cache`, { recursive: true, force: true });
    },
  };
}
