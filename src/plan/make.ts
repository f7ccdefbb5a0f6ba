// SPDX-License-Identifier: Apache-2.0
import { type HexDigest, hexDigest, isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import { type ModelPath, parseModelPath } from '../oms/path.ts';
import type { SourceSettings } from '../source/source.ts';
import { type Foreign, NOTHING_FOREIGN } from './foreign.ts';
import { formatPolicyOf } from './formats.ts';
import { OPTION_NAMES, type OptionName, optionOf, type Values } from './options.ts';
import type { Address, GatePlan, Narrowing, PullPlan, VerifyPlan } from './plan.ts';
import type { MaterialRef, RootPlan, SigstoreIdentity, TrustPlan } from './trust.ts';
import { parseSourceUri, type SourceSpec } from './uri.ts';

export const DEFAULT_DESTINATION = '/mnt/models';
/** What the hub's tools keep beside the files they download; the rest of .cache is none of their business. */
const HUB_METADATA = '.cache/huggingface';

/** Positional arguments: source and destination in turn; a single source goes to /mnt/models. @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION, TRUST_METHOD_MISSING */
export function makePullPlan(positionals: readonly string[], values: Values, foreign: Foreign = NOTHING_FOREIGN, floor: FloorPresence = 'absent'): PullPlan {
  const list = positionals.length === 1 ? [...positionals, DEFAULT_DESTINATION] : positionals;
  if (list.length === 0) throw new AppError('USAGE', 'pull needs a source and a destination');
  if (list.length % 2 !== 0) throw new AppError('USAGE', `pull needs pairs of source and destination; '${redactUri(list.at(-1) ?? '')}' has no destination`);
  const models = Array.from({ length: list.length / 2 }, (_, i) => ({ source: address(list[2 * i] ?? '', values), destination: list[2 * i + 1] ?? '' }));
  if (!isNonEmpty(models)) throw new AppError('USAGE', 'pull needs a source and a destination');
  const same = models.find((model, i) => models.findIndex((other) => other.destination === model.destination) !== i);
  if (same !== undefined)
    throw new AppError('PLAN_CONTRADICTION', `two models go to ${printable(same.destination)}`, { hint: 'Give each model a directory of its own.' });
  if (models.length > 1 && values.bundle !== undefined) {
    throw new AppError('PLAN_CONTRADICTION', '--bundle belongs to one model, but several are pulled; leave it out to use the bundle beside each model');
  }
  for (const { source } of models) {
    if (source.spec.kind === 'http' && source.spec.presigned && values.bundle === undefined) {
      throw new AppError('PLAN_CONTRADICTION', 'a presigned URL is good for one object only, so the bundle cannot be looked for beside it', {
        hint: 'Give the bundle with --bundle: a file, or a presigned URL of its own.',
      });
    }
  }
  const gate = makeGatePlan(
    values,
    models.map((model) => model.source),
    foreign,
    floor,
  );
  if (models.length > 1 && values['model-name'] !== undefined)
    throw new AppError('PLAN_CONTRADICTION', '--model-name belongs to one model, but several are pulled');
  if (foreign.objectDigest !== undefined) requireOneObject(models, values);
  return {
    ...gate,
    command: 'pull',
    models,
    replace: values.replace,
    prune: values.prune,
    keepBundle: values['keep-bundle'],
    ...(foreign.objectDigest !== undefined && { objectDigest: foreign.objectDigest }),
  };
}

/** @throws as makePullPlan */
export function makeVerifyPlan(
  positionals: readonly string[],
  values: Values,
  foreign: Foreign = NOTHING_FOREIGN,
  floor: FloorPresence = 'absent',
): VerifyPlan {
  const [uri] = positionals;
  if (uri === undefined || positionals.length !== 1) throw new AppError('USAGE', `verify needs one path, got ${positionals.length}`);
  const { spec } = address(uri, values);
  if (spec.kind !== 'file') throw new AppError('USAGE', `verify works in place; to check ${redactUri(uri)}, pull it`);
  const hubCache = values['hub-cache'];
  if (hubCache && values['allow-symlinks'])
    throw new AppError('PLAN_CONTRADICTION', '--hub-cache follows links into blobs only, --allow-symlinks all; give one');
  return {
    ...makeGatePlan(values, [{ uri, spec }], foreign, floor),
    command: 'verify',
    model: { uri, spec: { ...spec, hubCache } },
    hubCache,
    ...(values['max-rate'] !== undefined && { maxRate: values['max-rate'] }),
  };
}

/** A URI that does not say whether it is one object is decided by the manifest, before anything of the model is downloaded. */
function requireOneObject(models: PullPlan['models'], values: Values): void {
  if (values['expect-digest'].length > 0) {
    throw new AppError('PLAN_CONTRADICTION', 'VERIFICATION_DIGEST is the digest of one object, --expect-digest that of a signed model; give one of them');
  }
  if (models.length > 1) throw new AppError('PLAN_CONTRADICTION', 'VERIFICATION_DIGEST belongs to one object, but several models are pulled');
  const [{ source }] = models;
  if (source.spec.kind !== 'file' && source.spec.directory) throw notOneObject(redactUri(source.uri));
}

/** VERIFICATION_DIGEST with a model of many files. */
export function notOneObject(displayUri: string): AppError {
  return new AppError('PLAN_CONTRADICTION', `VERIFICATION_DIGEST is the digest of one object, but ${displayUri} is a directory`, {
    hint: 'Leave it out: every file of a directory is checked against the signed manifest. To pin the model, use --expect-digest.',
    context: { uri: displayUri },
  });
}

/** Whether the image has a floor policy, which can say whom to trust. */
export type FloorPresence = 'present' | 'absent';

function makeGatePlan(values: Values, sources: readonly Address[], foreign: Foreign, floor: FloorPresence): GatePlan {
  const policy = values.policy === undefined ? undefined : policyRef(values.policy);
  const trust = floor === 'absent' && policy === undefined ? makeTrust(values) : makeOptionalTrust(values);
  refuseSelfVouching([...(trust === undefined ? [] : materialOf(trust)), ...(policy === undefined ? [] : [policy])], sources, values['hf-endpoint'] ?? '');
  if (values.connections > 64) throw new AppError('CONFIG_INVALID', '--connections must be from 1 to 64');
  return {
    ...(trust !== undefined && { trust }),
    ...(policy !== undefined && { policy }),
    narrowing: {
      ...(values['model-name'] !== undefined && { modelName: values['model-name'] }),
      mode: values.mode as Narrowing['mode'],
      ...(values['signed-after'] !== undefined && { signedAfter: values['signed-after'] }),
      requireTimestamp: values['require-timestamp'],
      ...((values.format.length > 0 || values['allow-formats'] !== undefined) && { formats: formatPolicyOf(values, undefined) }),
    },
    ...(values.bundle !== undefined && { bundle: address(values.bundle, values) }),
    source: sourceSettings(values),
    ignorePaths: [...values['ignore-paths'], ...(values['ignore-hub-metadata'] ? [HUB_METADATA] : [])].map(ignorePathOf),
    ignoreGitPaths: values['ignore-git-paths'],
    unsignedFiles: values['ignore-unsigned-files'] ? 'ignore' : 'refuse',
    symlinks: values['allow-symlinks'] ? 'allow' : 'recorded',
    expectDigests: values['expect-digest'].map(digestOf),
    include: values.include,
    exclude: values.exclude,
    patterns: foreign.patterns,
    limits: {
      bundleBytes: values['max-bundle-size'],
      entries: values['max-entries'],
      fileBytes: values['max-file-size'],
      unpackedBytes: values['max-unpacked-size'],
      unpackRatio: values['max-unpack-ratio'],
    },
    archives: values.unpack ? 'unpack' : 'keep',
    ...(values.timeout !== undefined && { timeoutMs: values.timeout }),
    connections: values.connections,
    relaxations: [...OPTION_NAMES.filter((name) => optionOf(name).relaxes === true && isSet(values, name)).map((name) => `--${name}`), ...foreign.relaxations],
  };
}

/** How sources are talked to. */
export function sourceSettings(values: Values): SourceSettings {
  return {
    http: {
      connectTimeoutMs: values['connect-timeout'] ?? 0,
      stallTimeoutMs: values['stall-timeout'] ?? 0,
      reader: values['http-reader'] === 'library' ? 'library' : 'auto',
      headers: Object.fromEntries(values.header.map(headerOf)),
      ...(values['bearer-token-file'] !== undefined && { bearerTokenFile: values['bearer-token-file'] }),
      ...(values['basic-auth'] !== undefined && { basicAuth: basicAuthOf(values['basic-auth']) }),
      ...(values['netrc-file'] !== undefined && { netrcFile: values['netrc-file'] }),
      ...(values['ca-bundle'] !== undefined && { caBundle: values['ca-bundle'] }),
      verifyTls: !values['insecure-skip-tls-verify'],
    },
    s3: {
      ...(values['s3-region'] !== undefined && { region: values['s3-region'] }),
      ...(values['s3-endpoint'] !== undefined && { endpoint: values['s3-endpoint'] }),
      addressing: values['s3-addressing'] as 'auto' | 'path' | 'virtual',
      anonymous: values['s3-anonymous'],
      accelerate: values['s3-accelerate'],
      requesterPays: values['s3-requester-pays'],
      ...(values['ca-bundle'] !== undefined && { caBundle: values['ca-bundle'] }),
      verifyTls: !values['insecure-skip-tls-verify'],
    },
    hf: { endpoint: values['hf-endpoint'] ?? '' },
  };
}

function isSet(values: Values, name: OptionName): boolean {
  const value = values[name];
  return Array.isArray(value) ? value.length > 0 : value === true;
}

/** Exactly one method, never a default: what a bundle claims to be signed with decides nothing (OMS §4.1). @throws TRUST_METHOD_MISSING, PLAN_CONTRADICTION, CONFIG_INVALID */
export function makeTrust(values: Values): TrustPlan {
  const certificates = [...values.ca, ...values['certificate-chain']];
  const sigstore = values.identity.length + values['identity-regexp'].length + values.issuer.length > 0;
  const methods = [values['public-key'].length > 0 && '--public-key', certificates.length > 0 && '--ca', sigstore && '--identity with --issuer'].filter(
    (m) => m !== false,
  );
  if (methods.length === 0)
    throw new AppError('TRUST_METHOD_MISSING', 'nothing says whom to trust: there is no --public-key, --ca, or --identity with --issuer');
  if (methods.length > 1) throw new AppError('PLAN_CONTRADICTION', `trust is given by several methods: ${methods.join(' and ')}; give one`);
  refuseStray(values, sigstore, certificates.length > 0);

  const keys = values['public-key'].map(materialRef);
  if (isNonEmpty(keys)) return { kind: 'key', keys };
  const refs = certificates.map(materialRef);
  if (isNonEmpty(refs)) {
    return {
      kind: 'certificate',
      certificates: refs,
      timestampAuthorities: values['timestamp-authority'].map(materialRef),
      expired: values['allow-expired-certificate'] ? 'allow' : 'refuse',
      identities: values['certificate-identity'],
    };
  }
  return { kind: 'sigstore', root: makeRoot(values), signers: makeSigners(values) };
}

/** With a policy, trust flags are optional and narrow it. @throws as makeTrust */
function makeOptionalTrust(values: Values): TrustPlan | undefined {
  const given = (['public-key', 'ca', 'certificate-chain', 'identity', 'identity-regexp', 'issuer'] as const).some((name) => values[name].length > 0);
  if (given) return makeTrust(values);
  refuseStray(values, false, false);
  return undefined;
}

/** A policy in the environment is text: of more than one line, or JSON. */
function policyRef(value: string): MaterialRef {
  return /^\s*apiVersion\s*:/m.test(value) || value.includes('\n') ? { kind: 'text', text: value } : materialRef(value);
}

/** An option of a method that is not in use would change nothing: its author meant something else. */
function refuseStray(values: Values, sigstore: boolean, certificate: boolean): void {
  const stray = (name: OptionName, used: boolean, owner: string): void => {
    const value = values[name];
    const given = Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
    if (given && !used)
      throw new AppError('PLAN_CONTRADICTION', `--${name} changes nothing without ${owner}, which is not given`, { hint: 'Leave it out, or trust that way.' });
  };
  for (const name of ['certificate-identity', 'timestamp-authority', 'allow-expired-certificate'] as const) stray(name, certificate, '--ca');
  for (const name of ['trusted-root', 'trust-config', 'tuf-refresh', 'tuf-mirror', 'tuf-root', 'tuf-cache'] as const)
    stray(name, sigstore, '--identity and --issuer');
  for (const name of ['tuf-mirror', 'tuf-root', 'tuf-cache'] as const) stray(name, values['tuf-refresh'], '--tuf-refresh');
}

function makeSigners(values: Values): NonEmpty<SigstoreIdentity> {
  const identities: SigstoreIdentity['identity'][] = [
    ...values.identity.map((text) => ({ kind: 'exact', text }) as const),
    ...values['identity-regexp'].map((source) => ({ kind: 'pattern', source: checkedPattern(source) }) as const),
  ];
  const { issuer: issuers } = values;
  if (identities.length === 0)
    throw new AppError('CONFIG_INVALID', '--issuer needs --identity (or --identity-regexp): an issuer alone vouches for everybody it knows');
  if (issuers.length === 0)
    throw new AppError('CONFIG_INVALID', '--identity needs --issuer: who vouches for it, such as https://token.actions.githubusercontent.com');
  if (issuers.length !== 1 && issuers.length !== identities.length) {
    throw new AppError(
      'CONFIG_INVALID',
      `--identity needs --issuer: one for all, or one for each of the ${identities.length} identities in their order; got ${issuers.length}`,
    );
  }
  const signers = identities.map((identity, i) => ({ identity, issuer: issuers[i] ?? issuers[0] ?? '' }));
  if (!isNonEmpty(signers)) throw new AppError('CONFIG_INVALID', '--identity is missing');
  return signers;
}

function checkedPattern(source: string): string {
  try {
    // By itself, not wrapped: 'a)|(?:.*' is a pattern only inside the anchors, and would break out of them.
    new RegExp(source, 'u');
    return source;
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `--identity-regexp '${printable(source, 200)}' is not a regular expression`, { cause });
  }
}

function makeRoot(values: Values): RootPlan {
  const ways = (['trusted-root', 'trust-config', 'tuf-refresh'] as const).filter((name) => values[name] !== undefined && values[name] !== false);
  if (ways.length > 1) throw new AppError('PLAN_CONTRADICTION', `the trusted root is given by ${ways.map((way) => `--${way}`).join(' and ')}; give one`);
  if (values['trusted-root'] !== undefined) return { kind: 'trusted-root', ref: materialRef(values['trusted-root']) };
  if (values['trust-config'] !== undefined) return { kind: 'trust-config', ref: materialRef(values['trust-config']) };
  if (!values['tuf-refresh']) return { kind: 'embedded' };
  return {
    kind: 'tuf',
    ...(values['tuf-mirror'] !== undefined && { mirror: values['tuf-mirror'] }),
    ...(values['tuf-root'] !== undefined && { rootFile: values['tuf-root'] }),
    ...(values['tuf-cache'] !== undefined && { cacheDir: values['tuf-cache'] }),
  };
}

/** PEM or JSON text, a URI, or a path; URIs and paths may be pinned with #sha256=<hex>. @throws CONFIG_INVALID, ANCHORS_UNPINNED */
export function materialRef(value: string): MaterialRef {
  if (value.includes('-----BEGIN ') || value.trimStart().startsWith('{')) return { kind: 'text', text: value };
  const [, before = value, pin] = /^(.*)#sha256=([0-9a-fA-F]*)$/s.exec(value) ?? [];
  const sha256 = pin === undefined ? undefined : hexDigest(pin.toLowerCase(), 32);
  if (pin !== undefined && sha256 === undefined)
    throw new AppError('CONFIG_INVALID', `the pin of ${redactUri(before)} is not #sha256= and 64 hexadecimal digits`);
  const pinned = sha256 === undefined ? {} : { sha256 };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(before)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return { kind: 'file', path: before, ...pinned };
    case 'file': {
      const path = before.slice('file://'.length);
      if (!path.startsWith('/')) throw new AppError('CONFIG_INVALID', `trust material '${redactUri(before)}' names a host; write file:///path`);
      return { kind: 'file', path, ...pinned };
    }
    case 'https':
    case 's3':
      return { kind: 'uri', uri: before, ...pinned };
    case 'http':
      if (sha256 !== undefined) return { kind: 'uri', uri: before, sha256 };
      throw new AppError('ANCHORS_UNPINNED', `${redactUri(before)}: trust material over plain http needs a pin, #sha256=<digest>`);
    default:
      throw new AppError('CONFIG_INVALID', `trust material cannot come from ${scheme}://`);
  }
}

/** Whoever can write the model could write its anchor too. @throws ANCHORS_UNPINNED */
export function refuseSelfVouching(refs: readonly MaterialRef[], sources: readonly Address[], hub: string): void {
  for (const ref of refs) {
    if (ref.kind !== 'uri' || ref.sha256 !== undefined) continue;
    const anchor = parseSourceUri(ref.uri, '/');
    const own = sources.find(({ spec }) => sharesOrigin(anchor, spec, hub) || sharesOrigin(spec, anchor, hub));
    if (own !== undefined) {
      throw new AppError(
        'ANCHORS_UNPINNED',
        `${redactUri(ref.uri)} comes from where the model ${redactUri(own.uri)} comes from: whoever replaces the model could replace it too`,
      );
    }
  }
}

/** The same bucket or host; also a bucket's web address (bucket.s3.example.com/key or s3.example.com/bucket/key), whatever the host. */
function sharesOrigin(a: SourceSpec, b: SourceSpec, hub: string): boolean {
  if (a.kind === 's3' && b.kind === 's3') return a.bucket === b.bucket;
  const host = hostOf(a, hub);
  if (host !== undefined) return host === hostOf(b, hub);
  if (a.kind !== 's3' || b.kind !== 'http') return false;
  return b.url.hostname.startsWith(`${a.bucket.toLowerCase()}.`) || b.url.pathname.split('/')[1] === a.bucket;
}

function hostOf(spec: SourceSpec, hub: string): string | undefined {
  if (spec.kind === 'http') return spec.url.host;
  return spec.kind === 'hf' ? (URL.parse(hub)?.host ?? hub) : undefined;
}

function materialOf(trust: TrustPlan): readonly MaterialRef[] {
  switch (trust.kind) {
    case 'key':
      return trust.keys;
    case 'certificate':
      return [...trust.certificates, ...trust.timestampAuthorities];
    case 'sigstore':
      return trust.root.kind === 'trusted-root' || trust.root.kind === 'trust-config' ? [trust.root.ref] : [];
  }
}

/** @throws CONFIG_INVALID */
export function address(uri: string, values: Values): Address {
  return { uri, spec: parseSourceUri(uri, values['pvc-root'] ?? '/mnt/pvc') };
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trim();
  const value = line.slice(colon + 1).trim();
  // The value stays out of the message: it is a secret.
  if (colon < 1 || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) {
    throw new AppError('CONFIG_INVALID', "--header must be written 'Name: value'");
  }
  return [name.toLowerCase(), value];
}

function basicAuthOf(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  if (value.includes(':') && !/[\x00-\x1f\x7f]/.test(value)) return value;
  // The value stays out of the message: it is a secret.
  throw new AppError('CONFIG_INVALID', "--basic-auth must be written 'user:password', without control characters");
}

/** @throws CONFIG_INVALID */
export function ignorePathOf(path: string): ModelPath {
  const parsed = parseModelPath(path.replace(/^\.\//, '').replace(/\/+$/, ''));
  if ('path' in parsed) return parsed.path;
  throw new AppError('CONFIG_INVALID', `--ignore-paths '${printable(path, 200)}' ${parsed.problem}; it must be a path below the model`);
}

function digestOf(text: string): HexDigest {
  const digest = hexDigest(text.replace(/^sha256:/, '').toLowerCase(), 32);
  if (digest !== undefined) return digest;
  throw new AppError('CONFIG_INVALID', `--expect-digest '${printable(text, 100)}' is not sha256: and 64 hexadecimal digits`, {
    hint: 'Copy it whole from the output of sign or digest.',
  });
}
