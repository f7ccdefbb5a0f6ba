// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { CallService } from '../base/service.ts';
import { type SignerMaterial, type Statement, writeBundle } from '../oms/write.ts';
import type { KeylessSignerPlan, KeySignerPlan, SecretRef, ServicesPlan, SignPlan } from '../plan/plan.ts';
import type { KeyFile, SigningKey } from '../sign/key.ts';
import type { SigningServices } from '../sign/services.ts';
import { signStatement } from '../sign/sign.ts';
import { httpSettings } from '../source/http.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';
import { materialDeps, strictTls } from './anchors.ts';
import type { ToolDeps } from './measure.ts';

/** Real keys and chains are below 64 KiB. */
const MAX_KEY_BYTES = 1024 * 1024;

/** Ready to sign: whatever can be wrong with keys, tokens and configuration has been found out. */
export type Signer = AsyncDisposable & { sign(statement: Statement): Promise<{ readonly bundle: Buffer; readonly signer: string }> };

/** @throws SIGNING_KEY_INVALID, CREDENTIALS_MISSING, CONFIG_INVALID, ANCHORS_INVALID */
export async function openSigner(plan: SignPlan, deps: ToolDeps): Promise<Signer> {
  const { signer } = plan;
  return signer.kind === 'sigstore' ? openKeyless(signer, plan, deps) : openKey(signer, plan, deps);
}

async function openKey(plan: KeySignerPlan, { timestampUrl, source }: SignPlan, deps: ToolDeps): Promise<Signer> {
  const { key, material } = await loadKey(plan, deps);
  await using services = new AsyncDisposableStack();
  const call = timestampUrl === undefined ? undefined : await openServices(source, deps, services);
  const open = services.move();
  return {
    async sign(statement) {
      const envelope = signStatement(statement, key);
      const timestamps =
        timestampUrl === undefined || call === undefined
          ? []
          : [await (await import('../sign/timestamp.ts')).requestTimestamp(timestampUrl, envelope.signature, deps.now, call)];
      return { bundle: writeBundle(envelope, material, timestamps), signer: `key ${key.fingerprint.slice(0, 16)}… (${key.curve})` };
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function openKeyless(plan: KeylessSignerPlan, { timestampUrl, source }: SignPlan, deps: ToolDeps): Promise<Signer> {
  const { openTokenSource } = await import('./identityToken.ts');
  const tokens = await openTokenSource(plan.token, deps);
  const { loadRoot } = await import('../anchors/anchors.ts');
  const root = plan.root === undefined ? undefined : await loadRoot(plan.root, materialDeps(source, deps));
  if (root === undefined) {
    deps.emit({ kind: 'warning', message: 'no trusted root of the signing instance is given: whether verifiers will accept the bundle is not checked' });
  }
  const configured = await readServices(plan.services, source, deps);
  const services = timestampUrl === undefined ? configured : { ...configured, timestampAuthorities: [timestampUrl] };
  const { signKeyless } = await import('../sign/keyless.ts');
  await using stack = new AsyncDisposableStack();
  const call = await openServices(source, deps, stack);
  const open = stack.move();
  return {
    async sign(statement) {
      const token = await tokens.token(call);
      const { bytes, identity, issuer } = await signKeyless(statement, token, { services, ...(root !== undefined && { root }), now: deps.now, call });
      return { bundle: bytes, signer: `${printable(identity, 300)} (by ${printable(issuer, 300)})` };
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function readServices(plan: ServicesPlan, source: SignPlan['source'], deps: ToolDeps): Promise<SigningServices> {
  if (plan.kind === 'urls') return { fulcio: plan.fulcio, logs: [{ url: plan.rekor, version: 1 }], timestampAuthorities: [] };
  const { loadSigningConfig } = await import('../anchors/anchors.ts');
  const { json, name } = await loadSigningConfig(plan, materialDeps(source, deps));
  return (await import('../sign/services.ts')).readSigningConfig(json, name, deps.now());
}

/** Services are never talked to over TLS that is not verified. */
async function openServices(source: SignPlan['source'], deps: ToolDeps, stack: AsyncDisposableStack): Promise<CallService> {
  const { createServiceClient } = await import('../transfer/service.ts');
  return stack.use(await createServiceClient(await httpSettings(strictTls(source), deps.env), deps.signal)).call;
}

async function loadKey(plan: KeySignerPlan, deps: ToolDeps): Promise<{ readonly key: SigningKey; readonly material: SignerMaterial }> {
  const { parseSigningKey } = await import('../sign/key.ts');
  const key = parseSigningKey(await read(plan.privateKey), await readPassword(plan.password));
  switch (plan.kind) {
    case 'key':
      return { key, material: { kind: 'key', hint: key.fingerprint } };
    case 'certificate': {
      const { parseSigningChain } = await import('../sign/certificate.ts');
      const chain = await Promise.all(plan.chain.map(read));
      return { key, material: { kind: 'certificate', chain: parseSigningChain(await read(plan.certificate), chain, key, deps.now()) } };
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
