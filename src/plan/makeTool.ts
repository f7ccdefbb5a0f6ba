// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';
import { address, ignorePathOf, makeTrust, sourceSettings } from './make.ts';
import type { OptionName, Values } from './options.ts';
import type { DigestPlan, InspectPlan, MeasurePlan, SecretRef, SignerPlan, SignPlan } from './plan.ts';

/** `sign key|certificate PATH`. @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION */
export function makeSignPlan([method, ...positionals]: readonly string[], values: Values): SignPlan {
  const signer = makeSigner(method, values);
  return { ...makeMeasurePlan('sign', positionals, values), command: 'sign', signer };
}

/** @throws USAGE, CONFIG_INVALID */
export function makeDigestPlan(positionals: readonly string[], values: Values): DigestPlan {
  return { ...makeMeasurePlan('digest', positionals, values), command: 'digest', json: values.json };
}

/** @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION */
export function makeInspectPlan(positionals: readonly string[], values: Values): InspectPlan {
  const [bundle] = positionals;
  if (bundle === undefined || positionals.length !== 1) throw new AppError('USAGE', `inspect needs one bundle, got ${positionals.length}`);
  return {
    command: 'inspect',
    bundle: address(bundle, values),
    ...(TRUST_OPTIONS.some((name) => values[name].length > 0) && { trust: makeTrust(values) }),
    source: sourceSettings(values),
    limits: { bundleBytes: values['max-bundle-size'], entries: values['max-entries'] },
    ...(values.timeout !== undefined && { timeoutMs: values.timeout }),
    json: values.json,
  };
}

const TRUST_OPTIONS = ['public-key', 'ca', 'certificate-chain', 'identity', 'identity-regexp', 'issuer'] as const;

function makeMeasurePlan(command: 'sign' | 'digest', positionals: readonly string[], values: Values): MeasurePlan {
  const [uri] = positionals;
  if (uri === undefined || positionals.length !== 1) throw new AppError('USAGE', `${command} needs one path, got ${positionals.length}`);
  const { spec } = address(uri, values);
  if (spec.kind !== 'file') throw new AppError('USAGE', `${command} works on local files, not on ${redactUri(uri)}`);
  const shardSizeBytes = values['shard-size'];
  return {
    model: { uri, spec },
    algorithm: values.hash as HashAlgorithm,
    ...(shardSizeBytes !== undefined && { shardSizeBytes }),
    ignorePaths: values['ignore-paths'].map(ignorePathOf),
    ignoreGitPaths: values['ignore-git-paths'],
    symlinks: values['allow-symlinks'] ? 'follow' : 'reject',
    bundle: values.signature === undefined ? { kind: 'customary' } : { kind: 'path', path: values.signature },
    singleFile: 'basename',
    source: sourceSettings(values),
    limits: { entries: values['max-entries'], fileBytes: values['max-file-size'] },
    ...(values.timeout !== undefined && { timeoutMs: values.timeout }),
  };
}

function makeSigner(method: string | undefined, values: Values): SignerPlan {
  const { 'private-key': key, 'signing-certificate': certificate, password } = values;
  if (method === 'sigstore') throw new AppError('USAGE', 'keyless signing (sign sigstore) is not available yet');
  if (method !== 'key' && method !== 'certificate') {
    throw new AppError('USAGE', `sign needs a method, key or certificate, and a path${method === undefined ? '' : `; got '${printable(method, 80)}'`}`);
  }
  if (key === undefined) throw new AppError('USAGE', `sign ${method} needs --private-key`);
  if (password !== undefined && values['password-file'] !== undefined) {
    throw new AppError('PLAN_CONTRADICTION', 'both --password-file and MODEL_GATE_PASSWORD are given; give one');
  }
  const secret = password === undefined ? fileRef(values['password-file']) : ({ kind: 'text', text: password } as const);
  const common = { privateKey: secretRef(key, 'private-key'), ...(secret !== undefined && { password: secret }) };
  if (method === 'key') {
    if (certificate === undefined && values['certificate-chain'].length === 0) return { ...common, kind: 'key' };
    throw new AppError('PLAN_CONTRADICTION', 'sign key puts no certificates into the bundle; use sign certificate, or leave them out');
  }
  if (certificate === undefined) throw new AppError('USAGE', 'sign certificate needs --signing-certificate');
  return {
    ...common,
    kind: 'certificate',
    certificate: secretRef(certificate, 'signing-certificate'),
    chain: values['certificate-chain'].map((value) => secretRef(value, 'certificate-chain')),
  };
}

/** PEM text, or a path. Keys are not downloaded: where a signing key lies on a server, others can have it. */
function secretRef(value: string, option: OptionName): SecretRef {
  if (value.includes('-----BEGIN ')) return { kind: 'text', text: value };
  if (/^(?!file:)[a-z][a-z0-9+.-]*:\/\//i.test(value)) throw new AppError('CONFIG_INVALID', `--${option} takes a file or PEM text, not ${redactUri(value)}`);
  return { kind: 'file', path: value.replace(/^file:\/\//, '') };
}

function fileRef(path: string | undefined): SecretRef | undefined {
  return path === undefined ? undefined : { kind: 'file', path };
}
