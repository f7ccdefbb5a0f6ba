// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import yargs from 'yargs';
import { isNonEmpty } from '../base/brands.ts';
import { AppError, asAppError, EXIT, serialiseError } from '../base/errors.ts';
import { isWithin, type ModelPath, parseModelPath } from '../oms/path.ts';
import type { GateDeps } from '../pipeline/gate.ts';
import { resolveOptions } from '../plan/load.ts';
import { makeVerifyPlan, materialRef } from '../plan/make.ts';
import type { VerifyPlan } from '../plan/plan.ts';
import type { TrustPlan } from '../plan/trust.ts';
import { terminationMessage } from '../report/document.ts';
import { startEvidence } from '../report/evidence.ts';
import { writeTermination } from '../report/write.ts';
import type { Host } from './run.ts';

const METHODS = ['key', 'certificate', 'sigstore'] as const;

/**
 * The command line of the reference implementation, model_signing 1.1.1: `verify key|certificate|sigstore MODEL --signature …`,
 * in both spellings of every flag. Exit 0 verified, 1 not verified, 2 wrong usage; the words are the ones people look for.
 */
export async function runModelSigning(argv: readonly string[], host: Host): Promise<number> {
  const args = await parser(argv.map(hyphenate)).parseAsync();
  if (args['help'] === true) return EXIT.ok;
  const [command, method, model, ...rest] = args._.map(String);
  if (command !== 'verify') throw new AppError('USAGE', `model_signing ${command ?? ''}: only verify is available`);
  const known = METHODS.find((name) => name === method);
  if (known === undefined || model === undefined || rest.length > 0)
    throw new AppError('USAGE', `model_signing verify needs ${METHODS.join('|')} and one model`);
  const plan = makePlan(known, model, args, host.env['MODEL_GATE_STRICT'] === '1');
  return execute(plan, host);
}

type Arguments = Readonly<Record<string, unknown>>;

function makePlan(method: (typeof METHODS)[number], model: string, args: Arguments, strict: boolean): VerifyPlan {
  const trust = trustOf(method, args, strict);
  // One signature file, no search: the reference never guesses.
  const signature = text(args, 'signature');
  if (signature === undefined) throw new AppError('USAGE', 'Missing option --signature');
  const { values } = resolveOptions('verify', { flags: { 'public-key': ['placeholder'], bundle: signature }, env: {}, file: undefined });
  const base = makeVerifyPlan([model], values);
  return {
    ...base,
    trust,
    ignorePaths: list(args, 'ignore-paths').flatMap((path) => belowModel(model, path)),
    ignoreGitPaths: args['ignore-git-paths'] !== false,
    unsignedFiles: args['ignore-unsigned-files'] === true ? 'ignore' : 'refuse',
    symlinks: args['allow-symlinks'] === true ? 'allow' : 'recorded',
  };
}

function trustOf(method: (typeof METHODS)[number], args: Arguments, strict: boolean): TrustPlan {
  switch (method) {
    case 'key': {
      const key = text(args, 'public-key');
      if (key === undefined) throw new AppError('USAGE', 'Missing option --public_key');
      return { kind: 'key', keys: [materialRef(key)] };
    }
    case 'certificate': {
      const refs = list(args, 'certificate-chain').map(materialRef);
      if (!isNonEmpty(refs)) throw new AppError('USAGE', 'Missing option --certificate_chain');
      // The reference checks the chain at the leaf's notBefore, so its users' expired leaves verify; see docs/oms-decisions.md.
      return { kind: 'certificate', certificates: refs, timestampAuthorities: [], expired: strict ? 'refuse' : 'allow', identities: [] };
    }
    case 'sigstore': {
      const identity = text(args, 'identity');
      const issuer = text(args, 'identity-provider');
      const config = text(args, 'trust-config');
      if (identity === undefined || issuer === undefined) throw new AppError('USAGE', 'Missing option --identity or --identity_provider');
      if (identity === '' || issuer === '') throw new AppError('CONFIG_INVALID', 'an empty identity or identity provider would match everybody');
      return {
        kind: 'sigstore',
        root: config === undefined ? { kind: 'embedded' } : { kind: 'trust-config', ref: materialRef(config) },
        signers: [{ identity: { kind: 'exact', text: identity }, issuer }],
      };
    }
  }
}

async function execute(plan: VerifyPlan, host: Host): Promise<number> {
  const evidence = startEvidence([], new Date());
  let failure: AppError | undefined;
  const deps: GateDeps = {
    emit: (event) => {
      if (event.kind === 'warning') process.stderr.write(`Warning: ${event.message}\n`);
    },
    signal: host.signal,
    now: () => new Date(),
    env: host.env,
    evidence,
  };
  try {
    await (await import('../pipeline/verify.ts')).verify(plan, deps);
  } catch (error) {
    failure = asAppError(host.signal.aborted ? host.signal.reason : error);
  }
  const exitCode = failure === undefined ? EXIT.ok : failure.code === 'USAGE' ? EXIT.request : EXIT.rejected;
  const signer = evidence.models[0]?.signer;
  if (signer?.kind === 'certificate' && signer.timeSource === 'notBefore') {
    process.stderr.write(
      `Warning: the signing certificate expired on ${signer.notAfter.toISOString()}; accepted as the reference does. MODEL_GATE_STRICT=1 refuses it.\n`,
    );
  }
  if (failure === undefined) process.stdout.write('Verification succeeded\n');
  else process.stderr.write(`Verification failed with error: ${failure.message}\n`);
  await writeTermination('/dev/termination-log', terminationMessage(evidence, failure && serialiseError(failure), exitCode));
  return exitCode;
}

/** As the reference: absolute or relative to the current directory; what lies outside the model is dropped. */
function belowModel(model: string, path: string): readonly ModelPath[] {
  const root = resolve(model);
  const absolute = resolve(path);
  if (absolute === root || !isWithin(absolute, root)) return [];
  const parsed = parseModelPath(absolute.slice(root === '/' ? 1 : root.length + 1));
  return 'path' in parsed ? [parsed.path] : [];
}

/** `--public_key=x` → `--public-key=x`; values stay as they are. */
function hyphenate(arg: string): string {
  if (!arg.startsWith('--')) return arg;
  const end = arg.indexOf('=');
  return end < 0 ? arg.replaceAll('_', '-') : arg.slice(0, end).replaceAll('_', '-') + arg.slice(end);
}

function text(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (Array.isArray(value)) return String(value.at(-1));
  return typeof value === 'string' ? value : undefined;
}

function list(args: Arguments, name: string): readonly string[] {
  const value = args[name];
  return Array.isArray(value) ? value.map(String) : [];
}

function parser(argv: readonly string[]): ReturnType<typeof yargs> {
  return yargs([...argv])
    .scriptName('model_signing')
    .usage('Usage: $0 verify key|certificate|sigstore MODEL_PATH --signature SIGNATURE_PATH …')
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'greedy-arrays': false,
    })
    .option('signature', { string: true, requiresArg: true, describe: 'Location of the signature file' })
    .option('public-key', { string: true, requiresArg: true, describe: 'Path to the public key' })
    .option('certificate-chain', { string: true, array: true, requiresArg: true, describe: 'Certificates to trust; repeatable' })
    .option('identity', { string: true, describe: 'Expected identity of the signer' })
    .option('identity-provider', { string: true, describe: 'Expected OIDC issuer' })
    .option('trust-config', { string: true, requiresArg: true, describe: 'ClientTrustConfig of a private instance' })
    .option('ignore-paths', { string: true, array: true, requiresArg: true, describe: 'Path to ignore; repeatable' })
    .option('ignore-git-paths', { boolean: true, describe: 'Ignore git files at the top of the model', default: true })
    .option('ignore-unsigned-files', { boolean: true, describe: 'Accept files that are not signed' })
    .option('allow-symlinks', { boolean: true, describe: 'Accept symbolic links' })
    .option('log-level', { string: true, requiresArg: true, describe: 'Accepted for compatibility' })
    .help()
    .version(false)
    .strictOptions()
    .exitProcess(false)
    .fail((message, error) => {
      throw error instanceof AppError ? error : new AppError('USAGE', message || error.message);
    });
}
