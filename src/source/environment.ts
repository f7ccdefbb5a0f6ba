// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import type { Environment, HttpSettings } from './source.ts';

/** The first of these variables that holds something; empty counts as unset, as Kubernetes manifests often leave values blank. */
export function firstSet(env: Environment, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== '') return value;
  }
  return undefined;
}

export function isOn(env: Environment, name: string): boolean {
  return /^(?:true|1)$/i.test(env[name]?.trim() ?? '');
}

export function isOff(env: Environment, name: string): boolean {
  return /^(?:false|0)$/i.test(env[name]?.trim() ?? '');
}

/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY; the lower-case spelling wins, as in curl. @throws CONFIG_INVALID */
export function proxyFromEnvironment(env: Environment): HttpSettings['proxy'] | undefined {
  const http = proxyUrl(env, 'http_proxy', 'HTTP_PROXY');
  const https = proxyUrl(env, 'https_proxy', 'HTTPS_PROXY');
  const none = firstSet(env, 'no_proxy', 'NO_PROXY');
  if (http === undefined && https === undefined) return undefined;
  return { ...(http !== undefined && { http }), ...(https !== undefined && { https }), ...(none !== undefined && { none }) };
}

function proxyUrl(env: Environment, ...names: readonly string[]): string | undefined {
  const value = firstSet(env, ...names);
  if (value === undefined) return undefined;
  // `proxy.example:3128` without a scheme is common and means http.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // The value is not repeated: it may hold a password.
    throw new AppError('CONFIG_INVALID', `the proxy in ${names.at(-1)} is not an http:// or https:// URL`, {
      hint: 'Write http://host:port; SOCKS proxies are not supported.',
    });
  }
  return url.href;
}
