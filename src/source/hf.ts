// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { SourceSpec } from '../plan/uri.ts';
import { headersFor } from './authorization.ts';
import { firstSet, isOn } from './environment.ts';
import { httpSettings } from './http.ts';
import { cannotLocate, nameComponents } from './objectName.ts';
import { readBearerToken } from './secrets.ts';
import type { Environment, Locator, ObjectRef, Source, SourceSettings } from './source.ts';

type HfSpec = Extract<SourceSpec, { kind: 'hf' }>;

const PUBLIC_HUB = 'https://huggingface.co';

/**
 * A repository of the Hugging Face hub, or of anything that serves its resolve URLs. Large files come by redirect from elsewhere; the
 * transport takes no header along to another origin, so that the token stays with the hub.
 * @throws CONFIG_INVALID, CREDENTIALS_MISSING, PLAN_CONTRADICTION
 */
export async function openHf(spec: HfSpec, settings: SourceSettings, env: Environment): Promise<Source> {
  if (isOn(env, 'HF_HUB_OFFLINE')) {
    throw new AppError('CONFIG_INVALID', 'HF_HUB_OFFLINE is set, but the model is to be downloaded from the hub', {
      hint: 'Set it for the model server only, or verify the local copy instead.',
    });
  }
  const endpoint = endpointOf(settings.hf.endpoint);
  const headers = headersFor(new URL(endpoint), settings.http, env);
  const base = `${endpoint}/${spec.owner}/${spec.name}/resolve/${encodeURIComponent(spec.revision)}`;
  const displayUri = printable(`hf://${spec.owner}/${spec.name}@${spec.revision}${spec.path === '' ? '' : `/${spec.path}`}`);
  const name = spec.path.replace(/\/+$/, '');
  return {
    kind: 'hf',
    displayUri,
    basename: name === '' ? spec.name : name.slice(name.lastIndexOf('/') + 1),
    shape: spec.directory ? 'directory' : 'unknown',
    http: await httpSettings(settings, env),
    async locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator> {
      signal.throwIfAborted();
      const path = pathOf(name, spec.directory, ref, displayUri);
      const given = await headers();
      const token = given['authorization'] === undefined ? await readToken(endpoint, env) : undefined;
      return {
        kind: 'http',
        url: `${base}/${nameComponents(path).map(encodeURIComponent).join('/')}`,
        headers: token === undefined ? given : { ...given, authorization: `Bearer ${token}` },
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

function pathOf(name: string, directory: boolean, ref: ObjectRef, displayUri: string): string {
  switch (ref.kind) {
    case 'self':
      if (directory) throw cannotLocate(ref, displayUri, 'is a directory');
      return name;
    case 'beside':
      if (name === '') throw cannotLocate(ref, displayUri, 'is a whole repository');
      return name + ref.suffix;
    case 'inside':
      return name === '' ? ref.path : `${name}/${ref.path}`;
  }
}

/** Without a slash at its end. A mirror may live below a path. */
function endpointOf(endpoint: string): string {
  const url = URL.parse(endpoint);
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new AppError('CONFIG_INVALID', `the hub '${redactUri(endpoint)}' is not a plain http:// or https:// URL`, { hint: `Write it like ${PUBLIC_HUB}.` });
  }
  return url.href.replace(/\/+$/, '');
}

/** The variables and files of the hub's own tools, in their order. */
async function readToken(endpoint: string, env: Environment): Promise<string | undefined> {
  const token = firstSet(env, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN');
  if (token !== undefined) return checkToken(token);
  const given = firstSet(env, 'HF_TOKEN_PATH');
  if (given !== undefined) return readBearerToken(given, 'HF_TOKEN_PATH');
  // Nobody said that this token, left by a login, is for a mirror too.
  if (endpoint !== PUBLIC_HUB || isOn(env, 'HF_HUB_DISABLE_IMPLICIT_TOKEN')) return undefined;
  const home = loginHome(env);
  if (home === undefined) return undefined;
  try {
    return await readBearerToken(join(home, 'token'), 'the hub’s login');
  } catch (error) {
    // Most machines have none, and of a home that may not be entered nothing can be said.
    if (error instanceof AppError && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemErrorCode(error.cause) ?? '')) return undefined;
    throw error;
  }
}

function loginHome(env: Environment): string | undefined {
  const own = firstSet(env, 'HF_HOME');
  if (own !== undefined) return own;
  const cache = firstSet(env, 'XDG_CACHE_HOME');
  const home = firstSet(env, 'HOME');
  return cache !== undefined ? join(cache, 'huggingface') : home === undefined ? undefined : join(home, '.cache/huggingface');
}

function checkToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new AppError('CREDENTIALS_MISSING', 'HF_TOKEN does not hold one token', { context: { retry: 'no' } });
}
