// SPDX-License-Identifier: Apache-2.0
import { createHash, generateKeyPairSync } from 'node:crypto';
import { appendFile, cp, mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { must } from './process.ts';

export type Models = {
  /** Folder of all models; S3 bucket and web root at once. */
  readonly shelf: string;
  /** What a good model holds, byte for byte. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly publicKey: string;
  readonly otherPublicKey: string;
  /** The public key as the kubelet mounts a ConfigMap: a link to a link to a folder with a date. */
  readonly mountedKeys: string;
  /** What a policy pins: sha256:HEX. */
  readonly goodDigest: string;
  /** A folder with a floor: the publisher, and no pickles. */
  readonly floor: string;
};

export const MODELS = ['good', 'tampered', 'broken-bundle', 'incomplete', 'unsigned', 'swapped', 'pickle', 'planted'] as const;
export type ModelName = (typeof MODELS)[number];

const HOSTILE_PICKLE = "cos\nsystem\n(S'id'\ntR.";

/** Makes a small model, has the reference implementation sign it, and puts damaged copies beside it. */
export async function makeModels(folder: string): Promise<Models> {
  const shelf = join(folder, 'shelf', 'models');
  const files = sampleFiles();
  const good = join(shelf, 'good');
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(good, name)), { recursive: true });
    await writeFile(join(good, name), bytes);
  }
  const publisher = keyPair();
  await writeFile(join(folder, 'private.pem'), publisher.privateKey);
  const sign = (model: string) =>
    must('model_signing', ['sign', 'key', model, '--signature', join(model, 'model.sig'), '--private_key', join(folder, 'private.pem')]);
  await sign(good);

  for (const name of MODELS) if (name !== 'good') await cp(good, join(shelf, name), { recursive: true });
  await flipByte(join(shelf, 'tampered', 'weights', 'model.safetensors'), 700_001);
  await appendFile(join(shelf, 'broken-bundle', 'model.sig'), '}');
  await rm(join(shelf, 'incomplete', 'config.json'));
  await rm(join(shelf, 'unsigned', 'model.sig'));
  // Genuine, but not the version that is wanted.
  await writeFile(join(shelf, 'swapped', 'config.json'), '{"model_type":"older"}\n');
  // A pickle that calls os.system: once the publisher signed it, once somebody put it beside what he signed.
  await writeFile(join(shelf, 'pickle', 'weights', 'extra.bin'), HOSTILE_PICKLE);
  await writeFile(join(shelf, 'planted', 'weights', 'extra.bin'), HOSTILE_PICKLE);
  for (const name of ['swapped', 'pickle']) {
    await rm(join(shelf, name, 'model.sig'));
    await sign(join(shelf, name));
  }
  await makeArchives(folder, shelf);
  const mountedKeys = await mountLikeKubelet(join(folder, 'mounted-keys'), 'publisher.pem', publisher.publicKey);
  const floor = join(folder, 'floor');
  await mkdir(floor);
  await writeFile(join(floor, 'policy.yaml'), policyFor(publisher.publicKey, 'formats: { deny: [pickle] }'));
  const goodDigest = `sha256:${await rootDigestOf(join(good, 'model.sig'))}`;
  return { shelf, files, publicKey: publisher.publicKey, otherPublicKey: keyPair().publicKey, mountedKeys, goodDigest, floor };
}

/** A policy of one rule: the publisher's key, whatever the source, and these checks. */
export function policyFor(publicKey: string, checks: string): string {
  const pem = publicKey.trim().replaceAll('\n', '\n        ');
  return `apiVersion: model-gate/policy/v1\nrules:\n  - name: served\n    source: '*://**'\n    require:\n      key: |\n        ${pem}\n    ${checks}\n`;
}

async function rootDigestOf(bundle: string): Promise<string> {
  const { dsseEnvelope } = JSON.parse(await readFile(bundle, 'utf8')) as { dsseEnvelope: { payload: string } };
  const { subject } = JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString()) as { subject: [{ digest: { sha256: string } }] };
  return subject[0].digest.sha256;
}

/** The archive is what is signed, its bundle lies beside it; of the other, one byte in the middle was changed. */
async function makeArchives(folder: string, shelf: string): Promise<void> {
  const archive = join(shelf, 'archive.tar.gz');
  const stage = join(folder, 'archive');
  await must('tar', ['--create', '--gzip', '--file', archive, '--directory', join(shelf, 'good'), '--exclude', './model.sig', '.']);
  await mkdir(stage);
  await cp(archive, join(stage, 'archive.tar.gz'));
  await must('model_signing', ['sign', 'key', stage, '--signature', `${archive}.sig`, '--private_key', join(folder, 'private.pem')]);
  const changed = join(shelf, 'changed', 'archive.tar.gz');
  await cp(archive, changed);
  await cp(`${archive}.sig`, `${changed}.sig`);
  await flipByte(changed, 700_001);
}

function sampleFiles(): ReadonlyMap<string, Buffer> {
  return new Map([
    ['config.json', Buffer.from('{"model_type":"sample"}\n')],
    ['tokenizer/vocab.txt', Buffer.from('a\nb\nc\n')],
    ['tokenizer/added tokens.json', Buffer.from('{}')],
    ['empty.txt', Buffer.alloc(0)],
    ['weights/model.safetensors', deterministicBytes(1_500_000)],
  ]);
}

function deterministicBytes(sizeBytes: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(sizeBytes / 32) }, (_, i) => createHash('sha256').update(`pods:${i}`).digest());
  return Buffer.concat(blocks).subarray(0, sizeBytes);
}

function keyPair(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

async function mountLikeKubelet(folder: string, key: string, value: string): Promise<string> {
  const version = '..2026_01_01_00_00_00.1234567890';
  await mkdir(join(folder, version), { recursive: true });
  await writeFile(join(folder, version, key), value);
  await symlink(version, join(folder, '..data'));
  await symlink(join('..data', key), join(folder, key));
  return folder;
}

async function flipByte(path: string, offset: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  await file.write(Buffer.from([byte.readUInt8(0) ^ 1]), 0, 1, offset);
}
