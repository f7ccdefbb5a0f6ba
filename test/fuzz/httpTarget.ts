// SPDX-License-Identifier: Apache-2.0
import { createServer, type Socket } from 'node:net';
import { createHttpTransport, type HttpTransport } from '../../src/transfer/http.ts';
import { bytesOf } from '../support/bodies.ts';
import { must, type Target } from './target.ts';

const SETTINGS = { verifyTls: true, connectTimeoutMs: 1000, stallTimeoutMs: 300 } as const;

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;
const SEEDS = [
  `${lines('HTTP/1.1 200 OK', 'Content-Length: 5', 'ETag: "abc"')}hello`,
  `${lines('HTTP/1.1 206 Partial Content', 'Content-Length: 5', 'Content-Range: bytes 0-4/5', 'ETag: "abc"')}hello`,
  `${lines('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
  `${lines('HTTP/1.1 200 OK', 'Connection: close')}hello`,
  `${lines('HTTP/1.1 404 Not Found', 'Content-Type: application/xml', 'Content-Length: 60')}<Error><Code>NoSuchKey</Code><Region>eu-west-1</Region></Error>`,
  `${lines('HTTP/1.1 403 Forbidden', 'Transfer-Encoding: chunked')}2d\r\n<Error><Code>AccessDenied</Code><Expires></Error>\r\n0\r\n\r\n`,
  lines('HTTP/1.1 302 Found', 'Location: /elsewhere', 'Content-Length: 0'),
  lines('HTTP/1.1 503 Slow Down', 'Retry-After: 1', 'Content-Length: 0'),
  lines('HTTP/1.1 416 Range Not Satisfiable', 'Content-Range: bytes */0', 'Content-Length: 0'),
];

type Seen =
  | { readonly kind: 'accepted'; readonly status: number; readonly total: number | undefined; readonly body: string }
  | { readonly kind: 'refused'; readonly error: unknown };

/**
 * Whatever a server answers, our own reader and the HTTP library say the same of it: what one of them takes for the object, the other takes
 * for the very same bytes, or refuses.
 */
export async function httpTarget(): Promise<Target> {
  let answer = Buffer.alloc(0);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    socket.on('data', () => socket.end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  async function see(reader: 'auto' | 'library'): Promise<Seen> {
    await using transport: HttpTransport = await createHttpTransport({ ...SETTINGS, reader }, 1);
    try {
      const locator = { kind: 'http', url: `http://127.0.0.1:${port}/object`, headers: {} } as const;
      const object = await transport.open(locator, { range: { start: 0, end: 5 }, signal: AbortSignal.timeout(5000) });
      const body = await bytesOf(object);
      must(object.bodyBytes === undefined || object.bodyBytes === body.length, 'a body has another length than its head said');
      return { kind: 'accepted', status: object.status, total: object.totalBytes, body: body.toString('latin1') };
    } catch (error) {
      return { kind: 'refused', error };
    }
  }

  return {
    name: 'HTTP answers, by both readers',
    seeds: SEEDS.map((seed) => Buffer.from(seed, 'latin1')),
    async run(input) {
      answer = Buffer.from(input);
      const [own, library] = [await see('auto'), await see('library')];
      if (own.kind === 'accepted' && library.kind === 'accepted')
        must(
          JSON.stringify(own) === JSON.stringify(library),
          `the readers disagree: ${JSON.stringify(own).slice(0, 300)} and ${JSON.stringify(library).slice(0, 300)}`,
        );
      if (own.kind === 'refused') throw own.error;
      if (library.kind === 'refused') throw library.error;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
