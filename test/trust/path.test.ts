// SPDX-License-Identifier: Apache-2.0
import { GeneralName } from 'pkijs';
import { beforeAll, describe, expect, it } from 'vitest';
import { validatePath } from '../../src/trust/path.ts';
import { alternativeNames, type Certificate, extendedKeyUsage, hasKeyUsage, isValidAt, OID, pathLengthLimit, readCertificate } from '../../src/trust/x509.ts';
import {
  type CertificateOptions,
  CODE_SIGNING,
  days,
  dns,
  email,
  extension,
  intermediate,
  issue,
  keyPair,
  leaf,
  NOW,
  nameConstraints,
  type Party,
  root,
  SERVER_AUTH,
  uri,
} from './pki.ts';

// Which rule of RFC 5280 refuses a path; that such bundles are refused is in certificate.test.ts.

let ca: Party;
let inter: Party;

beforeAll(async () => {
  ca = await root();
  inter = await intermediate(ca);
});

function read({ der }: Party): Certificate {
  const certificate = readCertificate(der);
  if (certificate === undefined) throw new Error('no certificate');
  return certificate;
}

/** `valid`, `outdated NAME`, or what is wrong. */
async function resultOf(signer: Party, helpers: readonly Party[], anchors: readonly Party[] = [ca], at = NOW): Promise<string> {
  const result = await validatePath({ leaf: read(signer), anchors: anchors.map(read), helpers: helpers.map(read), purpose: OID.codeSigning, at });
  switch (result.kind) {
    case 'valid':
      return `valid, ${result.path.length} certificates`;
    case 'outdated':
      return `outdated ${result.outdated.x509.subject}`;
    case 'invalid':
      return result.problem;
  }
}

const NULL = new Uint8Array([5, 0]).buffer;

describe('a path', () => {
  it('ends at the first anchor, and may be the leaf alone', async () => {
    const signer = await leaf(inter);
    expect(await resultOf(signer, [inter])).toBe('valid, 3 certificates');
    expect(await resultOf(signer, [], [ca, inter])).toBe('valid, 2 certificates');
    expect(await resultOf(signer, [], [signer])).toBe('valid, 1 certificates');
  });

  it('that is not there says where it ended', async () => {
    const signer = await leaf(inter);
    expect(await resultOf(signer, [])).toBe("'CN=leaf' was issued by 'CN=intermediate', and no given certificate vouches for that");
    expect(await resultOf(signer, [inter], [await root({ subject: 'other' })])).toBe(
      "'CN=intermediate' was issued by 'CN=root', and no given certificate vouches for that",
    );
    expect(await resultOf(signer, [inter, ca], [await root({ subject: 'other' })])).toBe("'CN=root' is self-signed, but is not one of the given anchors");
    const posing = await intermediate(ca, { subject: 'root' });
    expect(await resultOf(posing, [], [await root({ subject: 'other' })])).toBe("'CN=root' was issued by 'CN=root', and no given certificate vouches for that");
  });

  it('has at most 8 certificates', async () => {
    const chain: Party[] = [];
    for (let issuer = ca, level = 0; level < 7; level++) {
      issuer = await intermediate(issuer, { subject: `level ${level}` });
      chain.unshift(issuer);
    }
    const [last = ca, ...above] = chain;
    expect(await resultOf(await leaf(above[0] ?? ca), above)).toBe('valid, 8 certificates');
    expect(await resultOf(await leaf(last), chain)).toMatch(/and no given certificate vouches for that$/);
  });

  it('is not looked for in more than 128 ways', async () => {
    const twin = keyPair('P-256');
    const base = await root({ subject: 'twin', key: twin });
    const twins = await Promise.all(Array.from({ length: 14 }, () => intermediate(base, { subject: 'twin', key: twin })));
    expect(await resultOf(await leaf(base), twins)).toBe('there are too many ways to combine the certificates (more than 128)');
  });
});

describe('an issuer', () => {
  const issuedBy = async (options: CertificateOptions): Promise<string> => {
    const issuer = await issue({ subject: 'issuer', issuer: ca, ca: true, keyUsage: ['keyCertSign'], ...options });
    return resultOf(await leaf(issuer), [issuer]);
  };

  it.each<[string, CertificateOptions]>([
    ["'CN=issuer' issued a certificate, but is not a CA", { ca: false }],
    ["'CN=issuer' is a CA for other purposes only", { purposes: [SERVER_AUTH] }],
    ["'CN=issuer' has the extension 1.2.3 twice", { extra: [extension('1.2.3', NULL), extension('1.2.3', NULL)] }],
    ["'CN=issuer' has the unknown critical extension 1.2.3", { extra: [extension('1.2.3', NULL, true)] }],
    ['valid, 3 certificates', { extra: [extension('1.2.3', NULL)] }],
    ['valid, 3 certificates', { purposes: [SERVER_AUTH, CODE_SIGNING] }],
    ['valid, 3 certificates', { purposes: ['2.5.29.37.0'] }],
    ['valid, 3 certificates', { key: 'rsa-2048' }],
    ['outdated CN=issuer', { from: days(-20), to: days(-10) }],
  ])('%s', async (result, options) => {
    expect(await issuedBy(options)).toBe(result);
  });

  it('has to be allowed to sign certificates', async () => {
    expect(await issuedBy({ keyUsage: ['digitalSignature'] })).toMatch(/issued a certificate without the key usage keyCertSign|no given certificate vouches/);
  });

  it('that is an anchor may have other purposes, any signature, but no weak key', async () => {
    const tls = await root({ subject: 'tls', purposes: [SERVER_AUTH] });
    expect(await resultOf(await leaf(tls), [], [tls])).toBe('valid, 2 certificates');
    const sha1 = await root({ subject: 'sha1', key: 'rsa-2048', hash: 'SHA-1' });
    expect(await resultOf(await leaf(sha1), [], [sha1])).toBe('valid, 2 certificates');
    const weak = await root({ subject: 'weak', key: 'rsa-1024' });
    expect(await resultOf(await leaf(weak), [], [weak])).toBe("'CN=weak' has an RSA key of 1024 bits, at least 2048 are needed");
  });

  it('limits how many stand below it, not counting those of its own name', async () => {
    const short = await root({ subject: 'short', pathLength: 1 });
    const one = await intermediate(short, { subject: 'one' });
    const two = await intermediate(one, { subject: 'two' });
    expect(await resultOf(await leaf(one), [one], [short])).toBe('valid, 3 certificates');
    expect(await resultOf(await leaf(two), [two, one], [short])).toBe("'CN=short' allows 1 intermediate certificates below it, there are 2");
    const renewed = await intermediate(one, { subject: 'one' });
    expect(await resultOf(await leaf(renewed), [renewed, one], [short])).toBe('valid, 4 certificates');
  });
});

it('an extension that cannot be read is not taken for an empty one', async () => {
  const policies = extension('2.5.29.32', new Uint8Array([4, 0]).buffer, true);
  expect(await resultOf(await leaf(ca, { extra: [policies] }), [])).toMatch(
    /^'CN=leaf' has an unreadable extension 2\.5\.29\.32$|no given certificate vouches/,
  );
});

it('a signature by SHA-1 is refused where it counts', async () => {
  const rsa = await root({ subject: 'rsa', key: 'rsa-2048' });
  expect(await resultOf(await leaf(rsa, { hash: 'SHA-1' }), [], [rsa])).toMatch(/^'CN=leaf' is signed with an algorithm that is not accepted \(.*sha1.*\)$/i);
});

it('a path that is only outdated says more than one that is wrong', async () => {
  const [key, other] = [keyPair('P-256'), await root({ subject: 'other' })];
  const old = await intermediate(ca, { key, from: days(-20), to: days(-10) });
  const wrong = await issue({ subject: 'intermediate', issuer: other, key, ca: true, keyUsage: ['keyCertSign'], purposes: [SERVER_AUTH] });
  const signer = await leaf(old);
  for (const helpers of [
    [old, wrong],
    [wrong, old],
  ])
    expect(await resultOf(signer, helpers, [ca, other])).toBe('outdated CN=intermediate');
  expect(await resultOf(signer, [wrong], [ca, other])).toBe("'CN=intermediate' is a CA for other purposes only");
});

describe('name constraints', () => {
  const below = async (constrained: Party, options: CertificateOptions): Promise<string> => resultOf(await leaf(constrained, options), [constrained]);

  it('are applied to e-mail addresses, hosts and URIs', async () => {
    const mail = await intermediate(ca, { extra: [nameConstraints([email('example.com')])] });
    expect(await below(mail, { names: [email('a@example.com')] })).toBe('valid, 3 certificates');
    expect(await below(mail, { names: [email('a@evil.example')] })).not.toMatch(/^valid/);
    const hosts = await intermediate(ca, { extra: [nameConstraints([], [dns('evil.example')])] });
    expect(await below(hosts, { names: [dns('good.example')] })).toBe('valid, 3 certificates');
    expect(await below(hosts, { names: [dns('www.evil.example')] })).not.toMatch(/^valid/);
  });

  it('of an anchor count, those it permits and those it excludes', async () => {
    for (const constraints of [nameConstraints([], [dns('evil.example')]), nameConstraints([dns('good.example')])]) {
      const limited = await root({ subject: 'limited', extra: [constraints] });
      expect(await resultOf(await leaf(limited, { names: [dns('www.good.example')] }), [], [limited])).toBe('valid, 2 certificates');
      expect(await resultOf(await leaf(limited, { names: [dns('www.evil.example')] }), [], [limited])).not.toMatch(/^valid/);
    }
  });

  it('that the library cannot judge are refused', async () => {
    const outer = await intermediate(ca, { subject: 'outer', extra: [nameConstraints([dns('example')])] });
    const inner = await intermediate(outer, { subject: 'inner', extra: [nameConstraints([dns('example')])] });
    expect(await resultOf(await leaf(inner, { names: [dns('a.example')] }), [inner, outer])).toBe(
      'more than one certificate of the path has name constraints, which is not supported',
    );
    for (const constraints of [
      nameConstraints([new GeneralName({ type: 8, value: '1.2.3' })]),
      nameConstraints([], [new GeneralName({ type: 8, value: '1.2.3' })]),
    ])
      expect(await below(await intermediate(ca, { extra: [constraints] }), {})).toBe('the path has name constraints on a form of name that is not supported');
    const subject = [['1.2.840.113549.1.9.1', 'a@example.com']] as const;
    const mail = await intermediate(ca, { extra: [nameConstraints([], [email('evil.example')])] });
    expect(await below(mail, { subject })).toBe('the path has constraints on e-mail addresses and one in a subject, which is not supported');
    const hosts = await intermediate(ca, { extra: [nameConstraints([], [dns('evil.example')])] });
    expect(await below(hosts, { subject })).toBe('valid, 3 certificates');
  });
});

describe('a certificate', () => {
  it('is DER of at most 64 KiB, and nothing else', async () => {
    const { der } = await leaf(ca);
    expect(readCertificate(der)?.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    const big = await leaf(ca, { extra: [extension('1.2.3', new Uint8Array(64 * 1024 - der.length - 40).buffer)] });
    expect([big.der.length > 65_000, readCertificate(big.der) !== undefined]).toEqual([true, true]);
    const bigger = await leaf(ca, { extra: [extension('1.2.3', new Uint8Array(64 * 1024).buffer)] });
    for (const bad of [Buffer.alloc(0), Buffer.concat([der, Buffer.alloc(1)]), Buffer.from('garbage'), bigger.der])
      expect(readCertificate(bad)).toBeUndefined();
  });

  it('is valid from its first to its last second', async () => {
    const certificate = read(await leaf(ca, { from: days(-1), to: days(1) }));
    const second = (at: Date, by: number): Date => new Date(at.getTime() + by * 1000);
    expect([days(-1), days(1)].map((at) => isValidAt(certificate, at))).toEqual([true, true]);
    expect([second(days(-1), -1), second(days(1), 1)].map((at) => isValidAt(certificate, at))).toEqual([false, false]);
  });

  it('says what it is for, where it does', async () => {
    const plain = read(await issue({ issuer: ca }));
    expect([extendedKeyUsage(plain), hasKeyUsage(plain, 'digitalSignature'), pathLengthLimit(plain), alternativeNames(plain)]).toEqual([
      undefined,
      undefined,
      undefined,
      [],
    ]);
    const full = read(
      await issue({
        issuer: ca,
        ca: true,
        pathLength: 3,
        keyUsage: ['keyCertSign'],
        purposes: [CODE_SIGNING],
        purposesCritical: true,
        names: [email('a@example.com'), dns('example.com'), uri('https://example.com/'), new GeneralName({ type: 8, value: '1.2.3' })],
      }),
    );
    expect(extendedKeyUsage(full)).toEqual({ purposes: [CODE_SIGNING], critical: true });
    expect([hasKeyUsage(full, 'digitalSignature'), hasKeyUsage(full, 'keyCertSign'), pathLengthLimit(full)]).toEqual([false, true, 3]);
    expect(alternativeNames(full)).toEqual(['a@example.com', 'example.com', 'https://example.com/']);
  });
});
