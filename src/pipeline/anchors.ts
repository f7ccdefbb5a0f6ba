// SPDX-License-Identifier: Apache-2.0

import { loadAnchors } from '../anchors/anchors.ts';
import type { MaterialDeps } from '../anchors/material.ts';
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';
import type { TrustPlan } from '../plan/trust.ts';
import { parseSourceUri } from '../plan/uri.ts';
import { requirePatterns } from '../policy/identity.ts';
import { openSource } from '../source/open.ts';
import type { SourceSettings } from '../source/source.ts';
import { readSmall } from '../transfer/fetchSmall.ts';
import type { TrustAnchors } from '../trust/trust.ts';
import type { GateDeps } from './gate.ts';

/** Loads whom to trust, before anything else is fetched. @throws CONFIG_INVALID, ANCHORS_INVALID, ANCHORS_UNREACHABLE, TUF_UNAVAILABLE */
export async function openAnchors(plan: { readonly trust: TrustPlan; readonly source: SourceSettings }, deps: Omit<GateDeps, 'floor'>): Promise<TrustAnchors> {
  requirePatterns(plan.trust);
  const anchors = await loadAnchors(plan.trust, materialDeps(plan.source, deps));
  deps.evidence.trust = { method: anchors.kind, anchors: describe(anchors) };
  return anchors;
}

/** How trust material is downloaded. */
export function materialDeps(source: SourceSettings, deps: Pick<GateDeps, 'signal' | 'env' | 'noted'>): MaterialDeps {
  const settings = strictTls(source);
  return {
    signal: deps.signal,
    ...(deps.noted !== undefined && { noted: deps.noted }),
    async fetchUri(uri, maxBytes) {
      try {
        await using source = await openSource(parseSourceUri(uri, '/'), settings, strictEnvironment(deps.env));
        return await readSmall(source.http, await source.locate({ kind: 'self' }, deps.signal), maxBytes, deps.signal);
      } catch (cause) {
        deps.signal.throwIfAborted();
        throw new AppError('ANCHORS_UNREACHABLE', `cannot read trust material from ${redactUri(uri)}: ${cause instanceof Error ? cause.message : cause}`, {
          context: { uri: redactUri(uri) },
          cause,
        });
      }
    },
  };
}

/** Whatever the model's source may do, trust material is never read over TLS that is not verified, nor with the model's headers. */
export function strictTls(settings: SourceSettings): SourceSettings {
  const { bearerTokenFile: _bearer, basicAuth: _basic, netrcFile: _netrc, ...http } = settings.http;
  return { ...settings, http: { ...http, headers: {}, verifyTls: true }, s3: { ...settings.s3, verifyTls: true } };
}

function strictEnvironment(env: GateDeps['env']): GateDeps['env'] {
  return { ...env, S3_VERIFY_SSL: undefined };
}

function describe(anchors: TrustAnchors): readonly string[] {
  switch (anchors.kind) {
    case 'key':
      return anchors.keys.map((key) => `sha256:${key.fingerprint}`);
    case 'certificate':
      return [`${anchors.anchors.length} CA certificates`];
    case 'sigstore':
      return [anchors.root.description];
  }
}
