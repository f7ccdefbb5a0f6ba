// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding, preAuthEncodingV020 } from '../../src/oms/dsse.ts';

const envelope = (payload: Uint8Array): Envelope => ({ payload: Buffer.from(payload), payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(0) });

describe('the encoding that is signed', () => {
  it('counts bytes, not characters, of the decoded payload', () => {
    expect(preAuthEncoding(envelope(Buffer.from('{"ä":1}'))).toString()).toBe('DSSEv1 28 application/vnd.in-toto+json 8 {"ä":1}');
    expect(preAuthEncoding(envelope(Buffer.alloc(0))).toString()).toBe('DSSEv1 28 application/vnd.in-toto+json 0 ');
  });

  it('keeps every byte of the payload as it is, valid UTF-8 or not', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (payload) => {
        const head = Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `);
        expect(preAuthEncoding(envelope(payload)).equals(Buffer.concat([head, payload]))).toBe(true);
      }),
    );
  });

  it('of version 0.2.0 has a capital V and the payload as Python prints bytes', () => {
    const encoded = (payload: Buffer): string => preAuthEncodingV020(envelope(payload)).toString();
    expect(encoded(Buffer.from('{"a": "b"}\n'))).toBe('DSSEV1 28 application/vnd.in-toto+json 11 b\'{"a": "b"}\\n\'');
    expect(encoded(Buffer.from('a\tb\rc\\d\u0001\u007fä'))).toBe("DSSEV1 28 application/vnd.in-toto+json 11 b'a\\tb\\rc\\\\d\\x01\\x7f\\xc3\\xa4'");
    expect(encoded(Buffer.from("it's"))).toBe('DSSEV1 28 application/vnd.in-toto+json 4 b"it\'s"');
    expect(encoded(Buffer.from('it\'s "b"'))).toBe("DSSEV1 28 application/vnd.in-toto+json 8 b'it\\'s \"b\"'");
  });

  it('of version 0.2.0 is never that of today, and tells payloads apart', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 20 }), (a, b) => {
        expect(preAuthEncodingV020(envelope(a)).equals(preAuthEncoding(envelope(b)))).toBe(false);
        expect(preAuthEncodingV020(envelope(a)).equals(preAuthEncodingV020(envelope(b)))).toBe(Buffer.compare(a, b) === 0);
      }),
    );
  });
});
