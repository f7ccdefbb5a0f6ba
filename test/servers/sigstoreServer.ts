// SPDX-License-Identifier: Apache-2.0
// The services of a private Sigstore instance on loopback, and the token endpoint of a CI system. Each can be told to answer otherwise.
import { createPublicKey, X509Certificate } from 'node:crypto';
import * as asn1js from 'asn1js';
import { TimeStampReq } from 'pkijs';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding } from '../../src/oms/dsse.ts';
import { verifyEcdsa } from '../../src/trust/ecdsa.ts';
import { email, timestamp, uri } from '../trust/pki.ts';
import { entryBody, type Instance, type Json, startInstance } from '../trust/sigstoreInstance.ts';
import type { ServerIdentity } from './certificates.ts';
import { listen } from './httpServer.ts';

export const PATHS = {
  fulcio: '/api/v2/signingCert',
  rekor: '/api/v1/log/entries',
  rekorV2: '/api/v2/log/entries',
  tsa: '/api/v1/timestamp',
  token: '/token',
} as const;

export type Answer = { readonly status: number; readonly body: string | Buffer; readonly headers?: Readonly<Record<string, string>> };
export type Asked = { readonly url: string; readonly body: Buffer; readonly headers: Readonly<Record<string, unknown>> };
/** Undefined: no answer at all. `honest` is what the service would have said. */
export type Misbehaviour = (asked: Asked, honest: (body?: Buffer) => Promise<Answer>) => Promise<Answer | undefined> | Answer | undefined;

export type SigstoreServer = AsyncDisposable & {
  readonly origin: string;
  readonly instance: Instance;
  readonly seen: readonly Asked[];
  /** Until `reset`. */
  misbehave(path: string, how: Misbehaviour): void;
  reset(): void;
  /** A ClientTrustConfig with these services. */
  trustConfig(services?: { readonly rekor?: 1 | 2; readonly timestamps?: boolean }): Json;
};

export async function startSigstoreServer(tls?: ServerIdentity): Promise<SigstoreServer> {
  const instance = await startInstance(new Date(Date.now() - 1000));
  const misbehaviours = new Map<string, Misbehaviour>();
  const seen: Asked[] = [];
  const logged = new Map<string, Json>();
  const services: Readonly<Record<string, (body: Buffer, asked: Asked) => Promise<Answer>>> = {
    [PATHS.fulcio]: (body) => issue(instance, body),
    [PATHS.rekor]: async (body) => {
      const { envelope, certificate } = proposed(JSON.parse(body.toString()));
      const entry = await instance.log(entryBody('dsse/0.0.1', envelope, certificate), new Date());
      logged.set(Object.keys(entry)[0] ?? '', entry);
      return { status: 201, body: JSON.stringify(entry) };
    },
    [PATHS.rekorV2]: async (body) => ({ status: 201, body: JSON.stringify(await logV2(instance, JSON.parse(body.toString()))) }),
    [PATHS.tsa]: (body) => stamp(instance, body),
    [PATHS.token]: async (_, { url }) => {
      const audience = new URL(url, 'http://localhost').searchParams.get('audience') ?? '';
      return { status: 200, body: JSON.stringify({ count: 1, value: makeToken({ aud: audience }) }) };
    },
  };
  const server = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const asked: Asked = { url: request.url ?? '', body: Buffer.concat(chunks), headers: request.headers };
      seen.push(asked);
      const path = asked.url.replace(/\?.*$/, '');
      const id = path.startsWith(`${PATHS.rekor}/`) ? path.slice(PATHS.rekor.length + 1) : undefined;
      const honest = async (body = asked.body): Promise<Answer> => {
        if (id !== undefined && logged.has(id)) return { status: 200, body: JSON.stringify(logged.get(id)) };
        return services[path]?.(body, asked) ?? { status: 404, body: '' };
      };
      try {
        const how = misbehaviours.get(path);
        const answer = how === undefined ? await honest() : await how(asked, honest);
        if (answer !== undefined) response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.body);
      } catch (error) {
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ code: 3, message: String(error) }));
      }
    });
  }, tls);
  const service = (path: string, majorApiVersion: number): Json => ({
    url: `${server.origin}${path}`,
    majorApiVersion,
    validFor: { start: '2026-01-01T00:00:00Z' },
    operator: 'example.com',
  });
  return {
    origin: server.origin,
    instance,
    seen,
    misbehave: (path, how) => void misbehaviours.set(path, how),
    reset: () => {
      misbehaviours.clear();
      seen.length = 0;
    },
    trustConfig: ({ rekor = 1, timestamps = false } = {}) => ({
      mediaType: 'application/vnd.dev.sigstore.clienttrustconfig.v0.1+json',
      trustedRoot: instance.trustedRoot,
      signingConfig: {
        mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
        caUrls: [service('', 1)],
        oidcUrls: [service('/oidc', 1)],
        rekorTlogUrls: [service('', rekor)],
        rekorTlogConfig: { selector: 'ANY' },
        tsaUrls: timestamps ? [service(PATHS.tsa, 1)] : [],
        tsaConfig: { selector: 'ANY' },
      },
    }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A JSON Web Token of nobody's: the instance believes it. */
export function makeToken(claims: Json = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const all = {
    iss: 'https://issuer.example.com',
    aud: 'sigstore',
    sub: 'https://ci.example.com/models/release',
    iat: now,
    nbf: now,
    exp: now + 300,
    ...claims,
  };
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(all)}.${'c2lnbmF0dXJl'.repeat(8)}`;
}

/** Fulcio: the token names who asks, the proof shows that the key is his. */
async function issue(instance: Instance, body: Buffer): Promise<Answer> {
  const { credentials, publicKeyRequest } = JSON.parse(body.toString()) as Json;
  const claims = JSON.parse(Buffer.from(String(credentials.oidcIdentityToken).split('.')[1] ?? '', 'base64url').toString()) as Json;
  if (Number(claims['exp']) * 1000 < Date.now()) return { status: 401, body: JSON.stringify({ code: 16, message: 'token is expired' }) };
  const publicKey = createPublicKey(publicKeyRequest.publicKey.content);
  const subject = String(claims['email'] ?? claims['sub']);
  if (!verifyEcdsa(Buffer.from(subject), publicKey, Buffer.from(publicKeyRequest.proofOfPossession, 'base64'))) throw new Error('wrong proof of possession');
  const leaf = await instance.issueLeaf({
    leaf: {
      // The private half stays with the client; for a leaf it is not used.
      key: { publicKey, privateKey: instance.ca.privateKey },
      names: [subject.includes('://') ? uri(subject) : email(subject)],
      from: new Date(Date.now() - 1000),
      to: new Date(Date.now() + 600_000),
    },
    issuerV1: claims['iss'],
    issuerV2: claims['iss'],
  });
  const chain = { certificates: [pemOf(leaf.der), pemOf(instance.ca.der)] };
  return { status: 201, body: JSON.stringify({ signedCertificateEmbeddedSct: { chain } }) };
}

/** Rekor v1 looks at the signature before it logs it. */
function proposed(proposal: Json): { readonly envelope: Envelope; readonly certificate: Buffer } {
  const { envelope: text, verifiers } = proposal['spec'].proposedContent;
  const { payload, payloadType, signatures } = JSON.parse(text) as Json;
  const envelope: Envelope = { payload: Buffer.from(payload, 'base64'), payloadType: PAYLOAD_TYPE, signature: Buffer.from(signatures[0].sig, 'base64') };
  const certificate = new X509Certificate(Buffer.from(verifiers[0], 'base64'));
  if (proposal['kind'] !== 'dsse' || payloadType !== PAYLOAD_TYPE) throw new Error('not a DSSE envelope of a statement');
  if (!verifyEcdsa(preAuthEncoding(envelope), certificate.publicKey, envelope.signature)) throw new Error('the signature does not verify');
  return { envelope, certificate: certificate.raw };
}

/** Rekor v2 logs digests and signatures, and promises no time. */
async function logV2(instance: Instance, request: Json): Promise<Json> {
  const { digest, signature } = request['hashedRekordRequestV002'];
  const data = { algorithm: 'SHA2_256', digest };
  const body = { apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002: { data, signature } } };
  const [entry]: readonly Json[] = Object.values(await instance.log(body, new Date()));
  const proof = entry?.['verification'].inclusionProof;
  return {
    logIndex: String(proof.logIndex),
    logId: { keyId: Buffer.from(entry?.['logID'], 'hex').toString('base64') },
    kindVersion: { kind: 'hashedrekord', version: '0.0.2' },
    integratedTime: '0',
    inclusionProof: {
      logIndex: String(proof.logIndex),
      rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
      treeSize: String(proof.treeSize),
      hashes: [],
      checkpoint: { envelope: proof.checkpoint },
    },
    canonicalizedBody: entry?.['body'],
  };
}

async function stamp({ tsa }: Instance, body: Buffer): Promise<Answer> {
  const request = TimeStampReq.fromBER(body);
  const imprint = Buffer.from(request.messageImprint.hashedMessage.valueBlock.valueHexView);
  const nonce = request.nonce instanceof asn1js.Integer ? request.nonce : undefined;
  const embed = request.certReq === true ? [tsa] : [];
  // Whole seconds, as most authorities have them.
  const at = new Date(Math.floor(Date.now() / 1000) * 1000);
  const response = await timestamp(imprint, tsa, { imprint, embed, at, ...(nonce !== undefined && { nonce }) });
  return { status: 200, body: response, headers: { 'content-type': 'application/timestamp-reply' } };
}

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
}
