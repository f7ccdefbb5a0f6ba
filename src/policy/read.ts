// SPDX-License-Identifier: Apache-2.0
import type { NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { parseYaml } from './document.ts';
import { choiceOf, entriesOf, type Field, invalid, listOf, mapping, strictListOf, textOf } from './fields.ts';
import { parseSourcePattern } from './match.ts';
import { MODES, POLICY_VERSION, type Policy, type Requirement, type Rule, type SignerSpec } from './policy.ts';
import { CHECK_NAMES, readChecks } from './readChecks.ts';
import { materials, readSigner } from './readSigner.ts';

/** Whose policy it is: the platform's floor must not depend on anything that a pod says. */
export type Layer = 'floor' | 'policy';

const MAX_RULES = 200;
const MAX_SIGNERS = 64;
const MAX_BUNDLES = 8;
const MAX_DEPTH = 8;
/** Options that a policy can tolerate; the others have members of their own. */
const TOLERABLE = ['ignore-paths', 'ignore-hub-metadata', 'hub-cache', 'insecure-skip-tls-verify', 'sticky-readiness'] as const;

/** Bytes of a policy file → policy. @throws POLICY_INVALID, with the path of what is wrong */
export function readPolicy(bytes: Buffer, name: string, layer: Layer): Policy {
  try {
    return readDocument({ value: parseYaml(bytes, 'the document'), where: '' }, layer);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, `the policy ${printable(name, 300)}: ${error.message.trim()}`, { hint: error.hint, cause: error });
  }
}

function readDocument(field: Field, layer: Layer): Policy {
  if (!(field.value instanceof Map)) throw invalid({ where: 'the document' }, 'must be a mapping');
  const top = mapping(field, ['apiVersion', 'mode', 'signers', 'timestampAuthorities', 'endpoints', 'relaxations', 'always', 'rules']);
  const version = top.get('apiVersion');
  if (version?.value !== POLICY_VERSION) throw invalid(version ?? { where: 'apiVersion' }, `must be ${POLICY_VERSION}`);
  const mode = top.get('mode');
  const authorities = top.get('timestampAuthorities');
  const endpoints = top.get('endpoints');
  const relaxations = top.get('relaxations');
  const always = top.get('always');
  const signers = readSigners(top.get('signers'), layer);
  const rulesField = top.need('rules');
  const rules = strictListOf(rulesField, (item) => readRule(item, signers, layer));
  if (rules.length > MAX_RULES) throw invalid(rulesField, `has more than ${MAX_RULES} rules`);
  if (signers.size > MAX_SIGNERS) throw invalid({ where: 'signers' }, `and rules name more than ${MAX_SIGNERS} signers`);
  const twice = rules.find((rule, i) => rules.findIndex((other) => other.name === rule.name) !== i);
  if (twice !== undefined) throw invalid(rulesField, `has two rules called '${twice.name}'`);
  return {
    mode: mode === undefined ? 'enforce' : choiceOf(mode, MODES),
    signers,
    timestampAuthorities: authorities === undefined ? [] : materials(authorities, layer),
    // Which server is asked is the pod's to say; a floor's names mean the standard ones unless it lists others.
    endpoints: endpoints === undefined ? (layer === 'floor' ? [] : undefined) : strictListOf(endpoints, originOf),
    relaxations: relaxations === undefined ? [] : strictListOf(relaxations, (item) => choiceOf(item, TOLERABLE)),
    checks: readChecks(always === undefined ? undefined : mapping(always, CHECK_NAMES)),
    rules,
  };
}

function readSigners(field: Field | undefined, layer: Layer): Map<string, SignerSpec> {
  const signers = new Map<string, SignerSpec>();
  if (field === undefined) return signers;
  for (const [name, item] of entriesOf(field)) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) throw invalid(item, 'is no name for a signer: letters, digits, dots, dashes, at most 63');
    signers.set(name, readSigner(item, layer));
  }
  return signers;
}

function readRule(field: Field, signers: Map<string, SignerSpec>, layer: Layer): Rule {
  const rule = mapping(field, ['name', 'source', 'modelName', 'mode', 'require', 'bundles', ...CHECK_NAMES]);
  const [source, modelName, mode, bundles] = [rule.get('source'), rule.get('modelName'), rule.get('mode'), rule.get('bundles')];
  const name = textOf(rule.need('name'));
  if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,61}[\x21-\x7e])?$/.test(name)) throw invalid(rule.need('name'), 'must be at most 63 printable ASCII characters');
  if (source === undefined && modelName === undefined) throw invalid(rule, "has neither 'source' nor 'modelName'; write source: '*://**' for all");
  // A pod that leaves --model-name out, or makes one up, would choose its rule.
  if (modelName !== undefined && layer === 'floor') throw invalid(modelName, 'cannot stand in a floor policy: a pod chooses its own --model-name');
  return {
    name,
    sources: source === undefined ? [] : listOf(source, patternOf),
    modelNames: modelName === undefined ? undefined : listOf(modelName, textOf),
    mode: mode === undefined ? undefined : choiceOf(mode, MODES),
    require: readRequirement(rule.need('require'), signers, layer, 0),
    bundles: bundles === undefined ? [] : readBundles(bundles),
    checks: readChecks(rule),
  };
}

function readBundles(field: Field): readonly string[] {
  const names = strictListOf(field, (item) => {
    const name = textOf(item);
    if (name.includes('/') || name === '.' || name === '..' || name.length > 200) throw invalid(item, 'must be a file name without slashes');
    return name;
  });
  if (names.length > MAX_BUNDLES) throw invalid(field, `has more than ${MAX_BUNDLES} bundles`);
  return names;
}

/** The name of a signer, a signer, or a tree. Signers without a name get their path as one. */
function readRequirement(field: Field, signers: Map<string, SignerSpec>, layer: Layer, depth: number): Requirement {
  if (depth > MAX_DEPTH) throw invalid(field, `is nested deeper than ${MAX_DEPTH} levels`);
  if (typeof field.value === 'string') return { kind: 'signer', signer: knownSigner(field, signers) };
  const node = mapping(field, ['anyOf', 'allOf', 'threshold', 'key', 'certificate', 'sigstore']);
  const [only, ...others] = [...entriesOf(field).keys()];
  if (only === undefined || others.length > 0) throw invalid(field, 'must have exactly one of anyOf, allOf, threshold, key, certificate, sigstore');
  switch (only) {
    case 'anyOf':
    case 'allOf':
      return { kind: only, of: strictListOf(node.need(only), (item) => readRequirement(item, signers, layer, depth + 1)) };
    case 'threshold':
      return readThreshold(node.need(only), signers, layer);
    default:
      return { kind: 'signer', signer: inlineSigner(field, signers, layer) };
  }
}

function readThreshold(field: Field, signers: Map<string, SignerSpec>, layer: Layer): Requirement {
  const node = mapping(field, ['atLeast', 'of']);
  const of = strictListOf(node.need('of'), (item) => readMember(item, signers, layer));
  const atLeast = node.need('atLeast');
  const { value } = atLeast;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > of.length)
    throw invalid(atLeast, `must be a whole number from 1 to ${of.length}, the number of members`);
  const all = of.flat();
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) throw invalid(node.need('of'), `names the signer '${twice}' twice`);
  return { kind: 'threshold', atLeast: value, of };
}

/** One member of a threshold: a signer, or somebody with several ways of signing. */
function readMember(field: Field, signers: Map<string, SignerSpec>, layer: Layer): NonEmpty<string> {
  const leaf = (item: Field): string => (typeof item.value === 'string' ? knownSigner(item, signers) : inlineSigner(item, signers, layer));
  if (!(field.value instanceof Map) || !field.value.has('anyOf')) return [leaf(field)];
  return strictListOf(mapping(field, ['anyOf']).need('anyOf'), leaf);
}

function knownSigner(field: Field, signers: ReadonlyMap<string, SignerSpec>): string {
  const name = textOf(field);
  if (signers.has(name)) return name;
  throw invalid(field, `names the signer '${printable(name, 80)}', which is not among signers`);
}

function inlineSigner(field: Field, signers: Map<string, SignerSpec>, layer: Layer): string {
  signers.set(field.where, readSigner(field, layer));
  return field.where;
}

function patternOf(field: Field): Rule['sources'][number] {
  const pattern = parseSourcePattern(textOf(field));
  if (typeof pattern === 'string') throw invalid(field, pattern);
  return pattern;
}

function originOf(field: Field): string {
  const url = URL.parse(textOf(field));
  if (url === null || !['https:', 'http:'].includes(url.protocol) || url.pathname !== '/' || url.search !== '' || url.username !== '')
    throw invalid(field, 'must be an origin such as https://minio.example.com:9000');
  return url.origin;
}
