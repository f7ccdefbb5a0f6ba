// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { MAX_BUNDLE_BYTES, type ParsedBundle, parseBundle } from '../../src/oms/bundle.ts';
import { makeKeys, signResources } from '../support/signer.ts';
import { filesNamed, refused } from './payload.ts';

type Json = Record<string, unknown>;
type Bundle = { mediaType: unknown; verificationMaterial: Json; dsseEnvelope: Json & { signatures: Json[] } };

const KEYS = makeKeys();
const SIGNED = signResources(filesNamed('a', 'b'), KEYS);
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const certificate = (text: string): Json => ({ rawBytes: base64(text) });

/** The signed bundle after `edit`, parsed. */
function edited(edit: (bundle: Bundle) => unknown): ParsedBundle {
  const bundle = JSON.parse(SIGNED.toString()) as Bundle;
  edit(bundle);
  return parseBundle(Buffer.from(JSON.stringify(bundle)));
}

function material(value: unknown): ParsedBundle['material'] {
  return edited((bundle) => Object.assign(bundle, { verificationMaterial: value })).material;
}

const malformed = (message?: RegExp): unknown => refused('BUNDLE_MALFORMED', message);

describe('a bundle', () => {
  it('comes apart into payload, signature and hint', () => {
    const { envelope, material } = parseBundle(SIGNED);
    expect(JSON.parse(envelope.payload.toString())).toMatchObject({ _type: 'https://in-toto.io/Statement/v1' });
    expect(envelope.signature[0]).toBe(0x30);
    expect(material).toEqual({ kind: 'key', hint: expect.stringMatching(/^[0-9a-f]{64}$/), timestamps: [] });
  });

  it('keeps the payload’s bytes exactly as they were signed', () => {
    const odd = '{ "a" : 1.0,\n"b":"\\u00e4" }  ';
    expect(edited((b) => Object.assign(b.dsseEnvelope, { payload: base64(odd) })).envelope.payload.toString()).toBe(odd);
  });

  it.each(['', 'null', '[]', '"bundle"', '1', '{}', '[{}]', 'model.sig', '{"mediaType":"x"'])('is a JSON object with everything in it, not %j', (text) => {
    expect(() => parseBundle(Buffer.from(text))).toThrow(malformed());
  });

  it('has no byte order mark, no other encoding than UTF-8, nothing behind it and no member twice', () => {
    const text = SIGNED.toString();
    for (const wrong of [`\ufeff${text}`, Buffer.from(text, 'utf16le'), `${text}x`, `${text}${text}`, text.replace('"keyid":""', '"keyid":"\u00ff"')]) {
      expect(() => parseBundle(typeof wrong === 'string' ? Buffer.from(wrong, 'latin1') : wrong)).toThrow(malformed());
    }
    expect(() => parseBundle(Buffer.from(`\ufeff${text}`))).toThrow(malformed());
    const twice = [
      text.replace('{', '{"mediaType":"other",'),
      text.replace('{', '{"media\\u0054ype":"other",'),
      text.replace('"signatures":', '"payload":"e30=","signatures":'),
      text.replace('"sig":', '"\\u0073ig":"AAAA","sig":'),
    ];
    for (const bundle of twice) expect(() => parseBundle(Buffer.from(bundle))).toThrow(malformed(/appears twice|written with an escape/));
    expect(() => parseBundle(Buffer.from(`${text}\n`))).not.toThrow();
  });

  it('may not be larger than the limit, which is checked before anything is parsed', () => {
    expect(() => parseBundle(SIGNED, SIGNED.length)).not.toThrow();
    expect(() => parseBundle(SIGNED, SIGNED.length - 1)).toThrow(refused('LIMIT_EXCEEDED', /--max-bundle-size/));
    expect(() => parseBundle(Buffer.alloc(MAX_BUNDLE_BYTES + 1))).toThrow(refused('LIMIT_EXCEEDED'));
  });

  it.each([
    undefined,
    null,
    0.3,
    '',
    'application/vnd.dev.sigstore.bundle+json;version=0.1',
    'application/vnd.dev.sigstore.bundle+json;version=0.3',
    'application/vnd.dev.sigstore.bundle.v0.3+json ',
    'Application/vnd.dev.sigstore.bundle.v0.3+json',
    'application/vnd.dev.sigstore.bundle.v0.4+json',
  ])('says the one media type of OMS §8.1, not %j', (mediaType) => {
    expect(() => edited((b) => Object.assign(b, { mediaType }))).toThrow(malformed(/mediaType is not/));
  });

  it('has no members that nobody defined, at any level that is ours', () => {
    expect(() => edited((b) => Object.assign(b, { extra: 1 }))).toThrow(malformed(/bundle has unknown member 'extra'/));
    expect(() => edited((b) => Object.assign(b.dsseEnvelope, { payload2: 1 }))).toThrow(malformed(/dsseEnvelope has unknown member 'payload2'/));
    expect(() => edited((b) => Object.assign(b.dsseEnvelope.signatures[0] ?? {}, { cert: 1 }))).toThrow(malformed(/signatures\[0\] has unknown member 'cert'/));
    expect(() => edited((b) => Object.assign(b.verificationMaterial, { content: 1 }))).toThrow(malformed(/verificationMaterial has unknown member 'content'/));
    expect(() => parseBundle(Buffer.from(SIGNED.toString().replace('{', '{"__proto__":{},')))).toThrow(malformed(/unknown member '__proto__'/));
    expect(() => edited((b) => Object.assign(b, { '\u001b[2J\u202e\u009b': 1 }))).toThrow(malformed(/'\\u001b\[2J\\u202e\\u009b'/));
  });

  it('collects everything that is wrong into one message', () => {
    expect(() =>
      edited((b) => {
        b.mediaType = 'x';
        b.dsseEnvelope['payloadType'] = 'y';
        b.verificationMaterial = {};
      }),
    ).toThrow(malformed(/mediaType.*payloadType.*verificationMaterial/));
  });
});

describe('the envelope', () => {
  it.each([undefined, null, 'application/json', 'application/vnd.in-toto+json; charset=utf-8', 'application/vnd.in-toto+JSON', ''])(
    'has the payload type of in-toto, not %j',
    (payloadType) => {
      expect(() => edited((b) => Object.assign(b.dsseEnvelope, { payloadType }))).toThrow(malformed(/payloadType is not/));
    },
  );

  it.each([undefined, null, [], 'x', 1])('is an object, not %j', (dsseEnvelope) => {
    expect(() => edited((b) => Object.assign(b, { dsseEnvelope }))).toThrow(malformed(/dsseEnvelope is missing or not an object/));
  });

  it.each([undefined, null, {}, [], '', { '0': { sig: 'AAAA' } }])('has a list of signatures, not %j', (signatures) => {
    expect(() => edited((b) => Object.assign(b.dsseEnvelope, { signatures }))).toThrow(malformed(/signatures is missing or empty/));
  });

  it.each([null, 'AAAA', 1, []])('has objects for signatures, not %j', (entry) => {
    expect(() => edited((b) => Object.assign(b.dsseEnvelope, { signatures: [entry] }))).toThrow(malformed(/signatures\[0\] is not an object/));
  });

  it('has one signature: a second one, good or bad, is refused', () => {
    expect(() => edited(({ dsseEnvelope }) => dsseEnvelope.signatures.push({ ...dsseEnvelope.signatures[0] }))).toThrow(malformed(/2 entries, expected 1/));
    expect(() => edited(({ dsseEnvelope }) => dsseEnvelope.signatures.push({ sig: 'AAAA' }))).toThrow(malformed(/2 entries, expected 1/));
    expect(() => edited(({ dsseEnvelope }) => dsseEnvelope.signatures.unshift({ sig: 'AAAA' }))).toThrow(malformed(/2 entries, expected 1/));
  });

  it('may have a keyid that is absent, empty, null or any text, and never uses it', () => {
    const { envelope } = parseBundle(SIGNED);
    for (const keyid of [undefined, null, '', 'somebody']) {
      const parsed = edited((b) => Object.assign(b.dsseEnvelope.signatures[0] ?? {}, { keyid }));
      expect(parsed.envelope).toEqual(envelope);
      expect(JSON.stringify(parsed.material)).not.toContain('somebody');
    }
    for (const keyid of [1, {}, [''], true]) {
      expect(() => edited((b) => Object.assign(b.dsseEnvelope.signatures[0] ?? {}, { keyid }))).toThrow(malformed(/keyid is not a string/));
    }
  });

  it.each([undefined, null, 1, '', 'e30', 'e30==', 'e3 0=', 'e30=\n', ' e30=', '-_-_', 'e31=', '!!!!', 'e30=e30=', '=', 'äää=', '{}'])(
    'holds canonical base64 with padding, not %j',
    (text) => {
      expect(() => edited((b) => Object.assign(b.dsseEnvelope, { payload: text }))).toThrow(malformed(/payload is not base64/));
      expect(() => edited((b) => Object.assign(b.dsseEnvelope.signatures[0] ?? {}, { sig: text }))).toThrow(malformed(/sig is not base64/));
    },
  );

  it('is decoded in pieces as if it were one', () => {
    const payload = (text: string) => edited((b) => Object.assign(b.dsseEnvelope, { payload: text })).envelope.payload;
    for (const length of [49_151, 49_152, 49_153, 98_303, 98_304, 98_305]) {
      const bytes = Buffer.alloc(length, 'any content');
      const text = bytes.toString('base64');
      expect(payload(text).equals(bytes)).toBe(true);
      for (const at of [65_535, 65_536, text.length - 1]) {
        for (const wrong of ['=', '-', ' ', '\n', 'ä', '\u0141', '\\']) {
          const changed = text.slice(0, at) + wrong + text.slice(at + 1);
          // '=' in place of the last letter can be another right text.
          if (Buffer.from(changed, 'base64').toString('base64') !== changed) expect(() => payload(changed)).toThrow(malformed(/payload is not base64/));
        }
        expect(() => payload(`${text.slice(0, at)}=${text.slice(at)}`)).toThrow(malformed(/payload is not base64/));
      }
    }
    const [a, b] = [Buffer.alloc(49_151, 'a').toString('base64'), Buffer.alloc(3, 'b').toString('base64')];
    expect(a.endsWith('=') && a.length === 65_536).toBe(true);
    expect(() => payload(a + b)).toThrow(malformed(/payload is not base64/));
  });

  it('may be written with escapes', () => {
    const text = SIGNED.toString();
    const payload = (JSON.parse(text) as Bundle).dsseEnvelope['payload'] as string;
    const escaped = text.replace(payload, `\\u${payload.charCodeAt(0).toString(16).padStart(4, '0')}${payload.slice(1).replaceAll('/', '\\/')}`);
    expect(parseBundle(Buffer.from(escaped))).toStrictEqual(parseBundle(SIGNED));
    const long = text.replace(payload, Buffer.alloc(60_000, 0xff).toString('base64').replaceAll('/', '\\/'));
    expect(parseBundle(Buffer.from(long)).envelope.payload.equals(Buffer.alloc(60_000, 0xff))).toBe(true);
  });

  it('goes to the Sigstore library whole', () => {
    const bundle = JSON.parse(SIGNED.toString()) as Bundle;
    bundle.verificationMaterial = { certificate: certificate('x'), tlogEntries: [{}] };
    expect(parseBundle(Buffer.from(JSON.stringify(bundle))).material).toMatchObject({ kind: 'sigstore', bundle });
  });

  it('takes base64 exactly when it is what encoding its bytes gives', () => {
    const base64ish = fc.array(fc.constantFrom(...'ABab01+/-_= \n'), { minLength: 1, maxLength: 9 }).map((c) => c.join(''));
    fc.assert(
      fc.property(fc.oneof(base64ish, fc.base64String({ minLength: 1 })), (text) => {
        const canonical = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/.test(text);
        const parse = (): ParsedBundle => edited((b) => Object.assign(b.dsseEnvelope, { payload: text }));
        if (canonical) expect(parse().envelope.payload.toString('base64')).toBe(text);
        else expect(parse).toThrow(malformed(/payload is not base64/));
      }),
    );
  });
});

describe('the verification material', () => {
  it.each([undefined, null, [], 'key'])('is an object, not %j', (value) => {
    expect(() => material(value)).toThrow(malformed(/verificationMaterial is missing or not an object/));
  });

  it('is that of exactly one method (OMS §4.1, §11.1)', () => {
    const key = { hint: 'a' };
    const chain = { certificates: [certificate('leaf')] };
    expect(() => material({})).toThrow(malformed(/none of publicKey/));
    expect(() => material({ tlogEntries: [] })).toThrow(malformed(/none of publicKey/));
    expect(() => material({ publicKey: key, x509CertificateChain: chain })).toThrow(malformed(/more than one of/));
    expect(() => material({ publicKey: key, certificate: certificate('leaf'), tlogEntries: [{}] })).toThrow(malformed(/more than one of/));
    expect(() => material({ publicKey: null })).toThrow(malformed(/none of publicKey/));
    expect(material({ publicKey: null, x509CertificateChain: chain, certificate: null })).toMatchObject({ kind: 'certificate' });
  });

  it('of a key gives the hint only: the key inside the bundle is the attacker’s to choose', () => {
    expect(material({ publicKey: { hint: 'abc', rawBytes: base64('a key') } })).toEqual({ kind: 'key', hint: 'abc', timestamps: [] });
    expect(material({ publicKey: { rawBytes: base64('a key'), keyDetails: 'PKIX_ECDSA_P256_SHA_256' } })).toEqual({ kind: 'key', timestamps: [] });
    expect(material({ publicKey: { hint: '' } })).toEqual({ kind: 'key', timestamps: [] });
    expect(material({ publicKey: { hint: null } })).toEqual({ kind: 'key', timestamps: [] });
  });

  it.each([{}, { keyDetails: 'x' }, { hint: 1 }, { hint: ['a'] }, { rawBytes: 1 }, { hint: 'a', rawBytes: null }, null, [], 'abc'])(
    'of a key has a hint or the old rawBytes, not %j',
    (publicKey) => {
      expect(() => material({ publicKey })).toThrow(malformed(/publicKey/));
    },
  );

  it('of a certificate is a list of 1 to 16 certificates, in order', () => {
    expect(material({ x509CertificateChain: { certificates: [certificate('leaf'), certificate('ca')] } })).toEqual({
      kind: 'certificate',
      chain: [Buffer.from('leaf'), Buffer.from('ca')],
      timestamps: [],
    });
    const many = (count: number): unknown => ({ x509CertificateChain: { certificates: Array.from({ length: count }, () => certificate('x')) } });
    expect(material(many(16))).toHaveProperty('chain.length', 16);
    expect(() => material(many(17))).toThrow(malformed(/1 to 16/));
    for (const chain of [null, {}, [], { certificates: [] }, { certificates: {} }])
      expect(() => material({ x509CertificateChain: chain })).toThrow(malformed());
    for (const entry of [null, 'AAAA', {}, { rawBytes: '' }, { rawBytes: 'A' }]) {
      expect(() => material({ x509CertificateChain: { certificates: [certificate('leaf'), entry] } })).toThrow(malformed(/is not base64/));
      expect(() => material({ x509CertificateChain: { certificates: [entry] } })).toThrow(malformed(/is not base64/));
    }
  });

  it('needs a log entry for sigstore, and for nothing else', () => {
    expect(material({ certificate: certificate('leaf'), tlogEntries: [{}] })).toMatchObject({ kind: 'sigstore', certificate: Buffer.from('leaf') });
    for (const tlogEntries of [undefined, []]) {
      expect(() => material({ certificate: certificate('leaf'), tlogEntries })).toThrow(malformed(/tlogEntries is empty/));
      expect(material({ publicKey: { hint: 'a' }, tlogEntries })).toMatchObject({ kind: 'key' });
      expect(material({ x509CertificateChain: { certificates: [certificate('x')] }, tlogEntries })).toMatchObject({ kind: 'certificate' });
    }
    for (const tlogEntries of [null, {}, 'x']) expect(() => material({ publicKey: { hint: 'a' }, tlogEntries })).toThrow(malformed(/not an array/));
    expect(() => material({ certificate: {}, tlogEntries: [{}] })).toThrow(malformed(/certificate.rawBytes is not base64/));
  });

  it.each<[string, unknown]>([
    ['', 'text'],
    ['', null],
    ['.logIndex', { logIndex: 7 }],
    ['.integratedTime', { integratedTime: 1_700_000_000 }],
    ['.logId.keyId', { logId: { keyId: 1 } }],
    ['.kindVersion', { kindVersion: 'dsse' }],
    ['.inclusionPromise', { inclusionPromise: [] }],
    ['.inclusionProof.hashes', { inclusionProof: { hashes: ['AAAA', 1] } }],
    ['.inclusionProof.checkpoint.envelope', { inclusionProof: { checkpoint: { envelope: {} } } }],
    ['.canonicalizedBody', { canonicalizedBody: true }],
  ])('has log entries of the form of the schema, whatever the method is: tlogEntries, entry %s', (member, entry) => {
    const good = { logIndex: '7', inclusionPromise: null, inclusionProof: { hashes: [] }, future: 1 };
    for (const method of [{ publicKey: { hint: 'a' } }, { certificate: certificate('leaf') }]) {
      expect(() => material({ ...method, tlogEntries: [good, good] })).not.toThrow();
      expect(() => material({ ...method, tlogEntries: [good, entry] })).toThrow(malformed(new RegExp(`tlogEntries\\[1\\]${member} has another type`)));
    }
  });

  it('may carry up to 16 timestamps', () => {
    const stamped = (data: unknown): unknown => ({ publicKey: { hint: 'a' }, timestampVerificationData: data });
    const stamp = { signedTimestamp: base64('stamp') };
    expect(material(stamped({ rfc3161Timestamps: [stamp] })).timestamps).toEqual([Buffer.from('stamp')]);
    for (const none of [undefined, null, {}, { rfc3161Timestamps: [] }]) expect(material(stamped(none)).timestamps).toEqual([]);
    expect(() => material(stamped({ rfc3161Timestamps: Array(17).fill(stamp) }))).toThrow(malformed(/at most 16/));
    for (const bad of [[], 'x', { rfc3161Timestamps: {} }]) expect(() => material(stamped(bad))).toThrow(malformed(/at most 16/));
    for (const bad of [null, {}, { signedTimestamp: 'x' }]) {
      expect(() => material(stamped({ rfc3161Timestamps: [bad] }))).toThrow(malformed(/timestamp is not base64/));
    }
  });
});

describe('whatever stands in the file', () => {
  /** A parsed bundle or an AppError with a reason, and nothing else. */
  function survives(bytes: Uint8Array): void {
    try {
      const { envelope, material } = parseBundle(Buffer.from(bytes));
      expect(envelope.payload.length).toBeGreaterThan(0);
      expect(['key', 'certificate', 'sigstore']).toContain(material.kind);
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({ code: expect.stringMatching(/^(BUNDLE_MALFORMED|LIMIT_EXCEEDED)$/), message: expect.stringMatching(/^\P{Cc}*$/u) });
    }
  }

  it('arbitrary bytes and arbitrary JSON are refused, and crash nothing', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
    fc.assert(fc.property(fc.json({ stringUnit: 'binary' }), (text) => survives(Buffer.from(text))));
  });

  it('a bundle with bytes changed, cut out or put in is parsed or refused, and crashes nothing', () => {
    fc.assert(
      fc.property(fc.nat(SIGNED.length), fc.nat(20), fc.uint8Array({ maxLength: 20 }), (at, cut, put) => {
        survives(Buffer.concat([SIGNED.subarray(0, at), put, SIGNED.subarray(at + cut)]));
      }),
      { numRuns: 500 },
    );
  });

  it('a bundle with any value in the place of any other is parsed or refused, and crashes nothing', () => {
    const paths = pathsOf(JSON.parse(SIGNED.toString()));
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const bundle = JSON.parse(SIGNED.toString()) as Json;
        const parent = path.slice(0, -1).reduce<unknown>((node, name) => (node as Json)[name], bundle) as Json;
        parent[path.at(-1) ?? ''] = value;
        survives(Buffer.from(JSON.stringify(bundle)));
      }),
      { numRuns: 500 },
    );
  });
});

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...path, name]));
  return path.length === 0 ? below : [path, ...below];
}
