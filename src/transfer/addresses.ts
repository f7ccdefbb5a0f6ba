// SPDX-License-Identifier: Apache-2.0
import { type LookupAddress, lookup as lookupName } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';

/** From where everybody can be asked to where nobody but this machine, or its platform, can. */
const REACHES = ['public', 'private', 'loopback', 'platform'] as const;
type Reach = (typeof REACHES)[number];

/**
 * Which addresses the servers of a model may have. Link-local ones, where clouds hand out credentials to whoever asks, never: no model comes
 * from there (the SDK asks there by itself, not by way of this). A redirect may not lead further inside than the server that sent it is: a
 * public one could have us ask what only we can reach. What the caller names himself may be anywhere else.
 */
export type Addresses = {
  /** The caller named it. @throws CONFIG_INVALID */
  given(url: URL): void;
  /** A server that was asked sent us there. @throws SOURCE_UNAVAILABLE */
  redirected(from: URL, to: URL): void;
  /** For sockets, so that what is checked is what is connected to, whatever the name server says next time. */
  readonly lookup: LookupFunction;
};

const BLOCKS: readonly (readonly [Reach, BlockList])[] = [
  [
    'platform',
    blockList(
      ...['169.254.0.0/16', 'fe80::/10', '64:ff9b::a9fe:0/112'],
      // Metadata services elsewhere: AWS by IPv6, Google by IPv6, Alibaba, Oracle, Azure.
      ...['fd00:ec2::/32', 'fd20:ce::254/128', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'],
    ),
  ],
  ['loopback', blockList('127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128')],
  ['private', blockList('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')],
];

export function createAddresses(lookup: typeof lookupName = lookupName): Addresses {
  /** By host name: where redirects led, and from how far out. */
  const limits = new Map<string, { readonly furthest: Reach; readonly from: string }>();
  const named = new Set<string>();
  /** Of these, the ones that may be asked, as far as the name itself tells. */
  const passed = new Set<string>();
  const reached = new Map<string, Reach>();

  /** What keeps us from this address, if anything does. */
  function refusal(host: string, address: string): AppError | undefined {
    const reach = reachOf(address);
    const limit = named.has(host) ? undefined : limits.get(host);
    if (limit === undefined) {
      if (reach !== 'platform') return undefined;
      return new AppError('CONFIG_INVALID', `${host} has the address ${address}, which is link-local or of a metadata service: no model comes from there`, {
        hint: 'Correct the address of the source, the bundle or the key; credentials are looked for at such addresses without being told.',
        context: { found: address, retry: 'no' },
      });
    }
    if (reach !== 'platform' && depth(reach) <= depth(limit.furthest)) return undefined;
    return new AppError('SOURCE_UNAVAILABLE', `${limit.from} redirects to ${host}, whose address ${address} is ${adjective(reach)}, which is refused`, {
      hint: 'Name the final address of the model in the source URI.',
      context: { uri: limit.from, found: address, retry: 'no' },
    });
  }

  function refuseLiteral(host: string): void {
    const problem = isIP(host) === 0 ? undefined : refusal(host, host);
    if (problem !== undefined) throw problem;
  }

  return {
    given(url) {
      const host = hostOf(url);
      named.add(host);
      if (passed.has(host)) return;
      refuseLiteral(host);
      passed.add(host);
    },
    redirected(from, to) {
      const [host, sender] = [hostOf(to), hostOf(from)];
      if (host === sender) return;
      // Nobody was looked up for a proxy: what lies behind it is out there.
      const furthest = isIP(sender) === 0 ? (reached.get(sender) ?? 'public') : reachOf(sender);
      const before = limits.get(host);
      if (before === undefined || depth(before.furthest) < depth(furthest)) limits.set(host, { furthest, from: redactUri(from.href) });
      refuseLiteral(host);
    },
    lookup(host, options, callback) {
      lookup(host, { ...options, all: true }, (error, found: LookupAddress[]) => {
        if (error !== null) return callback(error, []);
        const allowed = found.filter(({ address }) => refusal(host, address) === undefined);
        const [first] = allowed;
        if (first === undefined) return callback(refusal(host, found[0]?.address ?? '') ?? new Error('no address'), []);
        reached.set(host, outermost(allowed.map(({ address }) => reachOf(address))));
        if (options.all === true) callback(null, allowed);
        else callback(null, first.address, first.family);
      });
    },
  };
}

function reachOf(address: string): Reach {
  const bare = address.replace(/%.*$/, '');
  const family = isIP(bare) === 6 ? 'ipv6' : 'ipv4';
  return BLOCKS.find(([, block]) => block.check(bare, family))?.[0] ?? 'public';
}

function outermost(reaches: readonly Reach[]): Reach {
  return REACHES.find((reach) => reaches.includes(reach)) ?? 'public';
}

function depth(reach: Reach): number {
  return REACHES.indexOf(reach);
}

function adjective(reach: Reach): string {
  return reach === 'platform' ? 'link-local or of a metadata service' : reach === 'loopback' ? 'this machine' : reach;
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function blockList(...subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/');
    list.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
