// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AppError, asAppError, type ErrorCode } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import { inspect } from '../../src/pipeline/inspect.ts';
import { sign } from '../../src/pipeline/sign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makeInspectPlan, makeSignPlan } from '../../src/plan/makeTool.ts';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { type Answer, type Misbehaviour, makeToken, PATHS, type SigstoreServer, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { type Scratch, SMALL_MODEL, scratch, writeTree } from '../support/model.ts';
import { type Flags, verifyHere } from '../support/run.ts';
import { authority, days, keyPair, root, timestamp } from '../trust/pki.ts';
import type { Json } from '../trust/sigstoreInstance.ts';

// A private Sigstore instance on loopback signs for us, honestly and otherwise.

const SUBJECT = 'https://ci.example.com/models/release';
const ISSUER = 'https://issuer.example.com';

let server: SigstoreServer;
let space: Scratch;
let model: string;
let events: Event[];

beforeAll(async () => {
  server = await startSigstoreServer();
});
afterAll(() => server[Symbol.asyncDispose]());

beforeEach(() => {
  server.reset();
  space = scratch();
  model = space.at('model');
  events = [];
  writeTree(model, SMALL_MODEL);
  writeFileSync(space.at('trust.json'), JSON.stringify(server.trustConfig()));
  writeFileSync(space.at('root.json'), JSON.stringify(server.instance.trustedRoot));
  writeFileSync(space.at('token'), `${makeToken()}\n`);
});
afterEach(() => space[Symbol.dispose]());

type Options = { readonly flags?: Flags; readonly env?: Readonly<Record<string, string>>; readonly signal?: AbortSignal; readonly now?: () => Date };

async function signError({ flags = {}, env = {}, signal = new AbortController().signal, now = () => new Date() }: Options = {}): Promise<AppError | undefined> {
  try {
    const { values } = resolveOptions('sign', { flags: { 'trust-config': space.at('trust.json'), ...flags }, env, file: undefined });
    await sign(makeSignPlan(['sigstore', model], values), { emit: (event) => events.push(event), signal, now, env });
    return undefined;
  } catch (error) {
    return asAppError(error);
  }
}

const withToken = (flags: Flags = {}): Options => ({ flags: { 'identity-token-file': space.at('token'), ...flags } });
const reason = async (options: Options): Promise<'OK' | ErrorCode> => (await signError(options))?.code ?? 'OK';
const verifyAs = async (identity = SUBJECT, issuer = ISSUER) =>
  (await verifyHere(model, { flags: { identity: [identity], issuer: [issuer], 'trusted-root': space.at('root.json') } })).reason;
const bundle = (): Json => JSON.parse(readFileSync(join(model, 'model.sig'), 'utf8')) as Json;
const warnings = () => events.filter((event) => event.kind === 'warning');

describe('keyless signing', () => {
  test('writes a bundle that verifies for the identity of the token, and says whose it is', async () => {
    expect(await signError(withToken())).toBeUndefined();
    expect(await verifyAs()).toBe('OK');
    expect(await verifyAs('https://ci.example.com/models/other')).toBe('SIGNER_UNTRUSTED');
    expect(await verifyAs(SUBJECT, 'https://other.example.com')).toBe('SIGNER_UNTRUSTED');
    expect(events.at(-1)).toMatchObject({ kind: 'modelSigned', signer: `${SUBJECT} (by ${ISSUER})` });
    expect(bundle()['verificationMaterial']).toMatchObject({ tlogEntries: [{ kindVersion: { kind: 'dsse', version: '0.0.1' } }] });
    writeFileSync(join(model, 'config.json'), '{}');
    expect(await verifyAs()).toBe('DIGEST_MISMATCH');
  });

  test('twice gives the same payload, under another key and certificate', async () => {
    await signError(withToken());
    const first = bundle();
    await signError(withToken());
    expect(bundle()['dsseEnvelope'].payload).toBe(first['dsseEnvelope'].payload);
    expect(bundle()['verificationMaterial'].certificate).not.toEqual(first['verificationMaterial'].certificate);
  });

  test('speaks for a verified e-mail address, and not for one that nobody verified', async () => {
    const env = (verified: boolean) => ({ SIGSTORE_ID_TOKEN: makeToken({ email: 'release@example.com', email_verified: verified }) });
    expect(await reason({ env: env(false) })).toBe('CREDENTIALS_MISSING');
    expect(await reason({ env: env(true) })).toBe('OK');
    expect(await verifyAs('release@example.com')).toBe('OK');
  });

  test('with Rekor v2 needs a timestamp, which then proves the time', async () => {
    writeFileSync(space.at('trust.json'), JSON.stringify(server.trustConfig({ rekor: 2 })));
    expect(await reason(withToken())).toBe('SIGNING_SERVICE_FAILED');
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
    writeFileSync(space.at('trust.json'), JSON.stringify(server.trustConfig({ rekor: 2, timestamps: true })));
    expect(await signError(withToken())).toBeUndefined();
    expect(await verifyAs()).toBe('OK');
    expect(bundle()['verificationMaterial'].tlogEntries[0].kindVersion).toEqual({ kind: 'hashedrekord', version: '0.0.2' });
  });

  test('adds the timestamp that --timestamp-url asks for', async () => {
    expect(await reason(withToken({ 'timestamp-url': `${server.origin}${PATHS.tsa}` }))).toBe('OK');
    expect(bundle()['verificationMaterial'].timestampVerificationData.rfc3161Timestamps).toHaveLength(1);
    expect(await verifyAs()).toBe('OK');
  });

  test('by service URLs alone warns that nobody checked the bundle against a root, and with one does not', async () => {
    const urls = { 'trust-config': undefined, 'fulcio-url': `${server.origin}/`, 'rekor-url': server.origin };
    expect(await reason(withToken(urls))).toBe('OK');
    expect(await verifyAs()).toBe('OK');
    expect(warnings()).toHaveLength(1);
    expect(await reason(withToken({ ...urls, 'trusted-root': space.at('root.json') }))).toBe('OK');
    expect(warnings()).toHaveLength(1);
  });

  test('takes the services of a SigningConfig', async () => {
    writeFileSync(space.at('signing.json'), JSON.stringify(server.trustConfig()['signingConfig']));
    expect(await reason(withToken({ 'trust-config': undefined, 'signing-config': space.at('signing.json'), 'trusted-root': space.at('root.json') }))).toBe(
      'OK',
    );
    expect(await verifyAs()).toBe('OK');
  });

  test('is told by inspect, with and without trust', async () => {
    await signError(withToken());
    const look = (flags: Flags) =>
      inspect(makeInspectPlan([join(model, 'model.sig')], resolveOptions('inspect', { flags, env: {}, file: undefined }).values), {
        emit: () => {},
        signal: new AbortController().signal,
        now: () => new Date(),
        env: {},
      });
    expect(await look({})).toMatchObject({ method: 'sigstore' });
    const trusting = await look({ identity: [SUBJECT], issuer: [ISSUER], 'trusted-root': space.at('root.json') });
    expect(trusting.signer).toMatchObject({ kind: 'sigstore', identity: SUBJECT, issuer: ISSUER });
  });
});

describe('the identity token comes', () => {
  test('from SIGSTORE_ID_TOKEN, as GitLab gives it', async () => {
    expect(await reason({ env: { SIGSTORE_ID_TOKEN: makeToken() } })).toBe('OK');
  });

  test('from MODEL_GATE_IDENTITY_TOKEN, before what the CI job provides', async () => {
    const env = { MODEL_GATE_IDENTITY_TOKEN: makeToken({ sub: 'https://ci.example.com/given' }), SIGSTORE_ID_TOKEN: makeToken() };
    expect(await reason({ env })).toBe('OK');
    expect(await verifyAs('https://ci.example.com/given')).toBe('OK');
  });

  test('from GitHub Actions, asked for the audience, with the job’s own secret', async () => {
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `${server.origin}${PATHS.token}?api-version=2`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'job-secret' };
    expect(await reason({ env, flags: { 'token-audience': 'models' } })).toBe('OK');
    const [asked] = server.seen;
    expect(asked).toMatchObject({ url: `${PATHS.token}?api-version=2&audience=models`, headers: { authorization: 'Bearer job-secret' } });
    // Only there: not to the authority, not to the log.
    expect(server.seen.filter(({ headers }) => headers['authorization'] !== undefined)).toHaveLength(1);
  });

  test.each<[string, Options]>([
    ['nowhere', {}],
    ['as an empty variable', { env: { SIGSTORE_ID_TOKEN: '' } }],
    ['from a file that is not there', { flags: { 'identity-token-file': '/nowhere/token' } }],
    ['as something else', { env: { SIGSTORE_ID_TOKEN: 'glpat-not-a-token' } }],
    ['as three words of nonsense', { env: { SIGSTORE_ID_TOKEN: 'a.b.c' } }],
    ['expired', { env: { SIGSTORE_ID_TOKEN: makeToken({ exp: 1_700_000_000 }) } }],
    ['without a subject', { env: { SIGSTORE_ID_TOKEN: makeToken({ sub: '' }) } }],
    ['larger than any token is', { env: { SIGSTORE_ID_TOKEN: makeToken({ pad: 'x'.repeat(100_000) }) } }],
  ])('%s: nothing is hashed, asked or written', async (_where, options) => {
    expect(await reason(options)).toBe('CREDENTIALS_MISSING');
    expect(server.seen).toEqual([]);
    expect(events.filter((event) => event.kind === 'treeRead')).toEqual([]);
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('never over plain http to another machine', async () => {
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: 'http://tokens.example.com/', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' };
    expect(await reason({ env })).toBe('CONFIG_INVALID');
    const flags = { 'trust-config': undefined, 'fulcio-url': 'http://fulcio.example.com', 'rekor-url': server.origin };
    expect(await reason(withToken(flags))).toBe('CONFIG_INVALID');
  });
});

describe('no bundle is written, and an old one is kept,', () => {
  const answer = (status: number, body: string | Buffer = '{}', headers?: Record<string, string>): Answer => ({ status, body, ...(headers && { headers }) });
  const otherKeysCertificate: Misbehaviour = async ({ body }, honest) => {
    const request = JSON.parse(body.toString()) as Json;
    const { publicKey, privateKey } = keyPair('P-256');
    const { createSign } = await import('node:crypto');
    request['publicKeyRequest'].publicKey.content = publicKey.export({ type: 'spki', format: 'pem' });
    request['publicKeyRequest'].proofOfPossession = createSign('sha256').update(SUBJECT).sign(privateKey, 'base64');
    return honest(Buffer.from(JSON.stringify(request)));
  };
  let firstEntry: Answer | undefined;
  const earlierEntry: Misbehaviour = async (_, honest) => (firstEntry ??= await honest());
  const altered =
    (change: (entry: Json) => void): Misbehaviour =>
    async (_, honest) => {
      const good = await honest();
      const json = JSON.parse(good.body.toString()) as Json;
      change(json);
      return { ...good, body: JSON.stringify(json) };
    };
  const first = (json: Json): Json => Object.values(json)[0] as Json;
  const stampOf =
    (options: Parameters<typeof timestamp>[2]): Misbehaviour =>
    async () =>
      answer(200, await timestamp(Buffer.from('other bytes'), server.instance.tsa, { at: new Date(), ...options }));

  test.each<[string, string, Misbehaviour, ErrorCode]>([
    ['the authority refuses the token', PATHS.fulcio, () => answer(401, '{"message":"no"}'), 'SOURCE_DENIED'],
    ['the authority refuses the request', PATHS.fulcio, () => answer(400, '{"message":"bad audience"}'), 'SIGNING_SERVICE_FAILED'],
    ['the authority fails again and again', PATHS.fulcio, () => answer(500), 'SOURCE_UNAVAILABLE'],
    ['the authority says nothing', PATHS.fulcio, () => undefined, 'SOURCE_TIMEOUT'],
    ['the authority answers without end', PATHS.fulcio, () => answer(201, Buffer.alloc(8 * 1024 * 1024, ' ')), 'SIGNING_SERVICE_FAILED'],
    ['the authority answers nonsense', PATHS.fulcio, () => answer(201, '<html>'), 'SIGNING_SERVICE_FAILED'],
    ['the authority redirects', PATHS.fulcio, () => answer(307, '', { location: 'http://127.0.0.1:1/' }), 'SIGNING_SERVICE_FAILED'],
    ['the authority certifies another key', PATHS.fulcio, otherKeysCertificate, 'SIGNING_SERVICE_FAILED'],
    [
      'the authority gives a detached log timestamp',
      PATHS.fulcio,
      altered((json) => {
        json['signedCertificateDetachedSct'] = json['signedCertificateEmbeddedSct'];
        json['signedCertificateEmbeddedSct'] = undefined;
      }),
      'SIGNING_SERVICE_FAILED',
    ],
    ['the log refuses', PATHS.rekor, () => answer(400), 'SIGNING_SERVICE_FAILED'],
    ['the log says nothing', PATHS.rekor, () => undefined, 'SOURCE_TIMEOUT'],
    ['the log answers with two entries', PATHS.rekor, altered((json) => Object.assign(json, { more: first(json) })), 'SIGNING_SERVICE_FAILED'],
    [
      'the log gives no proof',
      PATHS.rekor,
      altered((json) => {
        first(json)['verification'].inclusionProof = undefined;
      }),
      'SIGNING_SERVICE_FAILED',
    ],
    [
      'the log’s promise is of another time',
      PATHS.rekor,
      altered((json) => {
        first(json)['integratedTime'] -= 1;
      }),
      'SIGNING_SERVICE_FAILED',
    ],
    ['the log says that the entry exists, but not where', PATHS.rekor, () => answer(409, '{}', { location: '/elsewhere' }), 'SIGNING_SERVICE_FAILED'],
    ['the timestamp authority refuses', PATHS.tsa, () => answer(403), 'SOURCE_DENIED'],
    ['the timestamp authority rejects the request', PATHS.tsa, stampOf({ status: 2 }), 'SIGNING_SERVICE_FAILED'],
    ['the timestamp repeats no nonce', PATHS.tsa, stampOf({}), 'SIGNING_SERVICE_FAILED'],
    ['the timestamp is huge', PATHS.tsa, () => answer(200, Buffer.alloc(65_537)), 'SIGNING_SERVICE_FAILED'],
    ['the timestamp is nonsense', PATHS.tsa, () => answer(200, 'granted'), 'SIGNING_SERVICE_FAILED'],
  ])('when %s', async (_what, path, how, code) => {
    server.misbehave(path, how);
    const options = withToken({ 'timestamp-url': `${server.origin}${PATHS.tsa}`, 'stall-timeout': '200ms' });
    const token = readFileSync(space.at('token'), 'utf8').trim();
    writeFileSync(join(model, 'model.sig'), '');
    const error = await signError(options);
    expect(error?.code).toBe(code);
    expect(readFileSync(join(model, 'model.sig'), 'utf8')).toBe('');
    expect(JSON.stringify([error?.message, error?.hint, error?.context, events])).not.toContain(token.slice(0, 40));
  });

  test('when the log answers with somebody else’s entry', async () => {
    server.misbehave(PATHS.rekor, earlierEntry);
    expect(await reason(withToken())).toBe('OK');
    const before = readFileSync(join(model, 'model.sig'));
    const error = await signError(withToken());
    expect(error).toMatchObject({ code: 'SIGNING_SERVICE_FAILED', message: expect.stringContaining('not about this signature') });
    expect(readFileSync(join(model, 'model.sig'))).toEqual(before);
  });

  test('when the timestamp repeats another nonce, is over other bytes, or is by nobody the trusted root knows', async () => {
    const flags = withToken({ 'timestamp-url': `${server.origin}${PATHS.tsa}` });
    const { TimeStampReq } = await import('pkijs');
    const { Integer } = await import('asn1js');
    const other = await authority(await root({ from: days(-10, new Date()), to: days(10, new Date()) }), {
      from: days(-10, new Date()),
      to: days(10, new Date()),
    });
    const imprintOf = (body: Buffer) => Buffer.from(TimeStampReq.fromBER(body).messageImprint.hashedMessage.valueBlock.valueHexView);
    const now = new Date();
    server.misbehave(PATHS.tsa, async ({ body }) =>
      answer(200, await timestamp(body, server.instance.tsa, { at: now, imprint: imprintOf(body), nonce: new Integer({ value: 7 }) })),
    );
    expect(await signError(flags)).toMatchObject({ code: 'SIGNING_SERVICE_FAILED', message: expect.stringContaining('nonce') });
    server.misbehave(PATHS.tsa, async ({ body }) => {
      const { nonce } = TimeStampReq.fromBER(body);
      return answer(200, await timestamp(Buffer.from('other bytes'), server.instance.tsa, { at: now, ...(nonce instanceof Integer && { nonce }) }));
    });
    expect(await signError(flags)).toMatchObject({ code: 'SIGNING_SERVICE_FAILED', message: expect.stringMatching(/not over this signature|does not verify/) });
    server.misbehave(PATHS.tsa, async ({ body }) => {
      const { nonce } = TimeStampReq.fromBER(body);
      return answer(200, await timestamp(body, other, { at: now, imprint: imprintOf(body), ...(nonce instanceof Integer && { nonce }) }));
    });
    expect(await signError(flags)).toMatchObject({ code: 'SIGNING_SERVICE_FAILED', message: expect.stringContaining('would not verify') });
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('when the instance is not the one of the trusted root', async () => {
    await using stranger = await startSigstoreServer();
    const flags = { 'trust-config': undefined, 'fulcio-url': stranger.origin, 'rekor-url': stranger.origin, 'trusted-root': space.at('root.json') };
    expect(await signError(withToken(flags))).toMatchObject({ code: 'SIGNING_SERVICE_FAILED', message: expect.stringContaining('would not verify') });
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('when the authority repeats the token in its refusal: the message stays out', async () => {
    server.misbehave(PATHS.fulcio, ({ body }) =>
      answer(400, JSON.stringify({ message: `cannot verify ${(JSON.parse(body.toString()) as Json)['credentials'].oidcIdentityToken}` })),
    );
    const error = await signError(withToken());
    expect(error?.message).toContain('cannot verify <redacted>');
  });

  test('when the token expires while the model is hashed', async () => {
    const hashing = () => events.some((event) => event.kind === 'treeRead');
    const now = () => new Date(Date.now() + (hashing() ? 3_600_000 : 0));
    expect(await signError({ ...withToken(), now })).toMatchObject({ code: 'CREDENTIALS_MISSING', message: expect.stringContaining('expired') });
    expect(server.seen).toEqual([]);
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });

  test('when it is stopped while a service keeps it waiting', async () => {
    const stop = new AbortController();
    server.misbehave(PATHS.rekor, () => {
      stop.abort(new Error('stopped'));
      return undefined;
    });
    expect(await signError({ ...withToken(), signal: stop.signal })).toMatchObject({ message: 'stopped' });
    expect(existsSync(join(model, 'model.sig'))).toBe(false);
  });
});

describe('a busy service', () => {
  test('is asked again; a log that has the entry already is asked for it', async () => {
    let asked = 0;
    server.misbehave(PATHS.fulcio, (_, honest) => (asked++ === 0 ? { status: 503, body: '' } : honest()));
    server.misbehave(PATHS.rekor, async (_, honest) => {
      const { body } = await honest();
      return { status: 409, body: '{}', headers: { location: `${PATHS.rekor}/${Object.keys(JSON.parse(body.toString()) as Json)[0]}` } };
    });
    expect(await reason(withToken())).toBe('OK');
    expect(asked).toBe(2);
    expect(await verifyAs()).toBe('OK');
  });
});

describe('services over TLS', () => {
  test('have to show a certificate of a CA that is trusted: the system’s, or one of --ca-bundle', async () => {
    const ca = await makeAuthority();
    await using secure = await startSigstoreServer(await issueServer(ca));
    writeFileSync(space.at('trust.json'), JSON.stringify(secure.trustConfig()));
    writeFileSync(space.at('ca.pem'), ca.certPem);
    writeFileSync(space.at('other.pem'), (await makeAuthority()).certPem);
    for (const flags of [{}, { 'ca-bundle': space.at('other.pem') }]) {
      expect(await reason({ ...withToken(flags), env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } })).toBe('TLS_FAILED');
    }
    expect(secure.seen).toEqual([]);
    expect(await reason(withToken({ 'ca-bundle': space.at('ca.pem') }))).toBe('OK');
  });
});

describe('a request to sign is refused', () => {
  test.each<[string, Flags, ErrorCode]>([
    ['with one URL of an instance and not the other', { 'trust-config': undefined, 'rekor-url': 'https://rekor.example.com' }, 'PLAN_CONTRADICTION'],
    ['with services from two places', { 'signing-config': 'x.json' }, 'PLAN_CONTRADICTION'],
    ['with two roots', { 'trusted-root': 'x.json' }, 'PLAN_CONTRADICTION'],
    ['with a key, which keyless signing has none of', { 'private-key': 'key.pem' }, 'PLAN_CONTRADICTION'],
    ['with a URL that is none', { 'timestamp-url': 'tsa.example.com' }, 'CONFIG_INVALID'],
    ['with two tokens', { 'identity-token': 'x' }, 'PLAN_CONTRADICTION'],
    ['with a trust configuration that is not there', { 'trust-config': '/nowhere.json' }, 'ANCHORS_INVALID'],
    ['with a trust configuration that is a trusted root', { 'trust-config': 'ROOT' }, 'ANCHORS_INVALID'],
  ])('%s (%s)', async (_what, flags, code) => {
    const there = Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, value === 'ROOT' ? space.at('root.json') : value]));
    expect(await reason(withToken(there))).toBe(code);
    expect(server.seen).toEqual([]);
  });
});
