// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import type { Options } from 'yargs';
import { readFloor } from '../anchors/floor.ts';
import { isNonEmpty } from '../base/brands.ts';
import { AppError, asAppError, EXIT, serialiseError } from '../base/errors.ts';
import type { Emit } from '../base/events.ts';
import { MAX_BUNDLE_BYTES, parseBundle } from '../oms/bundle.ts';
import type { GateDeps } from '../pipeline/gate.ts';
import { resolveOptions } from '../plan/load.ts';
import { makeVerifyPlan, materialRef } from '../plan/make.ts';
import type { VerifyPlan } from '../plan/plan.ts';
import type { TrustPlan } from '../plan/trust.ts';
import { terminationMessage } from '../report/document.ts';
import { type Evidence, startEvidence } from '../report/evidence.ts';
import { writeTermination } from '../report/write.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';
import {
  type Arguments,
  belowModel,
  flagOf,
  IMAGE_OPTIONS,
  listOf,
  onlyModel,
  parseArguments,
  type ReferenceMethod,
  requiredText,
  splitMethod,
  text,
  textOf,
  WALK_OPTIONS,
} from './reference.ts';
import type { Host } from './run.ts';

/** `verify [METHOD] MODEL --signature …` as the reference has it. Exit 0 verified, 1 not verified. @throws USAGE */
export async function runReferenceVerify(argv: readonly string[], host: Host): Promise<number> {
  const { method, rest } = splitMethod(argv);
  const args = await parseVerify(method, rest);
  if (args === undefined) return EXIT.ok;
  let failure: AppError | undefined;
  try {
    const plan = planVerify(method, args, { strict: isStrict(host), ignoreGitPaths: true });
    if (flagOf(args, 'log-fingerprints', false)) await logFingerprints(requiredText(args, 'signature'));
    failure = await verifyAsReference(plan, host, (event) => {
      if (event.kind === 'warning') process.stderr.write(`Warning: ${event.message}\n`);
    });
  } catch (error) {
    failure = asAppError(error);
    if (failure.code === 'USAGE') throw failure;
  }
  if (failure === undefined) process.stdout.write('Verification succeeded\n');
  else process.stderr.write(`Verification failed with error: ${failure.message}\n`);
  return failure === undefined ? EXIT.ok : EXIT.rejected;
}

/** @throws USAGE */
export function parseVerify(method: ReferenceMethod, argv: readonly string[]): Promise<Arguments | undefined> {
  const options = { signature: text('Location of the signature file'), ...METHOD_OPTIONS[method], ...COMMON_OPTIONS, ...WALK_OPTIONS, ...IMAGE_OPTIONS };
  return parseArguments(`verify ${method} MODEL_PATH --signature SIGNATURE_PATH …`, options, argv);
}

const METHOD_OPTIONS: Readonly<Record<ReferenceMethod, Readonly<Record<string, Options>>>> = {
  key: { 'public-key': text('Path to the public key') },
  certificate: {
    'certificate-chain': { ...text('Certificates to trust; repeatable'), array: true },
    'log-fingerprints': { boolean: true, describe: 'Log SHA-256 fingerprints of the certificates' },
  },
  sigstore: {
    identity: { string: true, describe: 'Expected identity of the signer' },
    'identity-provider': { string: true, describe: 'Expected OIDC issuer' },
    'use-staging': { boolean: true, describe: "Sigstore's staging instance: not available, give --trust_config" },
  },
};

const COMMON_OPTIONS: Readonly<Record<string, Options>> = {
  // The operator appends it whatever the method is.
  'trust-config': text('ClientTrustConfig of a private Sigstore instance'),
  'ignore-unsigned-files': { boolean: true, describe: 'Accept files that are not signed' },
};

/** How the names of the program differ. */
export type Manner = { readonly strict: boolean; readonly ignoreGitPaths: boolean };

/** MODEL_GATE_STRICT=1 takes back what the drop-in names accept for the sake of compatibility. */
export function isStrict(host: Host): boolean {
  return host.env['MODEL_GATE_STRICT'] === '1';
}

/** @throws USAGE, CONFIG_INVALID */
export function planVerify(method: ReferenceMethod, args: Arguments, manner: Manner): VerifyPlan {
  const model = onlyModel(args);
  // One signature file, no search: the reference never guesses.
  const signature = requiredText(args, 'signature');
  const trust = trustOf(method, args, manner);
  const { values } = resolveOptions('verify', { flags: { 'public-key': ['placeholder'], bundle: signature }, env: {}, file: undefined });
  const relaxing = ['ignore-paths', 'ignore-unsigned-files', 'allow-symlinks'].filter((name) => listOf(args, name).length > 0 || flagOf(args, name, false));
  return {
    ...makeVerifyPlan([model], values),
    trust,
    // The model itself is dropped as well: ignoring it would verify nothing.
    ignorePaths: listOf(args, 'ignore-paths').flatMap((path) => belowModel(model, path)),
    ignoreGitPaths: flagOf(args, 'ignore-git-paths', manner.ignoreGitPaths),
    unsignedFiles: flagOf(args, 'ignore-unsigned-files', false) ? 'ignore' : 'refuse',
    symlinks: flagOf(args, 'allow-symlinks', false) ? 'allow' : 'recorded',
    relaxations: relaxing.map((name) => `--${name}`),
  };
}

function trustOf(method: ReferenceMethod, args: Arguments, manner: Manner): TrustPlan {
  switch (method) {
    case 'key':
      return { kind: 'key', keys: [materialRef(requiredText(args, 'public-key'))] };
    case 'certificate': {
      const refs = listOf(args, 'certificate-chain').map(materialRef);
      // The reference would take the system's roots: anybody with a certificate from any public CA.
      if (!isNonEmpty(refs)) throw new AppError('USAGE', "Missing option '--certificate_chain'");
      // The reference checks the chain at the leaf's notBefore, so its users' expired leaves verify; see docs/oms-decisions.md.
      return { kind: 'certificate', certificates: refs, timestampAuthorities: [], expired: manner.strict ? 'refuse' : 'allow', identities: [] };
    }
    case 'sigstore': {
      const identity = requiredText(args, 'identity');
      const issuer = requiredText(args, 'identity-provider');
      const config = textOf(args, 'trust-config');
      if (identity === '' || issuer === '') throw new AppError('CONFIG_INVALID', 'an empty identity or identity provider would match everybody');
      if (flagOf(args, 'use-staging', false)) {
        throw new AppError('CONFIG_INVALID', "Sigstore's staging instance is not built in; give its ClientTrustConfig with --trust_config");
      }
      return {
        kind: 'sigstore',
        root: config === undefined ? { kind: 'embedded' } : { kind: 'trust-config', ref: materialRef(config) },
        signers: [{ identity: { kind: 'exact', text: identity }, issuer }],
      };
    }
  }
}

/** Runs the verification, tells Kubernetes, and returns what went wrong. `exitCodeOfFailure`: what the process will end with then. */
export async function verifyAsReference(
  plan: VerifyPlan,
  host: Host,
  emit: Emit,
  exitCodeOfFailure: (failure: AppError, host: Host) => number = () => EXIT.rejected,
): Promise<AppError | undefined> {
  const evidence = startEvidence([...plan.relaxations], new Date());
  let failure: AppError | undefined;
  try {
    // The platform's floor holds under every name of the program.
    const deps: GateDeps = { emit, signal: host.signal, now: () => new Date(), env: host.env, evidence, floor: await readFloor() };
    await (await import('../pipeline/verify.ts')).verify(plan, deps);
  } catch (error) {
    failure = asAppError(host.signal.aborted ? host.signal.reason : error);
  }
  noteExpired(evidence, emit);
  const exitCode = failure === undefined ? EXIT.ok : exitCodeOfFailure(failure, host);
  await writeTermination('/dev/termination-log', terminationMessage(evidence, failure && serialiseError(failure), exitCode));
  return failure;
}

/** What only the reference accepts is told, and stands in the evidence. */
export function noteExpired(evidence: Evidence, emit: Emit): void {
  const signer = evidence.models[0]?.signer;
  if (signer?.kind !== 'certificate' || signer.timeSource !== 'notBefore') return;
  evidence.relaxations = [...evidence.relaxations, 'expired certificate'];
  emit({
    kind: 'warning',
    // The one that is outdated may be a CA.
    message:
      `the certificates of the signer are not valid now, but were at ${signer.checkedAt.toISOString()}, when the signing certificate began ` +
      `(it ends ${signer.notAfter.toISOString()}); accepted as the reference does. MODEL_GATE_STRICT=1 refuses it.`,
  });
}

/** What the bundle carries, before anything is checked: for people who wonder which certificate they got. */
async function logFingerprints(path: string): Promise<void> {
  const { material } = parseBundle(await readSmallFile(path, MAX_BUNDLE_BYTES, 'follow'));
  if (material.kind !== 'certificate') return;
  for (const der of material.chain) process.stderr.write(`[bundle  ] SHA256 Fingerprint: ${new X509Certificate(der).fingerprint256}\n`);
}
