// SPDX-License-Identifier: Apache-2.0
import { bundleFromJSON } from '@sigstore/bundle';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkLogEntries, checkNewEntry, type LogEntry, logIdOf } from '../../src/trust/logEntry.ts';
import { readTrustMaterial } from '../../src/trust/sigstoreRoot.ts';
import { type Instance, type Json, type SignOptions, startInstance } from './sigstoreInstance.ts';

// The library refuses many of these too, with the same code: here it is seen that we do, and say why.

const KINDS = ['dsse/0.0.1', 'dsse/0.0.2', 'hashedrekord/0.0.2'] as const;
let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});

type Signed = { readonly entry: LogEntry; readonly leaf: Buffer; readonly signature: Buffer };

async function sign(options: SignOptions = {}): Promise<Signed> {
  const { material, envelope } = await instance.sign(options);
  const [entry] = bundleFromJSON(material.bundle).verificationMaterial.tlogEntries;
  if (entry === undefined) throw new Error('no entry');
  return { entry, leaf: material.certificate, signature: envelope.signature };
}

function check(entries: readonly LogEntry[], leaf: Buffer): () => void {
  const root = { json: instance.trustedRoot, description: 'the test root', date: '2026-01-01' };
  return () => checkLogEntries(entries, leaf, readTrustMaterial(root), root);
}

type Proof = NonNullable<LogEntry['inclusionProof']>;
const withProof = (entry: LogEntry, change: Partial<Proof>): LogEntry => ({ ...entry, inclusionProof: { ...(entry.inclusionProof as Proof), ...change } });
const withBody = (entry: LogEntry, body: Buffer | string): LogEntry => ({ ...entry, canonicalizedBody: Buffer.from(body) });
/** The same entry with another JSON as its body, as no log would have proven it: proofs are the library's job. */
function edited(entry: LogEntry, edit: (body: Json) => void): LogEntry {
  const body = JSON.parse(entry.canonicalizedBody.toString()) as Json;
  edit(body);
  return withBody(entry, JSON.stringify(body));
}

const refused = (message: string | RegExp) => expect.objectContaining({ code: 'LOG_PROOF_INVALID', message: expect.stringMatching(message) });

describe('log entries', () => {
  it.each(KINDS)('of the kind %s are accepted for the certificate they name', async (kind) => {
    const { entry, leaf } = await sign({ entry: kind });
    expect(check([entry], leaf)).not.toThrow();
    expect(check([entry], Buffer.from('another'))).toThrow(refused('not about the certificate of the bundle'));
  });

  it('are 1 to 16', async () => {
    const { entry, leaf } = await sign();
    expect(check([], leaf)).toThrow(refused(/has 0 log entries, expected 1 to 16/));
    expect(check(Array<LogEntry>(16).fill(entry), leaf)).not.toThrow();
    expect(check(Array<LogEntry>(17).fill(entry), leaf)).toThrow(refused(/has 17 log entries/));
  });

  it('are all looked at, not the first alone', async () => {
    const { entry, leaf } = await sign();
    expect(check([entry, withBody(entry, '{}')], leaf)).toThrow(refused('labelled as another kind'));
  });

  it('tell what to do', async () => {
    const { leaf } = await sign();
    expect(check([], leaf)).toThrow(expect.objectContaining({ hint: expect.stringContaining('Get it from the publisher again') }));
  });
});

describe('an inclusion proof', () => {
  it('has to be there, with a checkpoint', async () => {
    const { entry, leaf } = await sign();
    for (const without of [{ ...entry, inclusionProof: undefined }, withProof(entry, { checkpoint: undefined })])
      expect(check([without], leaf)).toThrow(refused('no inclusion proof with a checkpoint'));
  });

  it.each<[string, Partial<Proof>]>([
    ['a checkpoint of more than 64 KiB', { checkpoint: { envelope: 'x'.repeat(64 * 1024 + 1) } }],
    ['more than 128 hashes', { hashes: Array<Buffer>(129).fill(Buffer.alloc(32)) }],
    ['a negative index', { logIndex: '-1' }],
    ['an index with a sign of space', { logIndex: '1 ' }],
    ['an index with something before it', { logIndex: 'a1' }],
    ['an index in another spelling', { logIndex: '01' }],
    ['an index that only begins as a number', { logIndex: '1abc' }],
    ['an index of 20 digits', { logIndex: '1'.repeat(20) }],
    ['no index', { logIndex: '' }],
    ['a tree size that is none', { treeSize: 'one' }],
  ])('with %s is malformed', async (_, change) => {
    const { entry, leaf } = await sign();
    expect(check([withProof(entry, change)], leaf)).toThrow(refused('an inclusion proof is malformed'));
  });

  it('may have 128 hashes, a checkpoint of 64 KiB, and an index of 19 digits', async () => {
    const { entry, leaf } = await sign();
    const { treeSize, checkpoint } = entry.inclusionProof as Proof;
    const envelope = `${checkpoint?.envelope}${'x'.repeat(64 * 1024)}`.slice(0, 64 * 1024);
    const most = withProof(entry, { hashes: Array<Buffer>(128).fill(Buffer.alloc(32)), logIndex: '9'.repeat(19), treeSize, checkpoint: { envelope } });
    expect(check([most], leaf)).not.toThrow();
  });

  it('has the tree size and the root hash of its checkpoint', async () => {
    const { entry, leaf } = await sign();
    expect(check([withProof(entry, { treeSize: '7' })], leaf)).toThrow(refused('the tree size of an inclusion proof is not that of its checkpoint'));
    expect(check([withProof(entry, { rootHash: Buffer.alloc(32) })], leaf)).toThrow(refused('the root hash of an inclusion proof is not'));
  });
});

describe('the log', () => {
  it('has to be known to the root, among others', async () => {
    const { entry, leaf } = await sign();
    const other = await startInstance();
    const tlogs = [...other.trustedRoot['tlogs'], ...instance.trustedRoot['tlogs']];
    const root = { json: { ...instance.trustedRoot, tlogs }, description: 'two logs', date: '2026-01-01' };
    expect(() => checkLogEntries([entry], leaf, readTrustMaterial(root), root)).not.toThrow();
    const stranger: LogEntry = { ...entry, logId: { keyId: Buffer.alloc(40, 7) } };
    expect(check([stranger], leaf)).toThrow(
      expect.objectContaining({
        code: 'LOG_PROOF_INVALID',
        message: expect.stringContaining('not in the trusted root (the test root)'),
        hint: expect.stringContaining('--tuf-refresh'),
        context: { found: '07'.repeat(32) },
      }),
    );
    expect(logIdOf(stranger)).toBe('07'.repeat(40));
  });
});

describe('the body of an entry', () => {
  it('is at most 1 MiB of strict JSON', async () => {
    const { entry, leaf } = await sign();
    const text = entry.canonicalizedBody.toString();
    expect(check([withBody(entry, text.padEnd(1024 * 1024))], leaf)).not.toThrow();
    expect(check([withBody(entry, text.padEnd(1024 * 1024 + 1))], leaf)).toThrow(refused('an inclusion proof is malformed'));
    expect(check([withBody(entry, `{"kind":"dsse",${text.slice(1)}`)], leaf)).toThrow(refused('the body of a log entry is not JSON'));
  });

  it.each([
    ['kind', 'intoto', '0.0.1'],
    ['version', 'dsse', '0.0.3'],
  ])('of an unknown %s is refused, and the known ones are named', async (_, kind, version) => {
    const { entry, leaf } = await sign();
    expect(check([{ ...entry, kindVersion: { kind, version } }], leaf)).toThrow(
      refused(`kind ${kind}/${version}, expected one of dsse/0.0.1, dsse/0.0.2, hashedrekord/0.0.2`),
    );
  });

  it.each([
    ['another kind', (b: Json) => Object.assign(b, { kind: 'hashedrekord' })],
    ['another version', (b: Json) => Object.assign(b, { apiVersion: '0.0.2' })],
    ['no kind', (b: Json) => delete b['kind']],
  ])('that says %s than its label is refused', async (_, edit) => {
    const { entry, leaf } = await sign();
    expect(check([edited(entry, edit)], leaf)).toThrow(refused('labelled as another kind than its body'));
  });

  it.each<[string, (body: Json) => unknown]>([
    ['no specification', (b) => delete b['spec']],
    ['a text for a specification', (b) => Object.assign(b, { spec: 'spec' })],
    ['no signatures', (b) => Object.assign(b['spec'], { signatures: [] })],
    ['an object for the list of signatures', (b) => Object.assign(b['spec'], { signatures: { 0: b['spec'].signatures[0], length: 1 } })],
    ['two signatures', (b) => b['spec'].signatures.push(b['spec'].signatures[0])],
    ['a number for a certificate', (b) => Object.assign(b['spec'].signatures[0], { verifier: 7 })],
    ['no certificate', (b) => delete b['spec'].signatures[0].verifier],
    ['a certificate that is none', (b) => Object.assign(b['spec'].signatures[0], { verifier: Buffer.from('-----BEGIN CERTIFICATE').toString('base64') })],
    ['two certificates', (b) => Object.assign(b['spec'].signatures[0], { verifier: twice(b['spec'].signatures[0].verifier) })],
  ])('with %s is about no certificate', async (_, edit) => {
    const { entry, leaf } = await sign();
    expect(check([edited(entry, edit)], leaf)).toThrow(refused('not about the certificate of the bundle'));
  });

  it('with a certificate of another type in Rekor v2 is about none', async () => {
    const { entry, leaf } = await sign({ entry: 'dsse/0.0.2' });
    const of = (b: Json): Json => b['spec'].dsseV002.signatures[0].verifier;
    for (const value of [7, null, {}])
      expect(check([edited(entry, (b) => Object.assign(of(b)['x509Certificate'], { rawBytes: value }))], leaf)).toThrow(refused('not about the certificate'));
  });
});

/** The PEM text twice, in one base64. */
function twice(base64: string): string {
  const text = Buffer.from(base64, 'base64').toString();
  return Buffer.from(text + text).toString('base64');
}

describe('a new entry', () => {
  it.each(KINDS)('of the kind %s has to have a proof, and be about this certificate and this signature', async (kind) => {
    const { entry, leaf, signature } = await sign({ entry: kind });
    const other = Buffer.from('another');
    expect(() => checkNewEntry(entry, leaf, signature)).not.toThrow();
    expect(() => checkNewEntry(entry, other, signature)).toThrow(refused('not about this signature'));
    expect(() => checkNewEntry(entry, leaf, other)).toThrow(refused('not about this signature'));
    expect(() => checkNewEntry(withProof(entry, { treeSize: '7' }), leaf, signature)).toThrow(refused('tree size'));
  });

  it('that names neither certificate nor signature is about none', async () => {
    const { entry, leaf, signature } = await sign();
    for (const member of ['verifier', 'signature'])
      expect(() =>
        checkNewEntry(
          edited(entry, (b) => delete b['spec'].signatures[0][member]),
          leaf,
          signature,
        ),
      ).toThrow(refused('not about this signature'));
  });
});
