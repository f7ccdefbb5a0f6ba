// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/freePort.ts';
import { answered } from './versitygw.ts';

/** `root`: what it serves. */
export interface Nginx extends AsyncDisposable {
  readonly origin: string;
  readonly root: string;
}

/** A real web server on loopback, from PATH or /usr/sbin. */
export async function startNginx(): Promise<Nginx> {
  const home = mkdtempSync(join(tmpdir(), 'model-gate-nginx-'));
  const root = join(home, 'www');
  mkdirSync(root);
  // Workers run as nobody when the test runs as root.
  for (const directory of [home, root]) chmodSync(directory, 0o755);
  const port = await freePort();
  const config = join(home, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off; pid ${home}/nginx.pid; error_log ${home}/nginx.log;
     events {}
     http { access_log off; client_body_temp_path ${home}/t1; proxy_temp_path ${home}/t2; fastcgi_temp_path ${home}/t3; uwsgi_temp_path ${home}/t4; scgi_temp_path ${home}/t5;
       server { listen 127.0.0.1:${port}; root ${root}; } }`,
  );
  const server = spawn('nginx', ['-e', `${home}/nginx.log`, '-c', config], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
  });
  const origin = `http://127.0.0.1:${port}`;
  await answered(origin, server, 'nginx');
  return {
    origin,
    root,
    async [Symbol.asyncDispose]() {
      const exit = once(server, 'exit');
      server.kill();
      await exit;
      rmSync(home, { recursive: true, force: true });
    },
  };
}
