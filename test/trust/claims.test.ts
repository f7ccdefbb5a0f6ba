// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { readClaimedSigner } from '../../src/trust/claims.ts';
import { authority, days, email, intermediate, leaf, NOW, root, timestamp } from './pki.ts';

const CA = await root();

describe('what a bundle says of its signer', () => {
  it('is told of every certificate, leaf first, and of the time a timestamp claims', async () => {
    const between = await intermediate(CA);
    const signer = await leaf(between, { names: [email('ml@example.com')] });
    const stamp = await timestamp(Buffer.from('signature'), await authority(CA), { at: days(-1) });
    const claimed = readClaimedSigner({ kind: 'certificate', chain: [signer.der, between.der], timestamps: [stamp, Buffer.from('nonsense')] });
    expect(claimed.certificates).toMatchObject([
      { subject: 'CN=leaf', names: ['ml@example.com'], issuer: 'CN=intermediate', notAfter: days(30) },
      { subject: 'CN=intermediate', issuer: 'CN=root' },
    ]);
    expect(claimed.times).toEqual([{ source: 'timestamp', at: days(-1) }]);
  });

  it('is told of certificates without a subject, as keyless ones are, and of bytes that are none', async () => {
    const nameless = await leaf(CA, { subject: [], from: NOW });
    const claimed = readClaimedSigner({ kind: 'certificate', chain: [nameless.der, Buffer.from('nonsense')], timestamps: [] });
    expect(claimed.certificates).toMatchObject([{ subject: '', notBefore: NOW }, 'unreadable']);
  });

  it('is told of log entries with their times, where they have any', () => {
    const entry = { logIndex: '7', integratedTime: '1700000000' };
    const bundle = { verificationMaterial: { tlogEntries: [entry, { logIndex: '8' }, 'nonsense', { integratedTime: '99999999999999999999' }] } };
    const claimed = readClaimedSigner({ kind: 'sigstore', certificate: Buffer.from('nonsense'), timestamps: [], bundle });
    expect(claimed).toEqual({ certificates: ['unreadable'], times: [{ source: 'log', at: new Date(1_700_000_000_000), logIndex: '7' }] });
  });
});
