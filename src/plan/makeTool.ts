// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';
import { serviceUrl } from '../base/service.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';
import { formatPolicyOf, PLAIN_FORMATS } from './formats.ts';
import { address, ignorePathOf, makeTrust, sourceSettings } from './make.ts';
import { makeSigner } from './makeSigner.ts';
import type { Values } from './options.ts';
import type { DigestPlan, InspectPlan, MeasurePlan, ReportPlan, ScanPlan, SignPlan } from './plan.ts';

/** `sign key|certificate|sigstore PATH`. @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION */
export function makeSignPlan([method, ...positionals]: readonly string[], values: Values): SignPlan {
  const signer = makeSigner(method, values);
  const url = values['timestamp-url'];
  return {
    ...makeMeasurePlan('sign', positionals, values),
    command: 'sign',
    signer,
    ...(url !== undefined && { timestampUrl: serviceUrl(url, '--timestamp-url', 'nothing secret') }),
  };
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

/** @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION */
export function makeScanPlan(positionals: readonly string[], values: Values): ScanPlan {
  return {
    command: 'scan',
    model: localModel('scan', positionals, values),
    formats: formatPolicyOf(values, PLAIN_FORMATS),
    ignorePaths: values['ignore-paths'].map(ignorePathOf),
    ignoreGitPaths: values['ignore-git-paths'],
    source: sourceSettings(values),
    limits: { entries: values['max-entries'] },
    ...(values.timeout !== undefined && { timeoutMs: values.timeout }),
    json: values.json,
  };
}

/** @throws USAGE */
export function makeReportPlan(positionals: readonly string[], values: Values): ReportPlan {
  const [path] = positionals;
  if (path === undefined || positionals.length !== 1) throw new AppError('USAGE', `report needs one file, got ${positionals.length}`);
  return {
    command: 'report',
    path,
    form: values.html ? 'html' : 'text',
    ...(values.output !== undefined && { output: values.output }),
    ...(values.timeout !== undefined && { timeoutMs: values.timeout }),
  };
}

const TRUST_OPTIONS = ['public-key', 'ca', 'certificate-chain', 'identity', 'identity-regexp', 'issuer'] as const;

function makeMeasurePlan(command: 'sign' | 'digest', positionals: readonly string[], values: Values): MeasurePlan {
  const model = localModel(command, positionals, values);
  const shardSizeBytes = values['shard-size'];
  return {
    model,
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

function localModel(command: 'sign' | 'digest' | 'scan', positionals: readonly string[], values: Values): MeasurePlan['model'] {
  const [uri] = positionals;
  if (uri === undefined || positionals.length !== 1) throw new AppError('USAGE', `${command} needs one path, got ${positionals.length}`);
  const { spec } = address(uri, values);
  if (spec.kind !== 'file') throw new AppError('USAGE', `${command} works on local files, not on ${redactUri(uri)}`);
  return { uri, spec };
}
