// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { ServerIdentity } from './certificates.ts';

/** What the server does with one request instead of answering properly. */
export type Behaviour =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer }
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number }
  /** Promises everything, sends `bytes`, then closes the connection. */
  | { readonly kind: 'truncate'; readonly bytes: number }
  /** Promises everything, sends `bytes`, then says nothing more. */
  | { readonly kind: 'stall'; readonly bytes: number }
  /** Promises everything, sends `bytes`, then breaks the connection (RST). */
  | { readonly kind: 'resetAt'; readonly bytes: number }
  /** Sends everything, a byte at a time. */
  | { readonly kind: 'drip'; readonly everyMs: number }
  /** Sends the right length, with one bit of another value. */
  | { readonly kind: 'corrupt' }
  /** Serves other content, properly. */
  | { readonly kind: 'instead'; readonly body: Buffer }
  /** A body that does not end. */
  | { readonly kind: 'endlessBody' }
  /** A head that does not end. */
  | { readonly kind: 'endlessHead' }
  /** Takes the request and never answers. */
  | { readonly kind: 'silence' }
  /** Breaks the connection (RST) without an answer. */
  | { readonly kind: 'reset' }
  /** Sends all bytes under this Content-Length. */
  | { readonly kind: 'lie'; readonly contentLength: number }
  | { readonly kind: 'ignoreRange' }
  /** Sends the range under the status 200. */
  | { readonly kind: 'rangeAs200' }
  | { readonly kind: 'chunked' }
  /** Answers a range with another one. */
  | { readonly kind: 'wrongRange'; readonly contentRange: string }
  | { readonly kind: 'etag'; readonly etag: string }
  | { readonly kind: 'headers'; readonly headers: Record<string, string> };

export type SeenRequest = { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers'] };

export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash. */
  readonly origin: string;
  /** By path, percent-encoded as requested; the query string is not part of it. */
  readonly files: Map<string, Buffer>;
  readonly seen: SeenRequest[];
  /** The next requests for this path, in order; afterwards it is served properly again. */
  next(path: string, ...behaviours: readonly Behaviour[]): void;
  /** All requests for this path. */
  always(path: string, behaviour: Behaviour): void;
}

/** Decides about a request before anything else does: `count` is its number, from 1. */
export type Interfere = (path: string, count: number) => Behaviour | undefined;

export type ServerOptions = { readonly tls?: ServerIdentity; readonly files?: Readonly<Record<string, Buffer | string>>; readonly interfere?: Interfere };

/** A web server on loopback with ranges, ETags and If-Match, that can be told to misbehave. */
export async function startHttpServer(options: ServerOptions = {}): Promise<TestServer> {
  const files = new Map(Object.entries(options.files ?? {}).map(([path, body]) => [path, Buffer.from(body)]));
  const queued = new Map<string, Behaviour[]>();
  const constant = new Map<string, Behaviour>();
  const seen: SeenRequest[] = [];
  const listening = await listen((request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const behaviour = options.interfere?.(path, seen.length) ?? queued.get(path)?.shift() ?? constant.get(path);
    serveFile(files.get(path), behaviour, request, response);
  }, options.tls);
  return {
    ...listening,
    files,
    seen,
    next: (path, ...behaviours) => void queued.set(path, [...(queued.get(path) ?? []), ...behaviours]),
    always: (path, behaviour) => void constant.set(path, behaviour),
  };
}

/** Starts any listener on a free loopback port; disposing breaks what is still open. */
export async function listen(listener: RequestListener, tls?: ServerIdentity): Promise<AsyncDisposable & { readonly origin: string; readonly server: Server }> {
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer({ key: tls.keyPem, cert: tls.certPem }, listener);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers a GET for these bytes, with range and precondition, or as told. */
export function serveFile(body: Buffer | undefined, behaviour: Behaviour | undefined, request: IncomingMessage, response: ServerResponse): void {
  switch (behaviour?.kind) {
    case 'status':
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
      return;
    case 'redirect':
      response.writeHead(behaviour.status ?? 302, { location: behaviour.location }).end();
      return;
    case 'silence':
      return;
    case 'reset':
      request.socket.resetAndDestroy();
      return;
    case 'instead':
      serveFile(behaviour.body, undefined, request, response);
      return;
    case 'endlessBody':
    case 'endlessHead':
      sendEndlessly(behaviour.kind, request, response);
      return;
    default:
      break;
  }
  if (body === undefined) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('no such file\n');
    return;
  }
  const etag = behaviour?.kind === 'etag' ? behaviour.etag : `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
  const ifMatch = request.headers['if-match'];
  if (ifMatch !== undefined && ifMatch !== etag && behaviour?.kind !== 'etag') {
    response.writeHead(412).end();
    return;
  }
  const range = behaviour?.kind === 'ignoreRange' || behaviour?.kind === 'lie' ? undefined : parseRange(request.headers.range);
  if (range !== undefined && range.start >= body.length) {
    response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  const end = range === undefined ? body.length : Math.min(range.end, body.length);
  const slice = body.subarray(range?.start ?? 0, end);
  response.writeHead(range === undefined || behaviour?.kind === 'rangeAs200' ? 200 : 206, {
    etag,
    'last-modified': 'Wed, 21 Oct 2026 07:28:00 GMT',
    ...(behaviour?.kind !== 'chunked' && { 'content-length': behaviour?.kind === 'lie' ? behaviour.contentLength : slice.length }),
    ...(range !== undefined && {
      'content-range': behaviour?.kind === 'wrongRange' ? behaviour.contentRange : `bytes ${range.start}-${end - 1}/${body.length}`,
    }),
    ...(behaviour?.kind === 'headers' && behaviour.headers),
  });
  switch (behaviour?.kind) {
    case 'truncate':
      response.write(slice.subarray(0, behaviour.bytes), () => request.socket.end());
      return;
    case 'stall':
      response.write(slice.subarray(0, behaviour.bytes));
      return;
    case 'resetAt':
      response.write(slice.subarray(0, behaviour.bytes), () => request.socket.resetAndDestroy());
      return;
    case 'drip':
      drip(slice, behaviour.everyMs, response);
      return;
    case 'corrupt': {
      const wrong = Buffer.from(slice);
      const middle = slice.length >> 1;
      wrong[middle] = (slice[middle] ?? 0) ^ 1;
      response.end(wrong);
      return;
    }
    case 'lie':
      // Past the response object, which would refuse to write more than it promised.
      response.flushHeaders();
      request.socket.end(slice);
      return;
    default:
      response.end(slice);
  }
}

function drip(body: Buffer, everyMs: number, response: ServerResponse): void {
  let sent = 0;
  const timer = setInterval(() => {
    if (sent === body.length) response.end();
    else response.write(body.subarray(sent, ++sent));
  }, everyMs);
  response.on('close', () => clearInterval(timer));
}

function sendEndlessly(what: 'endlessBody' | 'endlessHead', request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  if (what === 'endlessBody') response.writeHead(200, { etag: '"endless"' }).flushHeaders();
  else socket.write('HTTP/1.1 200 OK\r\n');
  const piece = what === 'endlessBody' ? Buffer.alloc(64 * 1024) : `x-more: ${'x'.repeat(1000)}\r\n`;
  const out = what === 'endlessBody' ? response : socket;
  const more = (): void => {
    while (!socket.destroyed && out.write(piece));
  };
  out.on('drain', more);
  more();
}

function parseRange(header: string | undefined): { readonly start: number; readonly end: number } | undefined {
  const parts = /^bytes=(\d+)-(\d+)?$/.exec(header ?? '');
  return parts === null ? undefined : { start: Number(parts[1]), end: parts[2] === undefined ? Number.POSITIVE_INFINITY : Number(parts[2]) + 1 };
}
