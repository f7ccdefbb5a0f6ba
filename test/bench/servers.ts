// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../e2e/pods/process.ts';
import { S3_CREDENTIALS, type ServerTls, startS3 } from '../e2e/pods/servers.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { freePort } from '../support/freePort.ts';
import { BUCKET, type Data } from './data.ts';

export const LINK_BYTES_PER_SECOND = 80e6;

/** All on loopback, all serving the same files. URLs end in the folder that holds the workloads, with a slash. */
export type Servers = AsyncDisposable & {
  readonly s3: S3Access;
  readonly s3Tls: S3Access;
  readonly http: string;
  readonly httpTls: string;
  /** nginx behind 50 ms of round trip and LINK_BYTES_PER_SECOND for each connection, and behind the 50 ms only. */
  readonly throttled: string;
  readonly delayed: string;
  /** PEM file of the CA of both TLS servers. */
  readonly caFile: string;
  readonly pids: readonly number[];
  /** Paths that nginx was asked for since `forget`. */
  requests(): readonly string[];
  forget(): void;
};

/** `env` is what every client of S3 takes its endpoint and credentials from. */
export type S3Access = { readonly url: string; readonly env: Readonly<Record<string, string>> };

/** Certificates are good for an hour from the start. */
export async function startServers(data: Data, folder: string): Promise<Servers> {
  mkdirSync(folder, { recursive: true });
  const caFile = join(folder, 'ca.pem');
  const tls = { cert: join(folder, 'server.pem'), key: join(folder, 'server.key') };
  const authority = await makeAuthority('Bench CA');
  const identity = await issueServer(authority);
  writeFileSync(caFile, authority.certPem);
  writeFileSync(tls.cert, identity.certPem);
  writeFileSync(tls.key, identity.keyPem, { mode: 0o600 });

  await using started = new AsyncDisposableStack();
  const s3 = started.use(await startS3(data.root));
  const s3Tls = started.use(await startS3(data.root, tls));
  const [http, httpTls, throttled, delayed] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const log = join(folder, 'access.log');
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, nginxConfig({ folder, log, root: join(data.root, BUCKET), http, httpTls, tls }));
  const nginx = started.use(await startServer('nginx', ['-p', folder, '-e', 'stderr', '-c', config], http));
  const link = new URL('throttle.ts', import.meta.url).pathname;
  const slow = started.use(await startServer(process.execPath, [link, `${throttled}`, `${http}`, `${LINK_BYTES_PER_SECOND}`], throttled));
  const far = started.use(await startServer(process.execPath, [link, `${delayed}`, `${http}`], delayed));
  const disposal = started.move();
  return {
    s3: accessTo(s3.url),
    s3Tls: accessTo(s3Tls.url),
    http: `http://127.0.0.1:${http}/`,
    httpTls: `https://127.0.0.1:${httpTls}/`,
    throttled: `http://127.0.0.1:${throttled}/`,
    delayed: `http://127.0.0.1:${delayed}/`,
    caFile,
    pids: [s3.pid, s3Tls.pid, nginx.pid, slow.pid, far.pid],
    requests: () => readFileSync(log, 'utf8').split('\n').filter(Boolean),
    forget: () => truncateSync(log),
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

function accessTo(url: string): S3Access {
  const { accessKeyId, secretAccessKey } = S3_CREDENTIALS;
  return {
    url,
    env: {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_ENDPOINT_URL: url,
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
    },
  };
}

type NginxOptions = {
  readonly folder: string;
  readonly log: string;
  readonly root: string;
  readonly http: number;
  readonly httpTls: number;
  readonly tls: ServerTls;
};

function nginxConfig({ folder, log, root, http, httpTls, tls }: NginxOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join(' ');
  return `daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes ${availableParallelism()}; pid ${join(folder, 'pid')}; error_log stderr warn;
events {}
http {
  log_format path $uri; access_log ${log} path; default_type application/octet-stream; sendfile on; keepalive_requests 100000; ${temporary}
  server { listen 127.0.0.1:${http}; root ${root}; }
  server { listen 127.0.0.1:${httpTls} ssl; ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key}; root ${root}; }
}
`;
}
