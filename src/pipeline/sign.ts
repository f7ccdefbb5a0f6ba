// SPDX-License-Identifier: Apache-2.0
import { realpath } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { MAX_BUNDLE_BYTES, parseBundle } from '../oms/bundle.ts';
import { isWithin } from '../oms/path.ts';
import type { SecretRef, SignerPlan, SignPlan } from '../plan/plan.ts';
import type { KeyFile } from '../sign/key.ts';
import { type SigningIdentity, signStatement } from '../sign/sign.ts';
import { type Output, openOutput } from '../store/output.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';
import { type LocatedModel, locateModel, type Measured, measure, type ToolDeps } from './measure.ts';

/** Real keys and chains are below 64 KiB. */
const MAX_KEY_BYTES = 1024 * 1024;

/**
 * Signs a model where it stands and writes its bundle. Everything that can fail early fails before the first file is hashed;
 * a failure leaves no bundle, or the old one. @throws the codes of every stage
 */
export async function sign(plan: SignPlan, deps: ToolDeps): Promise<Measured> {
  const start = performance.now();
  const identity = await loadIdentity(plan.signer, deps);
  const model = await locateModel(plan, deps);
  if (model.bundlePath === undefined) throw new AppError('INTERNAL', 'signing without a place for the bundle');
  await using output = await openOutput(model.bundlePath);
  await keepModelFiles(output, model);
  const measured = await measure(model, plan, deps);
  const bundle = signStatement(measured.statement, identity);
  deps.signal.throwIfAborted();
  await output.write(bundle);
  deps.emit({
    kind: 'modelSigned',
    source: measured.displayUri,
    bundle: output.display,
    signer: `key ${identity.key.fingerprint.slice(0, 16)}… (${identity.key.curve})`,
    files: measured.files,
    totalBytes: measured.totalBytes,
    ms: Math.round(performance.now() - start),
    rootDigest: measured.statement.rootDigest,
  });
  return measured;
}

async function loadIdentity(signer: SignerPlan, deps: ToolDeps): Promise<SigningIdentity> {
  const { parseSigningKey } = await import('../sign/key.ts');
  const key = parseSigningKey(await read(signer.privateKey), await readPassword(signer.password));
  switch (signer.kind) {
    case 'key':
      return { kind: 'key', key };
    case 'certificate': {
      const { parseSigningChain } = await import('../sign/certificate.ts');
      const chain = await Promise.all(signer.chain.map(read));
      return { kind: 'certificate', key, chain: parseSigningChain(await read(signer.certificate), chain, key, deps.now()) };
    }
  }
}

async function readPassword(ref: SecretRef | undefined): Promise<string | undefined> {
  if (ref === undefined) return undefined;
  // Editors and `echo` end files with a newline that nobody means.
  const password = ref.kind === 'text' ? ref.text : (await read(ref)).bytes.toString('utf8').replace(/\r?\n$/, '');
  if (password === '') throw new AppError('SIGNING_KEY_INVALID', 'the password is empty');
  return password;
}

/** Links are followed: Kubernetes mounts Secrets as links. @throws SIGNING_KEY_INVALID */
async function read(ref: SecretRef): Promise<KeyFile> {
  if (ref.kind === 'text') return { bytes: Buffer.from(ref.text), name: 'the given text' };
  const name = printable(ref.path, 300);
  try {
    return { bytes: await readSmallFile(ref.path, MAX_KEY_BYTES, 'follow'), name };
  } catch (cause) {
    throw new AppError('SIGNING_KEY_INVALID', cause instanceof AppError ? cause.message : `${name} cannot be read`, { cause });
  }
}

/** A slip of the hand in --signature must not replace weights by a bundle: inside the model, only a bundle (or nothing) is overwritten. */
async function keepModelFiles(output: Output, model: LocatedModel): Promise<void> {
  if (output.before === 'nothing' || !isWithin(output.path, await realpath(model.path))) return;
  try {
    const bytes = await readSmallFile(output.path, MAX_BUNDLE_BYTES, 'refuse');
    if (bytes.length > 0) parseBundle(bytes);
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `${output.display} is a file of the model and no bundle: signing would overwrite it`, {
      hint: 'Name another file with --signature, or remove this one first.',
      cause,
    });
  }
}
