// SPDX-License-Identifier: Apache-2.0
// Denial by cost: bundles whose reading would take more memory or time than a pod has. Each runs in a process with a small heap.
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BUNDLE_MEDIA_TYPE } from '../../src/oms/bundle.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { KEYS, SMALL_MODEL, signed, writeTree } from '../support/model.ts';
import { type Ended, runGate } from '../support/run.ts';
import { makeStatement, type Resource, resourceOf, signResources } from '../support/signer.ts';
import * as pki from '../trust/pki.ts';
import { IDENTITY, ISSUER, startInstance } from '../trust/sigstoreInstance.ts';

const MIB = 1024 * 1024;
/** What is left of a container of 256 MiB. With the defects these tests are for, each took 1 to 4 GB, or minutes. */
const HEAP = '--max-old-space-size=192';
const MAX_MS = 20_000;

const tmp = fileScratch();

type Trust = Readonly<Record<string, string>>;

/** Pulls a local model with this bundle; refused with a reason, in time, and nothing is left. */
async function refused(bundle: Buffer, reason: string, trust: Trust = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem }): Promise<Ended> {
  const at = tmp.fresh();
  writeTree(`${at}/source`, { ...SMALL_MODEL, 'model.sig': bundle });
  const ended = await runGate(['pull', `${at}/source`, `${at}/to/models`], { env: { ...trust, NODE_OPTIONS: HEAP } });
  expect({ code: ended.code, reason: ended.termination['reason'] }).toEqual({ code: 1, reason });
  expect(ended.ms).toBeLessThan(MAX_MS);
  expect(existsSync(`${at}/to/models`)).toBe(false);
  return ended;
}

/** The member's value is a list of `unit`, as long as a bundle of `bytes` allows. */
function bomb(unit: string, bytes: number): Buffer {
  const body = Buffer.alloc(Math.floor(bytes / unit.length) * unit.length, unit);
  return Buffer.concat([Buffer.from('{"mediaType":['), body, Buffer.from('0]}')]);
}

describe('a bundle that costs more than it says', () => {
  test.each(['[],', '{},', '1,', '"",', '{"":[]},', '[[[[]]]],'])('by millions of small values: %j', async (unit) => {
    expect((await refused(bomb(unit, 40 * MIB), 'BUNDLE_MALFORMED')).terminationText).toContain('values');
  });

  test('by millions of log entries, for the method that reads them', async () => {
    const valid = JSON.parse(String(signed(SMALL_MODEL)['model.sig'])) as { verificationMaterial: Record<string, unknown> };
    const entries = Array.from({ length: 500_000 }, () => ({}));
    const bundle = { ...valid, verificationMaterial: { certificate: { rawBytes: 'AAAA' }, tlogEntries: entries } };
    await refused(Buffer.from(JSON.stringify(bundle)), 'BUNDLE_MALFORMED', {
      MODEL_GATE_IDENTITY: 'a@example.com',
      MODEL_GATE_ISSUER: 'https://issuer.example',
    });
  });

  test('by a genuine certificate over a payload that the encoding of v0.2.0 would blow up', async () => {
    // The certificate is no secret: whoever has one bundle of the signer has it.
    const root = await pki.root({ from: pki.days(-1, new Date()), to: pki.days(30, new Date()) });
    const leaf = await pki.leaf(root, { from: pki.days(-1, new Date()), to: pki.days(30, new Date()) });
    const bundle = {
      mediaType: BUNDLE_MEDIA_TYPE,
      verificationMaterial: { x509CertificateChain: { certificates: [{ rawBytes: leaf.der.toString('base64') }] } },
      dsseEnvelope: {
        payload: Buffer.alloc(24 * MIB, 0xff).toString('base64'),
        payloadType: 'application/vnd.in-toto+json',
        signatures: [{ sig: pki.signatureOf(leaf).toString('base64') }],
      },
    };
    await refused(Buffer.from(JSON.stringify(bundle)), 'SIGNATURE_INVALID', { MODEL_GATE_CA: pki.pem(root) });
  });
});

/** Anybody can issue such a certificate; it has to be read before it can be known who did. */
describe('a keyless certificate that costs more than it says', () => {
  test('by strings that the reader looks into again and again', async () => {
    const strings = Buffer.alloc(400, Buffer.from([4, 2, 4, 10]));
    const leaf = await pki.leaf(await pki.root(), { extra: [pki.extension('1.2.3.4', new Uint8Array(strings).buffer)] });
    const { material } = await (await startInstance()).sign();
    const bundle = structuredClone(material.bundle) as { verificationMaterial: { certificate: { rawBytes: string } } };
    bundle.verificationMaterial.certificate.rawBytes = leaf.der.toString('base64');
    const trust = { MODEL_GATE_IDENTITY: IDENTITY, MODEL_GATE_ISSUER: ISSUER };
    await refused(Buffer.from(JSON.stringify(bundle)), 'CERT_CHAIN_INVALID', trust);
  });
});

/** By a signer who is trusted, if perhaps for other models. */
describe('a signed manifest that costs more than it says', () => {
  const named = (names: readonly string[], options = {}): Buffer =>
    signResources(
      names.map((name): Resource => ({ ...digest, name })),
      KEYS,
      options,
    );
  const digest = resourceOf('x', 'x');

  test('by names that are nested without end', async () => {
    const names = Array.from({ length: 500 }, (_, i) => `${String(i).padStart(6, '0')}${'/a'.repeat(2000)}`);
    expect((await refused(named(names), 'PATH_UNSAFE')).terminationText).toContain('nested deeper than 256 levels');
  });

  test('by more directories than entries are allowed', async () => {
    const names = Array.from({ length: 5000 }, (_, i) => `${String(i).padStart(6, '0')}${'/a'.repeat(250)}`);
    expect((await refused(named(names), 'LIMIT_EXCEEDED')).terminationText).toContain('--max-entries');
  });

  test('by millions of values that nobody reads', async () => {
    const statement = makeStatement([digest]) as Record<string, unknown>;
    const bundle = signResources([digest], KEYS, { edit: () => ({ ...statement, extra: Array.from({ length: 3_000_000 }, () => []) }) });
    expect((await refused(bundle, 'BUNDLE_MALFORMED')).terminationText).toContain('values');
  });

  test('by hundreds of thousands of ignored paths, each of which every file might lie below: verified in time', async () => {
    const files = Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`file-${String(i).padStart(4, '0')}`, 'x']));
    const ignore_paths = Array.from({ length: 600_000 }, (_, i) => `ignored-${i}-${'i'.repeat(8)}`);
    writeTree(tmp.at('ignoring'), { ...files, 'model.sig': named(Object.keys(files), { serialization: { ignore_paths } }) });
    const ended = await runGate(['verify', tmp.at('ignoring')], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
    expect(ended.code).toBe(0);
    expect(ended.ms).toBeLessThan(MAX_MS);
  });

  test('by many deep names that differ: within the limits, and in time', async () => {
    const names = Array.from({ length: 3000 }, (_, i) => `${String(i).padStart(6, '0')}${'/a'.repeat(250)}`);
    await refused(named(names), 'FILE_MISSING');
  });
});

describe('timestamps that cost more than they say', () => {
  test('by many certificates for one signer prove nothing, and are not looked into', async () => {
    const key = pki.keyPair('P-521');
    const serial = Buffer.alloc(16, 7);
    const [anchor, self] = [await pki.root({ subject: 'authority' }), await pki.root({ subject: 'X', key })];
    const twins: pki.Party[] = [];
    for (let i = 0; i < 15; i++)
      twins.push(await pki.authority(self, { subject: 'X', key, ca: true, keyUsage: ['keyCertSign'], serial, from: pki.days(-365 - i) }));
    const [twin] = twins;
    if (twin === undefined) throw new Error('no certificate');
    const { verifyTimestamp } = await import('../../src/trust/timestamp.ts');
    const { readCertificate } = await import('../../src/trust/x509.ts');
    const authority = readCertificate(anchor.der);
    if (authority === undefined) throw new Error('no authority');
    const response = await pki.timestamp(Buffer.from('signature'), twin, { embed: twins });
    // Without a limit, 15 × 128 signatures are verified for each of up to 16 timestamps.
    const verdict = await verifyTimestamp(response, Buffer.from('signature'), [authority], pki.NOW);
    expect(verdict).toEqual({ kind: 'unproven', problem: 'the timestamp fits 15 certificates' });
  });
});
