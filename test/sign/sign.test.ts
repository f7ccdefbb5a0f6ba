// SPDX-License-Identifier: Apache-2.0
import { verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Statement } from '../../src/oms/write.ts';
import { signStatement } from '../../src/sign/sign.ts';
import { keyPair } from '../trust/pki.ts';

const STATEMENT = { bytes: Buffer.from('{"a":"é"}') } as Statement;

describe('the envelope over a statement', () => {
  it.each([
    ['P-256', 'sha256'],
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ] as const)('holds it, and a signature over its encoding: %s with %s', (curve, hash) => {
    const pair = keyPair(curve);
    const { payload, payloadType, signature } = signStatement(STATEMENT, pair);
    expect(payload.toString()).toBe('{"a":"é"}');
    expect(payloadType).toBe('application/vnd.in-toto+json');
    expect(verify(hash, Buffer.from('DSSEv1 28 application/vnd.in-toto+json 10 {"a":"é"}'), pair.publicKey, signature)).toBe(true);
  });

  it('does not leave with a signature that its own key does not verify', () => {
    const { privateKey } = keyPair('P-256');
    const { publicKey } = keyPair('P-256');
    expect(() => signStatement(STATEMENT, { privateKey, publicKey })).toThrow(
      expect.objectContaining({ code: 'INTERNAL', message: 'the new signature does not verify' }),
    );
  });
});
