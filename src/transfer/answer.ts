// SPDX-License-Identifier: Apache-2.0
import type { Dispatcher } from 'undici';
import type { ResponseHeaders } from './httpHeaders.ts';

/** Who gets the bytes of a body. */
export type Taker = {
  /** Memory for the next bytes, at least 32 KiB, asked for anew after each `take`; else the transport uses its own. */
  lend?(): Buffer | undefined;
  /** Bytes in their order, which are the taker's only during the call; what it throws gives up the body. */
  take(bytes: Buffer): void;
};

/** An HTTP answer whose head has arrived: its body has to be read to the end or discarded. */
export type Answer = {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** Ends normally after the last byte only. To be called once. */
  read(taker: Taker): Promise<void>;
  /** Gives up the body, and with it the connection unless little is left; of no effect once it is read. */
  discard(): Promise<void>;
};

/** What is left of a body may be read on, so that its connection can be used again, where it is at most this many bytes. */
export const DISCARD_BYTES = 64 * 1024;

/** The library's answer as one of ours. */
export function answerOf({ statusCode, headers, body }: Dispatcher.ResponseData): Answer {
  return {
    status: statusCode,
    headers,
    async read(taker) {
      const chunks: AsyncIterable<Buffer> = body;
      for await (const chunk of chunks) taker.take(chunk);
    },
    async discard() {
      if (body.destroyed) return;
      // Reading on would wait for whoever began to read.
      if (body.readableDidRead) body.destroy();
      else await body.dump({ limit: DISCARD_BYTES });
    },
  };
}
