// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// Static, and this file is loaded lazily: bundled, a dynamic import of CommonJS has no named exports.
import { DEFAULT_MIRROR_URL, initTUF } from '@sigstore/tuf';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import { isObject, parseStrictJson } from '../oms/json.ts';
import type { RootPlan } from '../plan/trust.ts';
import type { SigstoreRoot } from '../trust/trust.ts';
import { MAX_MATERIAL_BYTES, readPath } from './material.ts';
import { parseTrustedRoot } from './rootFile.ts';

type TufPlan = Extract<RootPlan, { kind: 'tuf' }>;

const TARGET = 'trusted_root.json';
const TIMEOUT_MS = 10_000;
const RETRIES = 2;

/**
 * The newest trusted root from a TUF repository. Trust starts at the TUF root that @sigstore/tuf carries for the public
 * instance, or at `rootFile` for any other mirror. Without `cacheDir` nothing is kept; with it, TUF also detects rollbacks.
 * @throws TUF_UNAVAILABLE, ANCHORS_INVALID
 */
export async function refreshRoot(plan: TufPlan, signal: AbortSignal): Promise<SigstoreRoot> {
  signal.throwIfAborted();
  if (plan.rootFile !== undefined) await checkRootFile(plan.rootFile, signal);
  const mirrorURL = (plan.mirror ?? DEFAULT_MIRROR_URL).replace(/\/+$/, '');
  try {
    await using cache = plan.cacheDir === undefined ? await temporaryDirectory() : undefined;
    const download = async (): Promise<string> => {
      const client = await initTUF({
        mirrorURL,
        cachePath: cache?.path ?? plan.cacheDir ?? '',
        timeout: TIMEOUT_MS,
        retry: { retries: RETRIES },
        // A root the caller names wins over what an earlier run left in the cache.
        ...(plan.rootFile === undefined ? {} : { rootPath: plan.rootFile, forceInit: true }),
      });
      return client.getTarget(TARGET);
    };
    const bytes = Buffer.from(await abortable(download(), signal));
    return parseTrustedRoot({ bytes, name: `the trusted root of TUF repository ${redactUri(mirrorURL)}` });
  } catch (error) {
    signal.throwIfAborted();
    throw toAppError(error, mirrorURL);
  }
}

/** A file that is no TUF root is the caller's mistake; the library would fail on it as on a broken repository. */
async function checkRootFile(path: string, signal: AbortSignal): Promise<void> {
  const [{ bytes, name }] = await readPath(path, undefined, MAX_MATERIAL_BYTES, signal);
  let json: unknown;
  try {
    json = parseStrictJson(bytes, name);
  } catch (cause) {
    throw new AppError('ANCHORS_INVALID', `${name} is not a TUF root: not valid JSON`, { cause });
  }
  if (isObject(json) && isObject(json['signed']) && json['signed']['_type'] === 'root') return;
  throw new AppError('ANCHORS_INVALID', `${name} is not a TUF root`, { hint: 'Give the root.json of the TUF repository with --tuf-root.' });
}

function toAppError(error: unknown, mirrorURL: string): AppError {
  if (error instanceof AppError) return error;
  const uri = redactUri(mirrorURL);
  if (systemErrorCode(error) === 'TUF_INIT_CACHE_ERROR') {
    return new AppError('ANCHORS_INVALID', `there is no built-in TUF root for ${uri}`, {
      cause: error,
      hint: 'Give the repository’s root.json with --tuf-root.',
    });
  }
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
  const reason = [error instanceof Error ? error.message : String(error), inner].filter((text) => text !== undefined).join(': ');
  return new AppError('TUF_UNAVAILABLE', `cannot update the trusted root from ${uri}: ${printable(reason, 300)}`, { cause: error, context: { uri } });
}

/** The library takes no signal: its work is left behind, with its own timeouts. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'model-gate-tuf-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
