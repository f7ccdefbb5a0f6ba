// SPDX-License-Identifier: Apache-2.0

/** Connections of one thread. A file has one; further ones are worth it only while the thread waits for the network. */
export type Connections = {
  /** Counts a connection that is needed in any case. */
  use(): void;
  /** One more, if there may be more and the thread has time to spare. */
  tryUse(): boolean;
  release(): void;
};

/** Busier than this, a thread is what holds the transfer up, and more connections would only make it slower. */
const BUSY = 0.75;
/** A shorter stretch says nothing, in milliseconds. */
const SAMPLE_MS = 15;

/** `utilization`: the share of the time since the last call that this thread was at work. */
export function createConnections(limit: number, utilization = threadUtilization()): Connections {
  let used = 0;
  let busy = 0;
  let sampledAt = performance.now();
  return {
    use() {
      used++;
    },
    tryUse() {
      const now = performance.now();
      if (now - sampledAt >= SAMPLE_MS) {
        busy = utilization();
        sampledAt = now;
      }
      if (used >= limit || busy > BUSY) return false;
      used++;
      return true;
    },
    release() {
      used--;
    },
  };
}

function threadUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
