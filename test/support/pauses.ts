// SPDX-License-Identifier: Apache-2.0

/** Pauses that were asked for, in ms, in order. */
export const pauses: number[] = [];

/** Stands in for node:timers/promises: pauses between attempts take a turn of the event loop only, and are noted down. */
export const timersWithoutWaiting = {
  async setTimeout(ms: number, _value?: unknown, options?: { readonly signal?: AbortSignal }): Promise<void> {
    pauses.push(ms);
    await new Promise((turn) => setImmediate(turn));
    options?.signal?.throwIfAborted();
  },
};
