// SPDX-License-Identifier: Apache-2.0
import { request as forward } from 'node:http';
import { connect } from 'node:net';
import { listen, type SeenRequest } from './httpServer.ts';

export interface ProxyServer extends AsyncDisposable {
  readonly origin: string;
  /** Absolute URLs of forwarded requests, and `host:port` of tunnels (method CONNECT). */
  readonly seen: SeenRequest[];
}

/** A forward proxy on loopback: plain requests and CONNECT tunnels. With a password it wants Basic authentication. */
export async function startProxy(userAndPassword?: string): Promise<ProxyServer> {
  const seen: SeenRequest[] = [];
  const expected = userAndPassword === undefined ? undefined : `Basic ${Buffer.from(userAndPassword).toString('base64')}`;
  const {
    origin,
    server,
    [Symbol.asyncDispose]: dispose,
  } = await listen((request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
    if (expected !== undefined && request.headers['proxy-authorization'] !== expected) {
      response.writeHead(407).end();
      return;
    }
    const { 'proxy-authorization': _, ...headers } = request.headers;
    forward(request.url ?? '', { method: request.method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    }).end();
  });
  server.on('connect', (request, socket) => {
    seen.push({ method: 'CONNECT', url: request.url ?? '', headers: request.headers });
    const [host, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host ?? '', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
    socket.on('close', () => upstream.destroy());
  });
  return { origin, seen, [Symbol.asyncDispose]: dispose };
}
