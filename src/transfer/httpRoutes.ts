// SPDX-License-Identifier: Apache-2.0
import type { SecureContext } from 'node:tls';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { AppError } from '../base/errors.ts';
import type { HttpSettings } from '../source/source.ts';
import { bypassesProxy } from './noProxy.ts';

export type Route = { readonly dispatcher: Dispatcher; readonly through: 'direct' | 'proxy' };

/** Connection pools, one for direct connections and one for each proxy. */
export type Routes = { routeTo(url: URL): Route; close(): Promise<void> };

const MAX_HEADER_BYTES = 32 * 1024;

/** Chooses the proxy itself: the library's own agent sends https through HTTP_PROXY when HTTPS_PROXY is unset, and knows no CIDR blocks. @throws CONFIG_INVALID */
export async function createRoutes(settings: HttpSettings, connections: number): Promise<Routes> {
  const secure = await tlsOptions(settings);
  const tls = { ...secure, timeout: settings.connectTimeoutMs, autoSelectFamily: true };
  const options = {
    connections,
    pipelining: 1,
    // One connection per transfer: over HTTP/2 all of them would share one, and with it one congestion window.
    allowH2: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    connect: tls,
  } satisfies Agent.Options;
  const direct: Route = { dispatcher: new Agent(options), through: 'direct' };
  const viaProxy = (uri: string | undefined): Route | undefined => {
    if (uri === undefined) return undefined;
    // The private CA may have signed the proxy's certificate as well as the server's.
    return {
      dispatcher: new ProxyAgent({ ...options, uri, connectTimeout: settings.connectTimeoutMs, requestTls: tls, proxyTls: tls }),
      through: 'proxy',
    };
  };
  const http = viaProxy(settings.proxy?.http);
  const https = viaProxy(settings.proxy?.https);
  const none = settings.proxy?.none ?? '';
  return {
    routeTo(url) {
      const proxy = url.protocol === 'https:' ? https : http;
      return proxy === undefined || bypassesProxy(url, none) ? direct : proxy;
    },
    async close() {
      await Promise.all([direct, http, https].map((route) => route?.dispatcher.destroy()));
    },
  };
}

/** Said for every connection, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch verification off behind the plan's back. */
async function tlsOptions(settings: HttpSettings): Promise<{ rejectUnauthorized: boolean; secureContext?: SecureContext }> {
  if (settings.caPem === undefined) return { rejectUnauthorized: settings.verifyTls };
  const tls = await import('node:tls');
  try {
    // Made once: given as `ca`, all roots would be parsed again for each connection.
    const secureContext = tls.createSecureContext({ ca: [...tls.getCACertificates('default'), settings.caPem] });
    return { rejectUnauthorized: settings.verifyTls, secureContext };
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', 'the CA bundle cannot be used', { cause });
  }
}
