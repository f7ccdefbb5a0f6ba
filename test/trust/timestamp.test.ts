// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyTimestamp } from '../../src/trust/timestamp.ts';
import { type Certificate, readCertificate } from '../../src/trust/x509.ts';
import {
  authority,
  type CertificateOptions,
  CODE_SIGNING,
  days,
  intermediate,
  keyPair,
  NOW,
  type Party,
  root,
  TIME_STAMPING,
  type TimestampOptions,
  timestamp,
} from './pki.ts';

const signature = Buffer.from('a signature');
const at = days(-1);

let ca: Party;
let tsa: Party;

beforeAll(async () => {
  ca = await root({ subject: 'tsa root' });
  tsa = await authority(ca);
});

async function check(response: Buffer, ...authorities: readonly Party[]) {
  const read = authorities.map(({ der }) => readCertificate(der));
  return verifyTimestamp(
    response,
    signature,
    read.filter((c): c is Certificate => c !== undefined),
    NOW,
  );
}

function unproven(text: string) {
  return { kind: 'unproven', problem: expect.stringContaining(text) };
}

describe('a timestamp proves its time', () => {
  it('by a signer below a given root', async () => {
    await expect(check(await timestamp(signature, tsa, { at }), ca)).resolves.toEqual({ kind: 'proven', at, authority: 'CN=timestamp authority' });
  });

  it('when only granted with modifications', async () => {
    await expect(check(await timestamp(signature, tsa, { at, status: 1 }), ca)).resolves.toMatchObject({ kind: 'proven' });
  });

  it('with the signer given instead of embedded', async () => {
    const bare = await timestamp(signature, tsa, { at, embed: [] });
    await expect(check(bare, ca)).resolves.toMatchObject(unproven('no given timestamp authority'));
    await expect(check(bare, ca, tsa)).resolves.toMatchObject({ kind: 'proven' });
    await expect(check(bare, tsa)).resolves.toMatchObject({ kind: 'proven' });
  });

  it('through an embedded intermediate', async () => {
    const inter = await intermediate(ca, { subject: 'tsa intermediate', purposes: [TIME_STAMPING] });
    const below = await authority(inter);
    await expect(check(await timestamp(signature, below, { at, embed: [below, inter] }), ca)).resolves.toMatchObject({ kind: 'proven' });
  });

  it('by an RSA authority, as most public ones are', async () => {
    const rsa = await authority(ca, { key: 'rsa-2048' });
    await expect(check(await timestamp(signature, rsa, { at }), ca)).resolves.toMatchObject({ kind: 'proven' });
  });
});

describe('a timestamp proves nothing', () => {
  it('below an unknown root', async () => {
    await expect(check(await timestamp(signature, tsa, { at }), await root())).resolves.toMatchObject(unproven('no given timestamp authority'));
  });

  it('over something else', async () => {
    await expect(check(await timestamp(signature, tsa, { at, imprintOf: Buffer.from('other') }), ca)).resolves.toMatchObject({ kind: 'unproven' });
  });

  it('signed with another key than the certificate’s', async () => {
    await expect(check(await timestamp(signature, tsa, { at, signWith: keyPair('P-256') }), ca)).resolves.toMatchObject({ kind: 'unproven' });
  });

  it('before or after the authority’s own validity', async () => {
    const short = await authority(ca, { from: days(-20), to: days(-10) });
    await expect(check(await timestamp(signature, short, { at }), ca)).resolves.toMatchObject(unproven('no given'));
    await expect(check(await timestamp(signature, short, { at: days(-15) }), ca)).resolves.toMatchObject({ kind: 'proven' });
  });

  it('from the future', async () => {
    await expect(check(await timestamp(signature, tsa, { at: days(1) }), ca)).resolves.toMatchObject(unproven('future'));
  });

  it.each<[string, CertificateOptions]>([
    ['without a purpose', { purposes: [] }],
    ['for code signing', { purposes: [CODE_SIGNING] }],
    ['with another purpose besides', { purposes: [TIME_STAMPING, CODE_SIGNING] }],
    ['with an uncritical purpose', { purposesCritical: false }],
    ['that may not sign', { keyUsage: ['keyAgreement'] }],
  ])('by a certificate %s', async (_, options) => {
    const wrong = await authority(ca, options);
    await expect(check(await timestamp(signature, wrong, { at }), ca)).resolves.toMatchObject({ kind: 'unproven' });
  });

  it.each<[string, TimestampOptions, string]>([
    ['refused by its authority', { status: 2 }, 'not granted'],
    ['of another content type', { contentType: '1.2.840.113549.1.7.1' }, 'no timestamp'],
    ['whose signature is over another content type', { signedContentType: '1.2.840.113549.1.7.1' }, 'content type'],
    ['without signed content type', { signedContentType: undefined }, 'content type'],
    ['with two signers', { signers: 2 }, 'one signer'],
    ['with a SHA-1 imprint', { imprintHash: 'sha1' }, 'digest'],
  ])('when it is one %s', async (_, options, problem) => {
    await expect(check(await timestamp(signature, tsa, { at, ...options }), ca)).resolves.toMatchObject(unproven(problem));
  });

  it('as garbage, cut off, with any byte flipped, or when it is huge', async () => {
    const good = await timestamp(signature, tsa, { at });
    await expect(check(Buffer.from('garbage'), ca)).resolves.toMatchObject(unproven('cannot be read'));
    await expect(check(good.subarray(0, good.length - 10), ca)).resolves.toMatchObject({ kind: 'unproven' });
    await expect(check(Buffer.alloc(70_000), ca)).resolves.toMatchObject(unproven('larger'));
    // The token's last bytes are its signature.
    const flipped = Buffer.from(good);
    flipped[good.length - 1] = (flipped[good.length - 1] ?? 0) ^ 1;
    await expect(check(flipped, ca)).resolves.toMatchObject({ kind: 'unproven' });
  });

  it('for another time, whichever byte of it is altered', async () => {
    const good = await timestamp(signature, tsa, { at });
    for (let i = 0; i < good.length; i += 11) {
      const altered = Buffer.from(good);
      altered[i] = (altered[i] ?? 0) ^ 1;
      const verdict = await check(altered, ca);
      if (verdict.kind === 'proven') expect(verdict.at).toEqual(at);
    }
  });
});
