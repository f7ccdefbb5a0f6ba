// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { readClaimedSigner } from '../../src/trust/claims.ts';
import { days, leaf, root } from './pki.ts';
import { IDENTITY, ISSUER, SIGNED_AT, startInstance } from './sigstoreInstance.ts';

it('a bundle by key claims its hint, where it has one, and nobody’s certificate', () => {
  expect(readClaimedSigner({ kind: 'key', hint: 'abc', timestamps: [] })).toStrictEqual({ hint: 'abc', certificates: [], times: [] });
  expect(readClaimedSigner({ kind: 'key', timestamps: [Buffer.from('nonsense')] })).toStrictEqual({ certificates: [], times: [] });
});

it('a keyless bundle claims its identity, issuer and the log’s time', async () => {
  const { material } = await (await startInstance()).sign();
  const claimed = readClaimedSigner(material);
  expect(claimed).toMatchObject({ identity: IDENTITY, issuer: ISSUER, certificates: [{ subject: '' }], times: [{ source: 'log', at: SIGNED_AT }] });
});

it.each([undefined, 'text', 7, { length: 1 }])('log entries that are no list (%j) are none', (tlogEntries) => {
  const bundle = { verificationMaterial: { tlogEntries } };
  expect(readClaimedSigner({ kind: 'sigstore', certificate: Buffer.alloc(0), timestamps: [], bundle } as never).times).toEqual([]);
});

it.each([1_700_000_000, ['1700000000'], null, '', '0', '-5', 'soon', '1e40'])('the time %j of a log entry is none', (integratedTime) => {
  const bundle = { verificationMaterial: { tlogEntries: [{ logIndex: '1', integratedTime }, null] } };
  expect(readClaimedSigner({ kind: 'sigstore', certificate: Buffer.alloc(0), timestamps: [], bundle } as never).times).toEqual([]);
});

it('serial numbers are in small letters, as elsewhere', async () => {
  const { der } = await leaf(await root(), { serial: Buffer.from('01abcdef01abcdef01abcdef01abcdef', 'hex'), to: days(1) });
  expect(readClaimedSigner({ kind: 'certificate', chain: [der], timestamps: [] }).certificates).toMatchObject([{ serial: '01abcdef01abcdef01abcdef01abcdef' }]);
});
