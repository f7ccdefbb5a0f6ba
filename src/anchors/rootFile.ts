// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { isObject, parseStrictJson } from '../oms/json.ts';
import { readTrustMaterial } from '../trust/sigstoreRoot.ts';
import type { SigstoreRoot } from '../trust/trust.ts';
import type { LoadedMaterial } from './material.ts';

export const MAX_TRUSTED_ROOT_BYTES = 4 * 1024 * 1024;

/**
 * A trusted_root.json.
 * @throws ANCHORS_INVALID
 */
export function parseTrustedRoot({ bytes, name }: LoadedMaterial): SigstoreRoot {
  const json = parseJson(bytes, name);
  if (isObject(json) && isObject(json['trustedRoot'])) {
    throw new AppError('ANCHORS_INVALID', `${name} is a client trust configuration, not a trusted root`, { hint: 'Give it with --trust-config.' });
  }
  return checked({ json, description: name });
}

/**
 * A ClientTrustConfig: its trusted root counts; its signing configuration is for signers, see below.
 * @throws ANCHORS_INVALID
 */
export function parseTrustConfig({ bytes, name }: LoadedMaterial): SigstoreRoot {
  const json = parseJson(bytes, name);
  if (!isObject(json) || !isObject(json['trustedRoot'])) {
    throw new AppError('ANCHORS_INVALID', `${name} has no member trustedRoot`, { hint: 'A bare trusted_root.json is given with --trusted-root.' });
  }
  return checked({ json: json['trustedRoot'], description: name });
}

/** The signing configuration, as JSON and what to call it. @throws ANCHORS_INVALID */
export function parseSigningConfig(
  { bytes, name }: LoadedMaterial,
  kind: 'signing-config' | 'trust-config',
): { readonly json: unknown; readonly name: string } {
  const json = parseJson(bytes, name);
  if (kind === 'signing-config') return { json, name };
  if (isObject(json) && isObject(json['signingConfig'])) return { json: json['signingConfig'], name };
  throw new AppError('ANCHORS_INVALID', `${name} has no member signingConfig`, { hint: 'Signing needs the services of the instance, too: --signing-config.' });
}

function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return parseStrictJson(bytes, name);
  } catch (cause) {
    throw new AppError('ANCHORS_INVALID', cause instanceof AppError ? cause.message : `${name} is not valid JSON`, { cause });
  }
}

/** A file carries no date of its own: its newest log or authority tells how old it is at least. */
function checked(root: SigstoreRoot): SigstoreRoot {
  const { certificateAuthorities, tlogs, ctlogs, timestampAuthorities } = readTrustMaterial(root);
  const starts = [...certificateAuthorities, ...tlogs, ...ctlogs, ...timestampAuthorities].map(({ validFor }) => validFor.start.getTime());
  const newest = Math.max(0, ...starts.filter(Number.isFinite));
  if (newest === 0) return root;
  const date = new Date(newest).toISOString().slice(0, 10);
  return { ...root, description: `${root.description}, newest entry of ${date}`, date };
}
