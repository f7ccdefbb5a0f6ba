// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../support/freePort.ts';
import { type RunningServer, startServer } from './process.ts';

export const S3_CREDENTIALS = { accessKeyId: 'pods-access', secretAccessKey: 'pods-secret-key' } as const;

export type Server = RunningServer & { readonly url: string };

/** PEM files of a server's certificate and its key. */
export type ServerTls = { readonly cert: string; readonly key: string };

/** nginx on loopback, serving a folder. */
export async function startNginx(folder: string, root: string): Promise<Server> {
  const port = await freePort();
  await mkdir(folder, { recursive: true });
  const config = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join(' ');
  await writeFile(
    config,
    `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr warn;
events {}
http { access_log off; default_type application/octet-stream; ${temporary} server { listen 127.0.0.1:${port}; root ${root}; } }
`,
  );
  const server = await startServer('nginx', ['-p', folder, '-e', 'stderr', '-c', config], port);
  return { ...server, url: `http://127.0.0.1:${port}` };
}

/** versitygw on loopback; each folder in `root` is a bucket. */
export async function startS3(root: string, tls?: ServerTls): Promise<Server> {
  const port = await freePort();
  const env = { ROOT_ACCESS_KEY: S3_CREDENTIALS.accessKeyId, ROOT_SECRET_KEY: S3_CREDENTIALS.secretAccessKey };
  const tlsFlags = tls === undefined ? [] : ['--cert', tls.cert, '--key', tls.key];
  const server = await startServer('versitygw', ['--port', `127.0.0.1:${port}`, '--keep-alive', '--quiet', ...tlsFlags, 'posix', root], port, env);
  return { ...server, url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}` };
}
