// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer } from 'node:net';

const given = new Set<number>();

/** A loopback port that was free a moment ago, and that nobody else in this process was given. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  // The kernel may give a port again that nobody listens on yet.
  if (given.has(address.port)) return freePort();
  given.add(address.port);
  return address.port;
}
