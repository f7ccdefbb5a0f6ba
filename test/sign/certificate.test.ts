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
import { days, extension, intermediate, keyPair, leaf, NOW, type Party, pem, root, SERVER_AUTH } from '../trust/pki.ts';

const CA = await root();
const BETWEEN = await intermediate(CA);
const SIGNER = await leaf(BETWEEN);
const PAST = await leaf(CA, { from: days(-20), to: days(-10) });

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

describe('what is wrong with a certificate', () => {
  const exactly = (message: string) => expect.objectContaining({ code: 'SIGNING_KEY_INVALID', message });
  const file = (name: string, text: string) => ({ bytes: Buffer.from(text), name });
  const parse = (own: string, ...chain: readonly string[]) =>
    parseSigningChain(
      file('own.pem', own),
      chain.map((text, i) => file(`chain-${i}.pem`, text)),
      keyOf(SIGNER),
      NOW,
    );
  const block = (content: string): string => `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`;

  it('is told of the file that it stands in', () => {
    expect(() => parse('')).toThrow(exactly('own.pem holds no PEM certificate'));
    expect(() => parse(pem(SIGNER), pem(CA), 'hello')).toThrow(exactly('chain-1.pem holds no PEM certificate'));
    expect(() => parse(pem(SIGNER), `${pem(CA)}${block('AAAA')}`)).toThrow(exactly('chain-0.pem holds a certificate that cannot be read'));
    expect(() => parse(block('AAAA'))).toThrow(expect.objectContaining({ cause: expect.any(Error) }));
  });

  it.each([
    ['other letters in it', block('AA,A')],
    ['another label', pem(SIGNER).replaceAll('CERTIFICATE', 'X509 CERTIFICATE')],
    ['no beginning', pem(SIGNER).replace('BEGIN', 'END')],
    ['no end', pem(SIGNER).replace('END', 'BEGIN')],
  ])('is that it is none, with %s', (_what, text) => {
    expect(() => parse(text)).toThrow(exactly('own.pem holds no PEM certificate'));
  });

  it('is not the text around it, nor its line ends', () => {
    expect(parse(`subject: é\n${pem(SIGNER)}\nissuer:\n`)).toEqual([SIGNER.der]);
    expect(parse(pem(SIGNER).replaceAll('\n', '\r\n'))).toEqual([SIGNER.der]);
  });

  it('is told with its subject, as one printable line', async () => {
    const key = keyPair('P-256');
    const other = 'in certificate.pem belongs to another key than the private key given';
    expect(() => chainOf(SIGNER, [], key)).toThrow(exactly(`the certificate 'CN=leaf' ${other}`));
    const odd = await leaf(CA, { subject: `a\u202eb${'c'.repeat(300)}` });
    expect(() => chainOf(odd, [], key)).toThrow(exactly(`the certificate 'CN=a\\u202eb${'c'.repeat(189)}…' ${other}`));
  });

  it('is told with what to do about it', async () => {
    const server = await leaf(CA, { purposes: [SERVER_AUTH] });
    const hint = expect.stringContaining('extended key usage includes codeSigning');
    expect(() => chainOf(server)).toThrow(expect.objectContaining({ code: 'SIGNING_KEY_INVALID', hint, cause: expect.any(Error) }));
  });

  it('is a time that is past or to come', async () => {
    const when = 'is valid from May 12 12:00:00 2026 GMT to May 22 12:00:00 2026 GMT, not now';
    expect(() => parseSigningChain(fileOf(PAST), [], keyOf(PAST), NOW)).toThrow(exactly(`the certificate 'CN=leaf' in certificate.pem ${when}`));
    const coming = await leaf(CA, { from: days(1), to: days(2) });
    expect(() => chainOf(coming)).toThrow(refused('not now'));
    expect(parseSigningChain(fileOf(PAST), [], keyOf(PAST), days(-15))).toEqual([PAST.der]);
  });

  it('is more than sixteen of them, each counted once', async () => {
    const others = await Promise.all(Array.from({ length: 16 }, () => root()));
    expect(chainOf(SIGNER, [...others.slice(1), ...others.slice(1)])).toHaveLength(16);
    expect(() => chainOf(SIGNER, others)).toThrow(exactly('there are 17 certificates, at most 16 fit into a bundle'));
  });

  it('is a length that no verifier reads', async () => {
    const large = await leaf(CA, { extra: [extension('1.2.3.4', new Uint8Array(65_536).buffer)] });
    expect(() => chainOf(large)).toThrow(exactly('the certificate in certificate.pem cannot be read'));
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
