// SPDX-License-Identifier: Apache-2.0
import { expect } from 'vitest';
import { type HexDigest, hexDigest } from '../../src/base/brands.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { type Manifest, rootDigest } from '../../src/oms/manifest.ts';
import { readManifest } from '../../src/oms/statement.ts';
import { mintVerifiedPayload, type Signer, type VerifiedPayload } from '../../src/trust/trust.ts';
import { makeStatement, type Resource, resourceOf } from '../support/signer.ts';

export const KEY_SIGNER: Signer = { kind: 'key', fingerprint: digestOf('a key'), curve: 'P-256' };

/** A payload as if its signature had held: what the tests of the statement start from. */
export function payloadOf(statement: unknown, encoding: VerifiedPayload['encoding'] = 'DSSEv1'): VerifiedPayload {
  const text = typeof statement === 'string' ? statement : JSON.stringify(statement);
  return mintVerifiedPayload({ bytes: Buffer.from(text), signer: KEY_SIGNER, encoding });
}

/** A statement that lists `resources` in exactly the given order, with the root digest that belongs to it. */
export function listed(resources: readonly Resource[], serialization: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return makeStatement([], {
    serialization,
    edit: (statement) => ({
      ...statement,
      subject: [{ name: 'model', digest: { sha256: rootDigest(resources.map((r) => r.digest)) } }],
      predicate: { ...(statement['predicate'] as object), resources },
    }),
  }) as Record<string, unknown>;
}

/** Resources of files that hold their own names. */
export function filesNamed(...names: readonly string[]): Resource[] {
  return names.map((name) => resourceOf(name, name));
}

export function read(statement: unknown, maxEntries?: number): Manifest {
  return readManifest(payloadOf(statement), maxEntries);
}

export function refused(code: ErrorCode, message?: RegExp): unknown {
  return expect.objectContaining({ code, ...(message !== undefined && { message: expect.stringMatching(message) }) });
}

export function digestOf(content: string): HexDigest {
  const digest = hexDigest(resourceOf('', content).digest, 32);
  if (digest === undefined) throw new Error('no digest');
  return digest;
}
