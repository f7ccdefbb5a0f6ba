// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type CallService, serviceFailed, serviceUrl } from '../base/service.ts';
import { isObject, parseStrictJson } from '../oms/json.ts';
import type { SecretRef, TokenPlan } from '../plan/plan.ts';
import { type IdentityToken, MAX_TOKEN_BYTES, parseIdentityToken } from '../sign/identityToken.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';
import type { ToolDeps } from './measure.ts';

/** Gets the token when it is needed: one that is fetched lives for minutes only. */
export type TokenSource = { token(call: CallService): Promise<IdentityToken> };

const GITHUB = 'GitHub Actions';

/**
 * Finds out where the identity token comes from, and reads it where it is given: given by the caller, SIGSTORE_ID_TOKEN (GitLab and
 * others), GitHub Actions. There is no login here: a container has no browser. @throws CREDENTIALS_MISSING, CONFIG_INVALID
 */
export async function openTokenSource({ given, ambient, audience }: TokenPlan, { env, now }: ToolDeps): Promise<TokenSource> {
  const fixed = (text: string, origin: string): TokenSource => {
    const token = parseIdentityToken(text, origin, now());
    return { token: async () => token };
  };
  if (given !== undefined) return fixed(await readGiven(given), given.kind === 'text' ? 'given by the caller' : printable(given.path, 300));
  const { SIGSTORE_ID_TOKEN: variable, ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret } = ambient === 'use' ? env : {};
  if (variable !== undefined && variable !== '') return fixed(variable, 'SIGSTORE_ID_TOKEN');
  if (url !== undefined && url !== '' && secret !== undefined && secret !== '') {
    const endpoint = serviceUrl(url, 'ACTIONS_ID_TOKEN_REQUEST_URL', 'secret');
    endpoint.searchParams.set('audience', audience);
    return { token: async (call) => parseIdentityToken(await askGithub(endpoint, secret, call), GITHUB, now()) };
  }
  throw new AppError('CREDENTIALS_MISSING', 'there is no identity token to sign with, and no browser to log in with', { hint: hintFor(ambient) });
}

function hintFor(ambient: TokenPlan['ambient']): string {
  if (ambient === 'ignore') return 'Give --identity_token, or --use_ambient_credentials with SIGSTORE_ID_TOKEN or in GitHub Actions.';
  return 'Give --identity-token-file, MODEL_GATE_IDENTITY_TOKEN or SIGSTORE_ID_TOKEN (GitLab id_tokens); in GitHub Actions grant the job id-token: write.';
}

async function readGiven(ref: SecretRef): Promise<string> {
  if (ref.kind === 'text') return ref.text;
  try {
    // Links are followed: Kubernetes mounts projected tokens as links.
    return (await readSmallFile(ref.path, MAX_TOKEN_BYTES, 'follow')).toString('latin1');
  } catch (cause) {
    const problem = cause instanceof AppError ? cause.message : `${printable(ref.path, 300)} cannot be read`;
    throw new AppError('CREDENTIALS_MISSING', problem, { hint: 'Is the file with the identity token there, and readable?', cause });
  }
}

async function askGithub(url: URL, secret: string, call: CallService): Promise<string> {
  if (/[^\x21-\x7e]/.test(secret)) throw new AppError('CREDENTIALS_MISSING', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN is not a token');
  const service = `the token endpoint of ${GITHUB}`;
  const headers = { accept: 'application/json', authorization: `Bearer ${secret}` };
  const { body } = await call({ service, url, method: 'GET', headers, maxBytes: MAX_TOKEN_BYTES });
  try {
    const answer = parseStrictJson(body, 'the answer');
    if (isObject(answer) && typeof answer['value'] === 'string') return answer['value'];
  } catch {
    // No cause: it might quote the answer, which may hold a token.
  }
  throw serviceFailed(service, url, 'answers with no token');
}
