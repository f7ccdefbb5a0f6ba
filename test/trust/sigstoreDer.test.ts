// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseSigstoreCertificate, parseSigstoreTimestamp } from '../../src/trust/sigstoreDer.ts';
import * as pki from './pki.ts';
import { startInstance } from './sigstoreInstance.ts';

/** An OCTET STRING of strings that reach into each other: 100 bytes take the library 6,435,015 steps, 50 bytes more a thousand times that. */
const costly = (bytes: number): Buffer =>
  Buffer.concat([bytes < 128 ? Buffer.from([4, bytes]) : Buffer.from([4, 0x81, bytes]), Buffer.alloc(bytes, Buffer.from([4, 2, 4, 10]))]);

/** What it was refused with; the library reads some nonsense without a word. */
function refusal(read: () => unknown): string {
  try {
    read();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the door to the DER reader of @sigstore/core', () => {
  test('lets certificates and timestamp responses pass', async () => {
    const instance = await startInstance();
    const leaf = await pki.leaf(await pki.root());
    for (const { der } of [leaf, instance.ca]) expect(parseSigstoreCertificate(der).notAfter).toEqual(new X509Certificate(der).validToDate);
    const tsa = await pki.authority(await pki.root());
    const stamp = await pki.timestamp(Buffer.from('signature'), tsa, { embed: [tsa] });
    expect(parseSigstoreTimestamp(stamp).signingTime).toEqual(pki.days(-1));
  });

  test.each([60, 120, 250])('counts the steps that strings within strings would take it: %i bytes', (bytes) => {
    const started = performance.now();
    // 60 bytes take some 14,500 steps, which is already more than any certificate.
    for (const parse of [parseSigstoreCertificate, parseSigstoreTimestamp]) expect(refusal(() => parse(costly(bytes)))).toContain('costly');
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test('leaves to the library what is merely wrong', () => {
    for (const bytes of ['', '30', '3080', '0400', '300504030405', '1f00', '0000', '30850000000001', '308700000000000001']) {
      expect(refusal(() => parseSigstoreCertificate(Buffer.from(bytes, 'hex')))).not.toContain('costly');
    }
    // A string that looks like values and is none: read as a string.
    expect(refusal(() => parseSigstoreCertificate(costly(12)))).not.toContain('costly');
  });

  test('reads no more bytes than a certificate or a response has', () => {
    const long = Buffer.concat([Buffer.from([0x30, 0x83, 1, 0, 0]), Buffer.alloc(65_536)]);
    expect(refusal(() => parseSigstoreCertificate(long))).toContain('more than 65536 bytes');
    expect(refusal(() => parseSigstoreTimestamp(long))).toContain('more than 65536 bytes');
  });
});
