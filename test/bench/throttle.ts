// SPDX-License-Identifier: Apache-2.0
// A link like that to a real object store: `node throttle.ts PORT UPSTREAM_PORT [BYTES_PER_SECOND]` on loopback. Every connection
// gets 50 ms of round trip and, with a rate, that much of a stream from the server, however fast the others are.
// A process of its own, so that it takes nothing from whoever measures.
import { connect, createServer, type Socket } from 'node:net';

const ONE_WAY_MS = 25;
/** More than what is under way in 25 ms: reading ahead must not be what limits the stream. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

const [port, upstreamPort, rate] = process.argv.slice(2).map(Number);
if (port === undefined || upstreamPort === undefined) throw new TypeError('throttle.ts PORT UPSTREAM_PORT [BYTES_PER_SECOND]');
const bytesPerMs = rate === undefined ? Number.POSITIVE_INFINITY : rate / 1000;

createServer({ noDelay: true }, (client) => {
  const upstream = connect({ port: upstreamPort, host: '127.0.0.1', noDelay: true });
  // The kernel answered the handshake at once: its round trip is added to the first request.
  forward(client, upstream, Number.POSITIVE_INFINITY, 2 * ONE_WAY_MS);
  forward(upstream, client, bytesPerMs, 0);
}).listen(port, '127.0.0.1');

/** Each chunk leaves `ONE_WAY_MS` after the last of its bytes has passed the rate. */
function forward(from: Socket, to: Socket, bytesPerMs: number, handshakeMs: number): void {
  const queue: { readonly chunk: Buffer; readonly dueAt: number }[] = [];
  let queuedBytes = 0;
  let sentAt = performance.now() + handshakeMs;
  let ended = false;
  let waiting: NodeJS.Timeout | 'drain' | undefined;

  from.on('data', (chunk) => {
    sentAt = Math.max(sentAt, performance.now()) + chunk.length / bytesPerMs;
    queue.push({ chunk, dueAt: sentAt + ONE_WAY_MS });
    queuedBytes += chunk.length;
    if (queuedBytes > MAX_QUEUED_BYTES) from.pause();
    deliver();
  });
  from.on('end', () => {
    ended = true;
    deliver();
  });
  from.on('error', () => to.destroy());
  from.on('close', () => !ended && to.destroy());
  to.on('drain', () => {
    if (waiting === 'drain') waiting = undefined;
    deliver();
  });

  function deliver(): void {
    if (waiting !== undefined) return;
    const now = performance.now();
    // Timers are no finer than 1 ms.
    while (waiting === undefined && queue[0] !== undefined && queue[0].dueAt <= now + 0.5) {
      const { chunk } = queue[0];
      queue.shift();
      queuedBytes -= chunk.length;
      if (!to.write(chunk)) waiting = 'drain';
    }
    if (from.isPaused() && queuedBytes < MAX_QUEUED_BYTES / 2) from.resume();
    const next = queue[0];
    if (waiting === undefined && next !== undefined) {
      waiting = setTimeout(() => {
        waiting = undefined;
        deliver();
      }, next.dueAt - now);
    } else if (next === undefined && ended) to.end();
  }
}
