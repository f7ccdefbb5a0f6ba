// SPDX-License-Identifier: Apache-2.0
import { realpath } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { MAX_BUNDLE_BYTES, parseBundle } from '../oms/bundle.ts';
import { isWithin } from '../oms/path.ts';
import type { SignPlan } from '../plan/plan.ts';
import { type Output, openOutput } from '../store/output.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';
import { type LocatedModel, locateModel, type Measured, measure, type ToolDeps } from './measure.ts';
import { openSigner } from './signer.ts';

/**
 * Signs a model where it stands and writes its bundle. Everything that can fail early fails before the first file is hashed;
 * a failure leaves no bundle, or the old one. @throws the codes of every stage
 */
export async function sign(plan: SignPlan, deps: ToolDeps): Promise<Measured> {
  const start = performance.now();
  await using signer = await openSigner(plan, deps);
  const model = await locateModel(plan, deps);
  if (model.bundlePath === undefined) throw new AppError('INTERNAL', 'signing without a place for the bundle');
  await using output = await openOutput(model.bundlePath);
  await keepModelFiles(output, model);
  const measured = await measure(model, plan, deps);
  const { bundle, signer: who } = await signer.sign(measured.statement);
  deps.signal.throwIfAborted();
  await output.write(bundle);
  deps.emit({
    kind: 'modelSigned',
    source: measured.displayUri,
    bundle: output.display,
    signer: who,
    files: measured.files,
    totalBytes: measured.totalBytes,
    ms: Math.round(performance.now() - start),
    rootDigest: measured.statement.rootDigest,
  });
  return measured;
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
