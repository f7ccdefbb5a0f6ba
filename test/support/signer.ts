// SPDX-License-Identifier: Apache-2.0
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Throw-away P-256 keys. */
export type Keys = { readonly privateKey: KeyObject; readonly publicKey: KeyObject; readonly publicPem: string };

export function makeKeys(namedCurve = 'prime256v1'): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  return { privateKey, publicKey, publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

export type Resource = { name: string; digest: string; algorithm: string };

export type StatementOptions = {
  readonly subjectName?: string;
  readonly serialization?: Readonly<Record<string, unknown>>;
  /** Last word on the statement before it is signed: what hostile tests change. */
  readonly edit?: (statement: Record<string, unknown>) => unknown;
};

/** Signs a directory (or the files given) as `key` bundle, as the specification says (OMS §6). For tests and the demo only. */
export function signDirectory(dir: string, keys: Keys, options: StatementOptions & { readonly ignore?: readonly string[] } = {}): Buffer {
  const ignore = options.ignore ?? ['model.sig'];
  const resources = listFiles(dir)
    .filter((name) => !ignore.includes(name))
    .map((name) => resourceOf(name, readFileSync(join(dir, name))));
  return signResources(resources, keys, { subjectName: basename(dir), ...options });
}

export function resourceOf(name: string, content: Buffer | string): Resource {
  return { name, digest: createHash('sha256').update(content).digest('hex'), algorithm: 'sha256' };
}

/** One resource per range of `shardSize` bytes. */
export function shardsOf(name: string, content: Buffer, shardSize: number): Resource[] {
  return Array.from({ length: Math.ceil(content.length / shardSize) }, (_, i) => {
    const [start, end] = [i * shardSize, Math.min((i + 1) * shardSize, content.length)];
    return { ...resourceOf(name, content.subarray(start, end)), name: `${name}:${start}:${end}` };
  });
}

export function signResources(resources: readonly Resource[], keys: Keys, options: StatementOptions = {}): Buffer {
  return signStatement(makeStatement(resources, options), keys);
}

export function makeStatement(resources: readonly Resource[], options: StatementOptions = {}): unknown {
  const sorted = [...resources].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const root = createHash('sha256');
  for (const resource of sorted) root.update(Buffer.from(resource.digest, 'hex'));
  const statement: Record<string, unknown> = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: options.subjectName ?? 'model', digest: { sha256: root.digest('hex') } }],
    predicateType: 'https://model_signing/signature/v1.0',
    predicate: { resources: sorted, serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false, ...options.serialization } },
  };
  return options.edit === undefined ? statement : options.edit(statement);
}

export function signStatement(statement: unknown, keys: Keys): Buffer {
  return signPayload(Buffer.from(typeof statement === 'string' ? statement : JSON.stringify(statement)), keys);
}

export function signPayload(payload: Buffer, keys: Keys): Buffer {
  const type = 'application/vnd.in-toto+json';
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const hash = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' }[keys.publicKey.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'sha256';
  return Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: createHash('sha256').update(keys.publicPem).digest('hex') }, tlogEntries: [] },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: type,
        signatures: [{ sig: sign(hash, signed, keys.privateKey).toString('base64'), keyid: '' }],
      },
    }),
  );
}

/** The model digest a bundle signs, for pins. */
export function rootDigestOf(bundle: Buffer): string {
  const { payload } = (JSON.parse(bundle.toString()) as { dsseEnvelope: { payload: string } }).dsseEnvelope;
  const statement = JSON.parse(Buffer.from(payload, 'base64').toString()) as { subject: { digest: { sha256: string } }[] };
  return statement.subject[0]?.digest.sha256 ?? '';
}

function listFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1));
}
