// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIP } from 'node:net';
import type { HttpSettings } from '../source/source.ts';

/** The proxy for this URL; undefined: it is reached directly. */
export function proxyFor(url: URL, proxy: HttpSettings['proxy']): string | undefined {
  const uri = url.protocol === 'https:' ? proxy?.https : proxy?.http;
  return uri === undefined || bypassesProxy(url, proxy?.none ?? '') ? undefined : uri;
}

/**
 * Whether NO_PROXY exempts this URL: names with all their subdomains (`example.com`, `.example.com`, `*.example.com`), `*`, an optional
 * port, and addresses or CIDR blocks, which Kubernetes clusters list and HTTP libraries mostly ignore.
 */
export function bypassesProxy(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return inBlock(entry, host);
  const { name, onlyPort } = splitPort(entry);
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (name === '*') return true;
  const bare = name.replace(/^\*?\./, '').replace(/\.$/, '');
  if (bare === '') return false;
  return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`));
}

/** `host`, `host:port`, `::1` or `[::1]:port`. */
function splitPort(entry: string): { readonly name: string; readonly onlyPort?: string } {
  const parts = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(entry);
  const name = parts?.[1] ?? parts?.[2] ?? entry;
  return parts?.[3] === undefined ? { name } : { name, onlyPort: parts[3] };
}

function inBlock(entry: string, host: string): boolean {
  const version = isIP(host);
  const [network = '', bits = ''] = entry.split('/');
  if (version === 0 || isIP(network) !== version || !/^\d{1,3}$/.test(bits) || Number(bits) > (version === 4 ? 32 : 128)) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const block = new BlockList();
  block.addSubnet(network, Number(bits), family);
  return block.check(host, family);
}
