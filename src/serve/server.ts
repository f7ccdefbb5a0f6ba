// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Answer, answer, type View } from './endpoints.ts';

/** Everybody in the cluster may be able to reach the port: a request is small, ends soon, and one connection is good for one of them. */
const LIMITS = { headerBytes: 8 * 1024, headers: 64, connections: 64, requestMs: 5_000, silenceMs: 10_000 };

export type Health = { readonly port: number; readonly address?: string };

export type Listening = AsyncDisposable & { readonly port: number };

/** @throws CONFIG_INVALID when the port cannot be had */
export async function serve({ port, address }: Health, view: () => View): Promise<Listening> {
  const server = createServer(
    {
      maxHeaderSize: LIMITS.headerBytes,
      headersTimeout: LIMITS.requestMs,
      requestTimeout: LIMITS.requestMs,
      connectionsCheckingInterval: 1_000,
      keepAlive: false,
    },
    (request, response) => void respond(request, response, view),
  );
  server.maxHeadersCount = LIMITS.headers;
  server.maxConnections = LIMITS.connections;
  server.timeout = LIMITS.silenceMs;
  // Nobody is asked to go on sending.
  server.on('checkContinue', (request, response) => void respond(request, response, view));
  server.on('clientError', (_error, socket) => void socket.destroy());
  await listen(server, port, address);
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number, address: string | undefined): Promise<void> {
  return new Promise((listening, failed) => {
    server.once('error', (cause) => {
      const where = `port ${port}${address === undefined ? '' : ` of ${printable(address, 100)}`}`;
      failed(
        new AppError('CONFIG_INVALID', `cannot listen at ${where}: ${systemErrorCode(cause) ?? 'unknown failure'}`, {
          hint: 'Choose another --health-port: all containers of a pod share its ports.',
          cause,
        }),
      );
    });
    server.listen({ port, ...(address !== undefined && { host: address }), backlog: LIMITS.connections }, () => {
      server.removeAllListeners('error');
      // A connection that cannot be accepted is somebody else's loss.
      server.on('error', () => {});
      listening();
    });
  });
}

async function respond(request: IncomingMessage, response: ServerResponse, view: () => View): Promise<void> {
  response.on('error', () => {});
  send(response, request.method, hasBody(request) ? TOO_MUCH : await safely(request, view));
}

const TOO_MUCH: Answer = { status: 413, type: 'text/plain; charset=utf-8', body: 'no body is taken\n' };

async function safely(request: IncomingMessage, view: () => View): Promise<Answer> {
  try {
    return await answer(request.method, request.url ?? '', view());
  } catch {
    // What went wrong is nobody's business out there.
    return { status: 500, type: 'text/plain; charset=utf-8', body: 'internal error\n' };
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function send(response: ServerResponse, method: string | undefined, { status, type, body, headers }: Answer): void {
  response.writeHead(status, {
    ...headers,
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    connection: 'close',
  });
  response.end(method === 'HEAD' ? undefined : body);
}
