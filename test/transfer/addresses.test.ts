// SPDX-License-Identifier: Apache-2.0
import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type Addresses, createAddresses } from '../../src/transfer/addresses.ts';

type Names = Readonly<Record<string, readonly string[]>>;

/** A name server that answers each question with the next of its answers. */
function nameServer(names: Readonly<Record<string, readonly (readonly string[])[]>>): Parameters<typeof createAddresses>[0] {
  const asked = new Map<string, number>();
  const answer = (host: string, _options: unknown, callback: (error: Error | null, found: LookupAddress[]) => void): void => {
    const answers = names[host] ?? [];
    const at = asked.get(host) ?? 0;
    asked.set(host, at + 1);
    const found = answers[Math.min(at, answers.length - 1)] ?? [];
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return answer as unknown as Parameters<typeof createAddresses>[0];
}

const always = (names: Names) => nameServer(Object.fromEntries(Object.entries(names).map(([host, found]) => [host, [found]])));

/** Addresses that a socket would connect to, or the code of the refusal. */
function connectTo(addresses: Addresses, host: string): Promise<readonly string[] | string> {
  return new Promise((resolve) => {
    addresses.lookup(host, { all: true }, (error, found) => {
      if (error !== null) resolve('code' in error ? String(error.code) : 'no code');
      else resolve(Array.isArray(found) ? found.map(({ address }) => address) : [found]);
    });
  });
}

const url = (host: string): URL => new URL(`http://${host}/`);

describe('the address of a server that the caller named', () => {
  test.each(['203.0.113.5', '10.1.2.3', '127.0.0.1', '[::1]', '[fd12::1]', 'localhost', '192.168.0.9', '[2001:db8::1]'])('may be anywhere: %s', (host) => {
    expect(() => createAddresses().given(url(host))).not.toThrow();
  });

  test.each([
    '169.254.169.254',
    '169.254.170.2',
    '2852039166',
    '0xa9fea9fe',
    '0251.0376.0251.0376',
    '169.254.43518',
    '[::ffff:169.254.169.254]',
    '[::ffff:a9fe:a9fe]',
    '[fe80::1]',
    '[febf::1]',
    '[64:ff9b::169.254.169.254]',
    '[fd00:ec2::254]',
    '[fd20:ce::254]',
    '100.100.100.200',
    '168.63.129.16',
  ])('is never link-local or of a metadata service: %s', (host) => {
    expect(() => createAddresses().given(url(host))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('is looked at again where it is a name, and only what was looked at is connected to', async () => {
    const addresses = createAddresses(always({ bad: ['169.254.169.254'], mixed: ['169.254.169.254', '10.0.0.7', 'fe80::1%eth0'], good: ['10.0.0.7'] }));
    for (const host of ['bad', 'mixed', 'good']) addresses.given(url(host));
    expect(await connectTo(addresses, 'bad')).toBe('CONFIG_INVALID');
    expect(await connectTo(addresses, 'mixed')).toEqual(['10.0.0.7']);
    expect(await connectTo(addresses, 'good')).toEqual(['10.0.0.7']);
  });

  test('is not trusted because it was right before', async () => {
    const addresses = createAddresses(nameServer({ turncoat: [['203.0.113.5'], ['169.254.169.254']] }));
    addresses.given(url('turncoat'));
    expect(await connectTo(addresses, 'turncoat')).toEqual(['203.0.113.5']);
    expect(await connectTo(addresses, 'turncoat')).toBe('CONFIG_INVALID');
  });

  test('is given one at a time to whoever asks for one', () => {
    const addresses = createAddresses(always({ good: ['10.0.0.7', '10.0.0.8'] }));
    addresses.lookup('good', {}, (error, address, family) => expect([error, address, family]).toEqual([null, '10.0.0.7', 4]));
  });
});

describe('a redirect', () => {
  const NAMES: Names = {
    public: ['203.0.113.5'],
    elsewhere: ['198.51.100.7'],
    private: ['10.0.0.7'],
    neighbour: ['192.168.3.4'],
    here: ['127.0.0.1'],
    platform: ['169.254.169.254'],
    both: ['10.0.0.7', '203.0.113.5'],
  };

  async function follow(from: string, to: string): Promise<string> {
    const addresses = createAddresses(always(NAMES));
    addresses.given(url(from));
    await connectTo(addresses, from);
    try {
      addresses.redirected(url(from), url(to));
    } catch (error) {
      return (error as { code: string }).code;
    }
    // An address that is written out is not looked up.
    if (isIP(to.replace(/^\[|\]$/g, '')) !== 0) return 'followed';
    const found = await connectTo(addresses, to);
    return typeof found === 'string' ? found : 'followed';
  }

  test.each([
    ['public', 'elsewhere'],
    ['private', 'neighbour'],
    ['private', 'public'],
    ['here', 'private'],
    ['here', 'public'],
    ['here', '127.0.0.2'],
    ['127.0.0.1', 'here'],
    ['private', '10.9.9.9'],
    ['public', 'public'],
    ['public', 'both'],
  ])('may lead out, or as far inside as its sender is: from %s to %s', async (from, to) => {
    expect(await follow(from, to)).toBe('followed');
  });

  test.each([
    ['public', 'private'],
    ['public', 'here'],
    ['public', 'platform'],
    ['public', '10.0.0.7'],
    ['public', '127.0.0.1'],
    ['public', '0.0.0.0'],
    ['public', '[::1]'],
    ['public', '[::ffff:127.0.0.1]'],
    ['private', 'here'],
    ['private', '127.0.0.1'],
    ['private', 'platform'],
    ['here', 'platform'],
    ['here', '169.254.169.254'],
    ['both', 'private'],
    ['203.0.113.9', '192.168.0.1'],
  ])('never leads further inside: from %s to %s', async (from, to) => {
    expect(await follow(from, to)).toBe('SOURCE_UNAVAILABLE');
  });

  test('by a server behind a proxy counts as from outside', () => {
    const addresses = createAddresses(always(NAMES));
    addresses.given(url('behind.a.proxy'));
    expect(() => addresses.redirected(url('behind.a.proxy'), url('10.0.0.7'))).toThrow(expect.objectContaining({ code: 'SOURCE_UNAVAILABLE' }));
  });

  test('leads no further inside by way of a third server', async () => {
    const addresses = createAddresses(always(NAMES));
    addresses.given(url('public'));
    await connectTo(addresses, 'public');
    addresses.redirected(url('public'), url('elsewhere'));
    await connectTo(addresses, 'elsewhere');
    addresses.redirected(url('elsewhere'), url('private'));
    expect(await connectTo(addresses, 'private')).toBe('SOURCE_UNAVAILABLE');
  });

  test('to what the caller named himself is followed, wherever that is', async () => {
    const addresses = createAddresses(always(NAMES));
    addresses.given(url('public'));
    addresses.given(url('private'));
    await connectTo(addresses, 'public');
    addresses.redirected(url('public'), url('private'));
    expect(await connectTo(addresses, 'private')).toEqual(['10.0.0.7']);
  });

  test('is not followed to a host that was public when it was checked and is not when it is connected to', async () => {
    const addresses = createAddresses(nameServer({ public: [['203.0.113.5']], turncoat: [['198.51.100.7'], ['10.0.0.7']] }));
    addresses.given(url('public'));
    await connectTo(addresses, 'public');
    addresses.redirected(url('public'), url('turncoat'));
    expect(await connectTo(addresses, 'turncoat')).toEqual(['198.51.100.7']);
    expect(await connectTo(addresses, 'turncoat')).toBe('SOURCE_UNAVAILABLE');
  });
});
