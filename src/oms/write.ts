// SPDX-License-Identifier: Apache-2.0
import { type HexDigest, isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { BUNDLE_MEDIA_TYPE } from './bundle.ts';
import type { Envelope } from './dsse.ts';
import { type HashAlgorithm, type Part, rootDigest } from './manifest.ts';
import { compareByName, type ModelPath } from './path.ts';
import { PREDICATE_TYPE, STATEMENT_TYPE } from './statement.ts';

/** A file with the digests of its parts: one of the whole file, or one for each shard (none for a sharded file of zero bytes). */
export type DigestedFile = { readonly path: ModelPath; readonly parts: readonly Part[] };

/** What a signer says of a model. Nothing here is ordered: the writer does that. */
export type StatementFacts = {
  readonly subjectName: string;
  readonly files: readonly DigestedFile[];
  readonly algorithm: HashAlgorithm;
  /** Present: shards of this many bytes in place of whole files. */
  readonly shardSizeBytes?: number;
  readonly symlinks: 'reject' | 'follow';
  /** Names below the model root that were left out. */
  readonly ignored: readonly ModelPath[];
};

/** A statement ready to be signed. */
export type Statement = { readonly bytes: Buffer; readonly rootDigest: HexDigest; readonly resources: NonEmpty<Resource> };

export type Resource = { readonly name: string; readonly digest: HexDigest; readonly algorithm: string };

/** What the bundle says of its signer: the hint of a key, or DER certificates, leaf first; for keyless, the JSON of its log entries too. */
export type SignerMaterial =
  | { readonly kind: 'key'; readonly hint: HexDigest }
  | { readonly kind: 'certificate'; readonly chain: NonEmpty<Buffer> }
  | { readonly kind: 'sigstore'; readonly certificate: Buffer; readonly logEntries: NonEmpty<unknown> };

/**
 * The in-toto statement over a model (OMS §5): the same facts give the same bytes, whatever order they come in.
 * @throws MODEL_EMPTY when there is not one resource (OMS §6.1)
 */
export function writeStatement(facts: StatementFacts): Statement {
  const resources = facts.files.flatMap((file) => resourcesOf(file, facts)).sort((a, b) => compareByName(a.name, b.name));
  if (!isNonEmpty(resources)) throw new AppError('MODEL_EMPTY', 'the model holds no files, or only files that cannot be listed: there is nothing to sign');
  const root = rootDigest(resources.map((resource) => resource.digest));
  const ignored = [...new Set(facts.ignored)].sort(compareByName);
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: facts.subjectName, digest: { sha256: root } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      resources,
      serialization: {
        method: facts.shardSizeBytes === undefined ? 'files' : 'shards',
        hash_type: facts.algorithm,
        ...(facts.shardSizeBytes !== undefined && { shard_size: facts.shardSizeBytes }),
        allow_symlinks: facts.symlinks === 'follow',
        ...(ignored.length > 0 && { ignore_paths: ignored }),
      },
    },
  };
  return { bytes: Buffer.from(JSON.stringify(statement)), rootDigest: root, resources };
}

/**
 * The bundle file's bytes (OMS §4). `timestamps` are DER RFC 3161 responses. `tlogEntries` is empty for methods without a log: other
 * tools write it, and some read it.
 */
export function writeBundle(envelope: Envelope, material: SignerMaterial, timestamps: readonly Buffer[] = []): Buffer {
  const rfc3161Timestamps = timestamps.map((der) => ({ signedTimestamp: der.toString('base64') }));
  return Buffer.from(
    JSON.stringify({
      mediaType: BUNDLE_MEDIA_TYPE,
      verificationMaterial: {
        tlogEntries: [],
        ...materialJson(material),
        ...(rfc3161Timestamps.length > 0 && { timestampVerificationData: { rfc3161Timestamps } }),
      },
      dsseEnvelope: {
        payload: envelope.payload.toString('base64'),
        payloadType: envelope.payloadType,
        signatures: [{ sig: envelope.signature.toString('base64') }],
      },
    }),
  );
}

/** OMS §6.3. Shards bear the label that the reference and the Go tool demand in place of the plain hash name; see docs/oms-decisions.md. */
function resourcesOf({ path, parts }: DigestedFile, { algorithm, shardSizeBytes }: StatementFacts): readonly Resource[] {
  return parts.map(({ range, digest }) =>
    range === 'whole'
      ? { name: path, digest, algorithm }
      : { name: `${path}:${range.start}:${range.end}`, digest, algorithm: `${algorithm}-sharded-${shardSizeBytes}` },
  );
}

function materialJson(material: SignerMaterial): object {
  switch (material.kind) {
    case 'key':
      return { publicKey: { hint: material.hint } };
    case 'certificate':
      return { x509CertificateChain: { certificates: material.chain.map((der) => ({ rawBytes: der.toString('base64') })) } };
    case 'sigstore':
      return { certificate: { rawBytes: material.certificate.toString('base64') }, tlogEntries: material.logEntries };
  }
}
