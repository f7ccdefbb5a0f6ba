// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import { parseBundle } from '../../src/oms/bundle.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { writeBundle, writeStatement } from '../../src/oms/write.ts';
import { parseSigningChain } from '../../src/sign/certificate.ts';
import { parseSigningKey } from '../../src/sign/key.ts';
import { signStatement } from '../../src/sign/sign.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { days, intermediate, keyPair, leaf, NOW, type Party, pem, root, SERVER_AUTH } from '../trust/pki.ts';

const CA = await root();
const BETWEEN = await intermediate(CA);
const SIGNER = await leaf(BETWEEN);

const keyOf = (party: Pick<Party, 'privateKey'>) =>
  parseSigningKey({ bytes: Buffer.from(party.privateKey.export({ type: 'pkcs8', format: 'pem' })), name: 'key.pem' });
const fileOf = (...parties: readonly Party[]) => ({ bytes: Buffer.from(pem(...parties)), name: 'certificate.pem' });
const chainOf = (own: Party, chain: readonly Party[] = [], key: Pick<Party, 'privateKey'> = own) =>
  parseSigningChain(
    fileOf(own),
    chain.map((c) => fileOf(c)),
    keyOf(key),
    NOW,
  );
const refused = (message: string) => expect.objectContaining({ code: 'SIGNING_KEY_INVALID', message: expect.stringContaining(message) });

describe('the certificates of a bundle', () => {
  it('begin with the signer’s own and keep the order of the chain, each once', () => {
    expect(chainOf(SIGNER, [SIGNER, BETWEEN, CA, BETWEEN])).toEqual([SIGNER.der, BETWEEN.der, CA.der]);
  });

  it('may all stand in one file', () => {
    expect(parseSigningChain(fileOf(SIGNER, BETWEEN), [], keyOf(SIGNER), NOW)).toEqual([SIGNER.der, BETWEEN.der]);
  });

  it('are refused where a verifier would refuse them: another key, another purpose, another time', async () => {
    expect(() => chainOf(SIGNER, [], keyPair('P-256'))).toThrow(refused('belongs to another key'));
    const server = await leaf(CA, { purposes: [SERVER_AUTH] });
    expect(() => chainOf(server)).toThrow(refused('for other purposes than code signing'));
    const expired = await leaf(CA, { from: days(-20), to: days(-10) });
    expect(() => chainOf(expired)).toThrow(refused('not now'));
  });

  it('are refused when a file holds none, or something broken', () => {
    const key = keyOf(SIGNER);
    expect(() => parseSigningChain({ bytes: Buffer.from('hello'), name: 'x' }, [], key, NOW)).toThrow(refused('holds no PEM certificate'));
    const broken = { bytes: Buffer.from('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'), name: 'x' };
    expect(() => parseSigningChain(broken, [], key, NOW)).toThrow(refused('cannot be read'));
  });
});

describe('a bundle signed with a certificate', () => {
  it('verifies below the root, with the intermediate it carries', async () => {
    const statement = writeStatement({
      subjectName: 'model',
      files: [{ path: 'a' as ModelPath, parts: [{ range: 'whole', digest: '0'.repeat(64) as HexDigest }] }],
      algorithm: 'sha256',
      symlinks: 'reject',
      ignored: [],
    });
    const bundle = parseBundle(writeBundle(signStatement(statement, keyOf(SIGNER)), { kind: 'certificate', chain: chainOf(SIGNER, [BETWEEN]) }));
    const payload = await verifySignature(bundle, { kind: 'certificate', anchors: [CA.der], helpers: [], timestampAuthorities: [], expired: 'refuse' }, NOW);
    expect(payload.bytes.equals(statement.bytes)).toBe(true);
  });
});
