// SPDX-License-Identifier: Apache-2.0
import type { Taker } from '../../src/transfer/answer.ts';

/** Everything an object's body says. */
export async function bytesOf(object: { read(taker: Taker): Promise<void> }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await object.read({ take: (bytes) => void chunks.push(Buffer.from(bytes)) });
  return Buffer.concat(chunks);
}

/** The `read` of an object whose body comes from a generator. */
export function readFrom(body: () => AsyncIterable<Buffer>): (taker: Taker) => Promise<void> {
  return async (taker) => {
    for await (const chunk of body()) taker.take(chunk);
  };
}
