// SPDX-License-Identifier: Apache-2.0
import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import type { HttpSettings } from '../source/source.ts';
import { proxyFor } from './noProxy.ts';
import type { TlsSettings } from './plainHttp.ts';

/** The library's connection pools, one for direct connections and one for each proxy. */
export type Routes = { dispatcherFor(url: URL): Dispatcher; close(): Promise<void> };

const MAX_HEADER_BYTES = 32 * 1024;

/** The proxy is chosen here: the library's own agent sends https through HTTP_PROXY when HTTPS_PROXY is unset, and knows no CIDR blocks. */
export function createRoutes(settings: HttpSettings, secure: TlsSettings, connections: number, lookup?: LookupFunction): Routes {
  const tls = { ...secure, timeout: settings.connectTimeoutMs, autoSelectFamily: true };
  const options = {
    connections,
    pipelining: 1,
    // One connection per transfer: over HTTP/2 all of them would share one, and with it one congestion window.
    allowH2: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    connect: tls,
  } satisfies Agent.Options;
  const direct = new Agent({ ...options, connect: { ...tls, ...(lookup !== undefined && { lookup }) } });
  // The private CA may have signed the proxy's certificate as well as the server's.
  const via = (uri: string): Dispatcher => new ProxyAgent({ ...options, uri, connectTimeout: settings.connectTimeoutMs, requestTls: tls, proxyTls: tls });
  const proxies = new Map<string, Dispatcher>();
  return {
    dispatcherFor(url) {
      const proxy = proxyFor(url, settings.proxy);
      if (proxy === undefined) return direct;
      const dispatcher = proxies.get(proxy) ?? via(proxy);
      proxies.set(proxy, dispatcher);
      return dispatcher;
    },
    async close() {
      await Promise.all([direct, ...proxies.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}
