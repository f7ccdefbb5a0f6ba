// SPDX-License-Identifier: Apache-2.0
import type { Options } from 'yargs';
import { AppError, asAppError, EXIT } from '../base/errors.ts';
import type { ToolDeps } from '../pipeline/measure.ts';
import { resolveOptions } from '../plan/load.ts';
import { makeDigestPlan, makeSignPlan } from '../plan/makeTool.ts';
import type { MeasurePlan, SignerPlan, SignPlan } from '../plan/plan.ts';
import {
  type Arguments,
  belowModel,
  coversModel,
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

/** `sign [METHOD] MODEL …` as the reference has it. Exit 0 signed, 1 not signed. @throws USAGE */
export async function runReferenceSign(argv: readonly string[], host: Host): Promise<number> {
  const { method, rest } = splitMethod(argv);
  const options = { signature: text('Where the signature goes (default: model.sig)'), ...METHOD_OPTIONS[method], ...WALK_OPTIONS, ...IMAGE_OPTIONS };
  const args = await parseArguments(`sign ${method} MODEL_PATH …`, options, rest);
  if (args === undefined) return EXIT.ok;
  return answer('Signing failed with error', async () => {
    const plan = planSign(method, args);
    await (await import('../pipeline/sign.ts')).sign(plan, depsOf(host));
    return 'Signing succeeded';
  });
}

/** `digest MODEL`: the root digest. @throws USAGE */
export async function runReferenceDigest(argv: readonly string[], host: Host): Promise<number> {
  const args = await parseArguments('digest MODEL_PATH', WALK_OPTIONS, argv);
  if (args === undefined) return EXIT.ok;
  return answer('Computing digest failed', async () => {
    const model = onlyModel(args);
    const { values } = resolveOptions('digest', { flags: {}, env: {}, file: undefined });
    const plan = { ...makeDigestPlan([model], values), ...walkOf(model, args), bundle: { kind: 'none' } as const };
    const { statement } = await (await import('../pipeline/digest.ts')).digest(plan, depsOf(host));
    return `sha256:${statement.rootDigest}`;
  });
}

const METHOD_OPTIONS: Readonly<Record<ReferenceMethod, Readonly<Record<string, Options>>>> = {
  key: { 'private-key': text('Path to the private key'), password: { string: true, describe: 'Password of the private key' } },
  certificate: {
    'private-key': text('Path to the private key'),
    'signing-certificate': text('Path to the certificate of the private key'),
    'certificate-chain': { ...text('Certificates between it and the root; repeatable'), array: true },
  },
  sigstore: {
    'use-staging': { boolean: true },
    'trust-config': text('ClientTrustConfig of a private instance'),
    'use-ambient-credentials': { boolean: true },
    'identity-token': text('OIDC identity token'),
    'oauth-force-oob': { boolean: true },
    'client-id': text('OAuth client'),
    'client-secret': text('Secret of the OAuth client'),
  },
};

function planSign(method: ReferenceMethod, args: Arguments): SignPlan {
  const model = onlyModel(args);
  const flags = { ...signerFlags(method, args), signature: textOf(args, 'signature') ?? 'model.sig' };
  const plan = makeSignPlan([method, model], resolveOptions('sign', { flags, env: {}, file: undefined }).values);
  return { ...plan, ...walkOf(model, args), signer: withSecrets(plan.signer, args) };
}

function signerFlags(method: ReferenceMethod, args: Arguments): Readonly<Record<string, unknown>> {
  switch (method) {
    case 'key':
      return { 'private-key': requiredText(args, 'private-key') };
    case 'certificate':
      return {
        'private-key': requiredText(args, 'private-key'),
        'signing-certificate': requiredText(args, 'signing-certificate'),
        'certificate-chain': listOf(args, 'certificate-chain'),
      };
    case 'sigstore': {
      if (flagOf(args, 'use-staging', false)) {
        throw new AppError('CONFIG_INVALID', "Sigstore's staging instance is not built in; give its ClientTrustConfig with --trust_config");
      }
      const trustConfig = textOf(args, 'trust-config');
      const audience = textOf(args, 'client-id');
      return { ...(trustConfig !== undefined && { 'trust-config': trustConfig }), ...(audience !== undefined && { 'token-audience': audience }) };
    }
  }
}

/** What the reference takes as flags, and model-gate only as files and variables. */
function withSecrets(signer: SignerPlan, args: Arguments): SignerPlan {
  if (signer.kind === 'sigstore') {
    const text = textOf(args, 'identity-token') ?? '';
    const ambient = flagOf(args, 'use-ambient-credentials', false) ? 'use' : 'ignore';
    return { ...signer, token: { ...signer.token, ambient, ...(text !== '' && { given: { kind: 'text', text } }) } };
  }
  const password = textOf(args, 'password') ?? '';
  return password === '' ? signer : { ...signer, password: { kind: 'text', text: password } };
}

function walkOf(model: string, args: Arguments): Pick<MeasurePlan, 'ignorePaths' | 'ignoreGitPaths' | 'symlinks' | 'singleFile'> {
  const ignored = listOf(args, 'ignore-paths');
  if (ignored.some((path) => coversModel(model, path))) throw new AppError('MODEL_EMPTY', '--ignore-paths covers the whole model: there is nothing to sign');
  return {
    ignorePaths: ignored.flatMap((path) => belowModel(model, path)),
    ignoreGitPaths: flagOf(args, 'ignore-git-paths', true),
    symlinks: flagOf(args, 'allow-symlinks', false) ? 'follow' : 'reject',
    // The reference verifies no other name; ours takes both. See docs/interop.md.
    singleFile: 'dot',
  };
}

function depsOf(host: Host): ToolDeps {
  return {
    emit: (event) => {
      if (event.kind === 'warning') process.stderr.write(`Warning: ${event.message}\n`);
    },
    signal: host.signal,
    now: () => new Date(),
    env: host.env,
  };
}

/** Success on standard output, failure in one line on standard error. @throws USAGE */
async function answer(failed: string, work: () => Promise<string>): Promise<number> {
  try {
    process.stdout.write(`${await work()}\n`);
    return EXIT.ok;
  } catch (error) {
    const failure = asAppError(error);
    if (failure.code === 'USAGE') throw failure;
    process.stderr.write(`${failed}: ${failure.message}\n`);
    return EXIT.rejected;
  }
}
