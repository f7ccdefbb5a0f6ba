// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Authority, issueServer, makeAuthority, type ServerIdentity } from '../servers/certificates.ts';
import { listen } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { type Files, KEYS } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import type { PartDeps } from './part.ts';
import { type Row, tally } from './table.ts';
import { judge, type Reason } from './trial.ts';

type Env = Readonly<Record<string, string>>;
/** Where a pull goes while the fault lasts. */
type Endpoint = AsyncDisposable & { readonly url: string; readonly env?: Env; readonly flags?: readonly string[] };
type EndpointFault = { readonly fault: string; readonly expected: readonly Reason[]; open(context: Context): Promise<Endpoint> };
type Context = {
  readonly files: Files;
  readonly authority: Authority;
  readonly stranger: Authority;
  readonly caFlags: readonly string[];
  readonly scratch: string;
};

const nothingToClose = async (): Promise<void> => {};

const FAULTS: readonly EndpointFault[] = [
  {
    fault: 'connection refused',
    expected: ['SOURCE_UNAVAILABLE'],
    async open() {
      const { origin, [Symbol.asyncDispose]: close } = await listen(() => {});
      await close();
      return { url: `${origin}/models/m/`, [Symbol.asyncDispose]: nothingToClose };
    },
  },
  {
    fault: 'a name that no DNS knows',
    expected: ['SOURCE_UNAVAILABLE', 'SOURCE_NOT_FOUND'],
    open: async () => ({ url: 'http://models.invalid/m/', [Symbol.asyncDispose]: nothingToClose }),
  },
  { fault: 'TLS: a handshake that is never answered', expected: ['SOURCE_TIMEOUT'], open: ({ caFlags }) => slowTls(caFlags) },
  {
    fault: 'TLS: an expired certificate',
    expected: ['TLS_FAILED'],
    open: async (context) => overTls(context, await issueServer(context.authority, 'expired')),
  },
  {
    fault: 'TLS: a certificate for another name',
    expected: ['TLS_FAILED'],
    open: async (context) => overTls(context, await issueServer(context.authority, 'valid', 'other.example')),
  },
  {
    fault: 'TLS: a certificate of an unknown authority',
    expected: ['TLS_FAILED'],
    open: async (context) => overTls(context, await issueServer(context.stranger)),
  },
  {
    fault: 'TLS: redirect to plain HTTP',
    expected: ['SOURCE_UNAVAILABLE'],
    async open(context) {
      const { origin, [Symbol.asyncDispose]: close } = await listen(
        (request, response) => void response.writeHead(302, { location: `http://127.0.0.1:9${request.url}` }).end(),
        await issueServer(context.authority),
      );
      return { url: `${origin}/models/m/`, flags: context.caFlags, [Symbol.asyncDispose]: close };
    },
  },
  { fault: 's3: session expires mid-way, new credentials from their service', expected: ['OK'], open: ({ files }) => rotatedS3(files) },
  { fault: 'http: bearer token expires mid-way, the file has a new one', expected: ['OK', 'SOURCE_DENIED'], open: rotatedBearer },
];

/** Faults of the way to the server, or of who it is, rather than of its answers. Recovery is a start against a good server. */
export async function* endpoints(deps: PartDeps, files: Files, limits: readonly string[]): AsyncGenerator<Row> {
  const [authority, stranger] = [await makeAuthority(), await makeAuthority('Stranger')];
  writeFileSync(join(deps.scratch, 'ca.pem'), authority.certPem);
  const context: Context = { files, authority, stranger, caFlags: ['--ca-bundle', join(deps.scratch, 'ca.pem')], scratch: deps.scratch };
  await using good = await serveModel(files);
  for (const [index, { fault, expected, open }] of FAULTS.entries()) {
    const result = tally('server', fault);
    for (let n = 0; n < deps.trials(6, 1); n++) {
      const to = join(deps.scratch, `endpoint-${index}-${n}`, 'models');
      mkdirSync(join(to, '..'));
      await using endpoint = await open(context);
      const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
      const ended = await runGate(['pull', endpoint.url, to, ...limits, ...(endpoint.flags ?? [])], { env: { ...env, ...endpoint.env } });
      result.add(await judge({ ended, to, files, expected }, () => runGate(['pull', good.url, to], { env })));
    }
    yield result.row();
  }
}

async function overTls({ files, caFlags }: Context, tls: ServerIdentity): Promise<Endpoint> {
  const { url, [Symbol.asyncDispose]: close } = await serveModel(files, { tls });
  return { url, flags: caFlags, [Symbol.asyncDispose]: close };
}

/** Takes the connection and says nothing. */
async function slowTls(flags: readonly string[]): Promise<Endpoint> {
  const server = createServer((socket) => void socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `https://127.0.0.1:${port}/models/m/`,
    flags,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}

/** The store rejects the first session after its fourth request; the container's credential service then has a second one. */
async function rotatedS3(files: Files): Promise<Endpoint> {
  const sessions = ['one', 'two'].map((name) => ({ accessKeyId: `AKID${name.toUpperCase()}`, secretAccessKey: `secret-${name}`, sessionToken: name }));
  let asked = 0;
  let session = 0;
  const store = await startS3Server({
    buckets: { models: Object.fromEntries(Object.entries(files).map(([name, body]) => [`v1/${name}`, body])) },
    get keys() {
      return sessions[session] ?? { accessKeyId: '', secretAccessKey: '' };
    },
    interfere(_, count) {
      if (count < 4 || asked > 1) return undefined;
      session = 1;
      return { kind: 'status', status: 400, body: '<Error><Code>ExpiredToken</Code></Error>' };
    },
  });
  const service = await listen((_, response) => {
    const current = sessions[Math.min(session, asked++)];
    response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        AccessKeyId: current?.accessKeyId,
        SecretAccessKey: current?.secretAccessKey,
        Token: current?.sessionToken,
        // Soon, but not yet: the client cannot know better than the store.
        Expiration: new Date(Date.now() + 1000).toISOString(),
      }),
    );
  });
  return {
    url: 's3://models/v1/',
    env: { AWS_ENDPOINT_URL: store.origin, AWS_REGION: 'us-east-1', AWS_CONTAINER_CREDENTIALS_FULL_URI: `${service.origin}/credentials` },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
    },
  };
}

async function rotatedBearer({ files, scratch }: Context): Promise<Endpoint> {
  const tokenFile = join(scratch, 'token');
  writeFileSync(tokenFile, 'one');
  let valid = 'one';
  const model = await serveModel(files, {
    interfere(_, count) {
      if (count === 3) {
        valid = 'two';
        writeFileSync(tokenFile, valid);
      }
      const sent = model.seen.at(-1)?.headers.authorization;
      return sent === `Bearer ${valid}` ? undefined : { kind: 'status', status: 401 };
    },
  });
  return { url: model.url, flags: ['--bearer-token-file', tokenFile], [Symbol.asyncDispose]: model[Symbol.asyncDispose] };
}
