// SPDX-License-Identifier: Apache-2.0
import { Integer } from 'asn1js';
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP_BYTES } from '../../src/base/limits.ts';
import { checkOwnTimestamp, claimedTime, provenTimes, verifyTimestamp } from '../../src/trust/timestamp.ts';
import { type Certificate, readCertificate } from '../../src/trust/x509.ts';
import { authority, CODE_SIGNING, days, intermediate, keyPair, NOW, type Party, root, TIME_STAMPING, type TimestampOptions, timestamp } from './pki.ts';

// Which check says that a timestamp proves nothing, and what the three other readers make of one.

const signature = Buffer.from('a signature');
const at = days(-1);
const SERIAL = Buffer.from('01000000000000000000000000000001', 'hex');
let ca: Party;
let tsa: Party;

beforeAll(async () => {
  ca = await root({ subject: 'tsa root' });
  tsa = await authority(ca);
});

function certificatesOf(parties: readonly Party[]): readonly Certificate[] {
  return parties.map(({ der }) => readCertificate(der)).filter((certificate) => certificate !== undefined);
}

async function problemOf(response: Buffer, ...authorities: readonly Party[]): Promise<string> {
  const verdict = await verifyTimestamp(response, signature, certificatesOf(authorities), NOW);
  return verdict.kind === 'unproven' ? verdict.problem.replace(/^the timestamp /, '') : `proven ${verdict.authority}`;
}

describe('why a timestamp proves nothing is told', () => {
  it.each<[string, TimestampOptions]>([
    ['was not granted by its authority', { status: 2 }],
    ['was not granted by its authority', { status: 5 }],
    ['holds no timestamp', { contentType: '1.2.840.113549.1.7.1' }],
    ['does not have exactly one signer', { signers: 2 }],
    ['does not sign its content type', { signedContentType: undefined }],
    ['does not sign its content type', { signedContentType: '1.2.840.113549.1.7.1' }],
    ['uses a digest that is not accepted', { imprintHash: 'sha1' }],
    ['is from the future (2026-06-02T12:00:00.000Z)', { at: days(1) }],
    ['cannot be read or does not verify', { imprintOf: Buffer.from('other') }],
  ])('%s', async (problem, options) => {
    expect(await problemOf(await timestamp(signature, tsa, { at, ...options }), ca)).toBe(problem);
  });

  it('cannot be read or does not verify', async () => {
    const good = await timestamp(signature, tsa, { at });
    for (const bad of [Buffer.alloc(0), Buffer.from('garbage'), good.subarray(0, good.length - 10), Buffer.alloc(MAX_TIMESTAMP_BYTES)])
      expect(await problemOf(bad, ca)).toBe('cannot be read or does not verify');
    expect(await problemOf(await timestamp(signature, tsa, { at, signWith: keyPair('P-256') }), ca)).toMatch(
      /^cannot be read or does not verify$|own signature is wrong/,
    );
  });

  it('is larger than 64 KiB', async () => {
    expect(await problemOf(Buffer.alloc(MAX_TIMESTAMP_BYTES + 1), ca)).toBe('is larger than 65536 bytes');
  });

  it('is from no given timestamp authority, which is one for timestamps alone, valid at that time', async () => {
    const others = [
      await authority(ca, { purposes: [CODE_SIGNING] }),
      await authority(ca, { purposes: [TIME_STAMPING, CODE_SIGNING] }),
      await authority(ca, { purposesCritical: false }),
      await authority(ca, { keyUsage: ['keyAgreement'] }),
      await authority(ca, { from: days(-20), to: days(-10) }),
      await authority(await root({ subject: 'another' })),
    ];
    for (const other of others) expect(await problemOf(await timestamp(signature, other, { at }), ca)).toBe('is from no given timestamp authority');
    expect(await problemOf(await timestamp(signature, tsa, { at }))).toBe('is from no given timestamp authority');
  });

  it('fits several certificates, of which two are tried', async () => {
    const twins = await Promise.all([1, 2, 3].map(() => authority(ca, { serial: SERIAL })));
    const [first = tsa, second = tsa] = twins;
    const stamp = await timestamp(signature, second, { at, embed: [] });
    expect(await problemOf(stamp, ca, ...twins)).toBe('fits 3 certificates');
    expect(await problemOf(stamp, ca, second, second)).toBe('proven CN=timestamp authority');
    expect(await problemOf(stamp, ca, first)).toBe('is not over this signature, or its own signature is wrong (CN=timestamp authority)');
    const sameSerial = await authority(await root({ subject: 'other root' }), { serial: SERIAL });
    expect(await problemOf(stamp, ca, second, sameSerial)).toBe('proven CN=timestamp authority');
  });

  it('has its intermediate among the first 16 embedded certificates', async () => {
    const inter = await intermediate(ca, { subject: 'tsa intermediate', purposes: [TIME_STAMPING] });
    const below = await authority(inter);
    const fillers = await Promise.all(Array.from({ length: 15 }, (_, n) => root({ subject: `filler ${n}` })));
    expect(await problemOf(await timestamp(signature, below, { at, embed: [...fillers.slice(1), below, inter] }), ca)).toBe('proven CN=timestamp authority');
    expect(await problemOf(await timestamp(signature, below, { at, embed: [...fillers, below, inter] }), ca)).toBe('is from no given timestamp authority');
  });
});

it('the times of several timestamps are those that given authorities prove; what is no certificate is no authority', async () => {
  const stranger = await authority(await root());
  const timestamps = [await timestamp(signature, tsa, { at }), await timestamp(signature, stranger, { at: days(-2) }), Buffer.from('garbage')];
  expect(await provenTimes({ timestamps }, { signature }, [Buffer.from('garbage'), ca.der], NOW)).toEqual([{ source: 'timestamp', at }]);
  expect(await provenTimes({ timestamps }, { signature }, [], NOW)).toEqual([]);
});

describe('the time a timestamp claims', () => {
  it('is read without checking who says so', async () => {
    expect(claimedTime(await timestamp(Buffer.from('anything'), tsa, { at }))).toEqual(at);
  });

  it('is none in garbage, in something else, and in what is too long', async () => {
    for (const bad of [Buffer.from('garbage'), Buffer.alloc(MAX_TIMESTAMP_BYTES + 1), await timestamp(signature, tsa, { signers: 2 })])
      expect(claimedTime(bad)).toBeUndefined();
  });
});

describe('a fresh timestamp is taken by the signer', () => {
  const NONCE = Buffer.from('4102030405060708090a0b0c0d0e0f10', 'hex');
  const nonce = new Integer({ valueHex: new Uint8Array(NONCE).buffer });
  const check = async (options: TimestampOptions, over = 'a signature') =>
    checkOwnTimestamp(await timestamp(Buffer.from(over), tsa, { at, embed: [tsa, ca], nonce, ...options }), signature, NONCE, NOW);

  it('when it would prove its time to whoever trusts its own certificates', async () => {
    expect(await check({})).toEqual({ kind: 'proven', at, authority: 'CN=timestamp authority' });
  });

  it.each<[string, TimestampOptions, string?]>([
    ['does not repeat the nonce of the request', { nonce: new Integer({ value: 7 }) }],
    ['does not repeat the nonce of the request', { nonce: undefined as never }],
    ['cannot be read or does not verify', {}, 'other'],
    ['is from no given timestamp authority', { embed: [] }],
    ['was not granted by its authority', { status: 2 }],
    ['is from the future', { at: days(1) }],
  ])('not when it %s', async (problem, options, over) => {
    expect(await check(options, over)).toEqual({ kind: 'unproven', problem: expect.stringContaining(`the timestamp ${problem}`) });
  });

  it('not when it is garbage', async () => {
    expect(await checkOwnTimestamp(Buffer.from('garbage'), signature, NONCE, NOW)).toEqual({
      kind: 'unproven',
      problem: 'the timestamp cannot be read or does not verify',
    });
  });
});
