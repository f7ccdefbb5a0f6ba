// SPDX-License-Identifier: Apache-2.0
// Validates fresh bundles of ours, of every method, as files and as shards, against the published JSON schemas of OMS:
// node test/conformance/schemas.ts FOLDER-OF-SCHEMAS. The schemas are not part of this repository; .ci/stages/vectors.sh knows where they are.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { sign } from '../../src/pipeline/sign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makeSignPlan } from '../../src/plan/makeTool.ts';
import { makeToken, PATHS, startSigstoreServer } from '../servers/sigstoreServer.ts';
import { KEYS, SMALL_MODEL, scratch, writeTree } from '../support/model.ts';
import { days, intermediate, leaf, pem, root } from '../trust/pki.ts';

const IDS = { bundle: 'https://model_signing/bundle/v1.0/schema', statement: 'https://model_signing/statement/v1.0/schema' };

const [folder = ''] = process.argv.slice(2);
// The schemas' own prose is of no concern to the validator: unknown formats and keywords may be there.
const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false });
for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) ajv.addSchema(JSON.parse(readFileSync(join(folder, name), 'utf8')) as object);

await using server = await startSigstoreServer();
using space = scratch();
writeTree(space.at('model'), SMALL_MODEL);
writeFileSync(space.at('trust.json'), JSON.stringify(server.trustConfig({ timestamps: true })));

const now = new Date();
const around = { from: days(-1, now), to: days(1, now) };
const between = await intermediate(await root(around), around);
const signer = await leaf(between, around);
const keyPem = (key: typeof KEYS.privateKey): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const timestamp = { 'timestamp-url': `${server.origin}${PATHS.tsa}` };
const methods: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  key: { 'private-key': keyPem(KEYS.privateKey), ...timestamp },
  certificate: { 'private-key': keyPem(signer.privateKey), 'signing-certificate': pem(signer), 'certificate-chain': [pem(between)], ...timestamp },
  sigstore: { 'trust-config': space.at('trust.json') },
};
const ways = { files: {}, 'files, all options': { hash: 'blake3', 'ignore-paths': ['empty.txt'], 'allow-symlinks': true }, shards: { 'shard-size': '30000' } };

let failed = false;
for (const [method, flags] of Object.entries(methods)) {
  for (const [way, more] of Object.entries(ways)) {
    const problems = await problemsOf(method, { ...flags, ...more });
    console.log(`${problems.length === 0 ? 'valid  ' : 'INVALID'} ${method}, ${way}${problems.map((problem) => `\n        ${problem}`).join('')}`);
    failed ||= problems.length > 0;
  }
}
process.exitCode = failed ? 1 : 0;

async function problemsOf(method: string, flags: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  const signature = space.at('model.sig');
  const env = method === 'sigstore' ? { MODEL_GATE_IDENTITY_TOKEN: makeToken() } : {};
  const { values } = resolveOptions('sign', { flags: { ...flags, signature }, env, file: undefined });
  await sign(makeSignPlan([method, space.at('model')], values), { emit: () => {}, signal: new AbortController().signal, now: () => new Date(), env });
  const bundle = JSON.parse(readFileSync(signature, 'utf8')) as { dsseEnvelope: { payload: string } };
  const statement: unknown = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString());
  return [...errorsOf(IDS.bundle, bundle), ...errorsOf(IDS.statement, statement).filter((error) => !isShardLabel(error))].map(show);
}

function errorsOf(schema: string, document: unknown): readonly ErrorObject[] {
  const validate = ajv.getSchema(schema);
  if (validate === undefined) throw new Error(`${folder} holds no schema ${schema}`);
  validate(document);
  return validate.errors ?? [];
}

/** docs/oms-decisions.md: shards bear the label that other verifiers demand, which the schema does not know. */
function isShardLabel({ instancePath, keyword, data }: ErrorObject): boolean {
  return keyword === 'enum' && /^\/predicate\/resources\/\d+\/algorithm$/.test(instancePath) && data === 'sha256-sharded-30000';
}

function show({ instancePath, message }: ErrorObject): string {
  return `${instancePath}: ${message}`;
}
