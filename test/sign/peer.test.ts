// SPDX-License-Identifier: Apache-2.0
import { bundleToJSON } from '@sigstore/bundle';
import { DSSEBundleBuilder, FulcioSigner, RekorWitness } from '@sigstore/sign';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBundle } from '../../src/oms/bundle.ts';
import { PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import type { Statement } from '../../src/oms/write.ts';
import { parseIdentityToken } from '../../src/sign/identityToken.ts';
import { signKeyless } from '../../src/sign/keyless.ts';
import { createServiceClient } from '../../src/transfer/service.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { type Asked, makeToken, PATHS, type SigstoreServer, startSigstoreServer } from '../servers/sigstoreServer.ts';

// The other client of these services, by the Sigstore project: both have to ask the same.

const PAYLOAD = Buffer.from('{"_type":"https://in-toto.io/Statement/v1"}');
let server: SigstoreServer;

beforeAll(async () => {
  server = await startSigstoreServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** The members of a request, with the values that may not differ. */
function shapeOf(asked: Asked | undefined): unknown {
  const varying = ['content', 'proofOfPossession', 'sig'];
  return JSON.parse(asked?.body.toString() ?? '', (name, value: unknown) => {
    if (name === 'envelope') return shapeOf({ url: '', headers: {}, body: Buffer.from(String(value)) });
    return varying.includes(name) ? typeof value : name === 'verifiers' && Array.isArray(value) ? value.length : value;
  });
}

describe('requests to the services', () => {
  it('are those of sigstore-js, whose bundles from this instance verify here', async () => {
    const text = makeToken();
    const root = { json: server.instance.trustedRoot, description: 'the test root' };
    const builder = new DSSEBundleBuilder({
      signer: new FulcioSigner({ fulcioBaseURL: server.origin, identityProvider: { getToken: async () => text } }),
      witnesses: [new RekorWitness({ rekorBaseURL: server.origin })],
    });
    const theirs = bundleToJSON(await builder.create({ data: PAYLOAD, type: PAYLOAD_TYPE }));
    const { signer } = await verifySignature(parseBundle(Buffer.from(JSON.stringify(theirs))), { kind: 'sigstore', root }, new Date());
    const [theirCertificate, theirEntry] = server.seen.map(shapeOf);

    server.reset();
    await using client = await createServiceClient({ verifyTls: true, connectTimeoutMs: 5000, stallTimeoutMs: 5000 }, new AbortController().signal);
    const services = { fulcio: new URL(server.origin), logs: [{ url: new URL(server.origin), version: 1 }], timestampAuthorities: [] } as const;
    const token = parseIdentityToken(text, 'a test', new Date());
    const statement = { bytes: PAYLOAD } as Statement;
    const ours = await signKeyless(statement, token, { services, root, now: () => new Date(), call: client.call });
    expect(signer).toMatchObject({ identity: ours.identity, issuer: ours.issuer });
    expect(server.seen.map(({ url }) => url)).toEqual([PATHS.fulcio, PATHS.rekor]);
    expect(server.seen.map(shapeOf)).toEqual([theirCertificate, theirEntry]);
  });
});
