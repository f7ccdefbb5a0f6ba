// SPDX-License-Identifier: Apache-2.0
import type { NonEmpty } from '../base/brands.ts';
import { CLAIMS } from '../trust/claimNames.ts';
import { choiceOf, entriesOf, type Field, flagOf, invalid, listOf, mapping, textOf } from './fields.ts';
import { compilePattern, PatternError, type TextPattern } from './pattern.ts';
import type { Material, SignerSpec } from './policy.ts';
import type { Layer } from './read.ts';

/** `{key: …}`, `{certificate: {…}}` or `{sigstore: {…}}`. @throws POLICY_INVALID */
export function readSigner(field: Field, layer: Layer): SignerSpec {
  const node = mapping(field, ['key', 'certificate', 'sigstore']);
  const [key, certificate, sigstore] = [node.get('key'), node.get('certificate'), node.get('sigstore')];
  if ([key, certificate, sigstore].filter((one) => one !== undefined).length !== 1) throw invalid(field, 'must have exactly one of key, certificate, sigstore');
  if (key !== undefined) return { kind: 'key', keys: materials(key, layer) };
  if (certificate !== undefined) return readCertificate(certificate, layer);
  return readSigstore(node.need('sigstore'), layer);
}

/** Keys, certificates or roots. A floor's come from the image or are pinned: proxies, endpoints and volumes are the pod's. */
export function materials(field: Field, layer: Layer): NonEmpty<Material> {
  return listOf(field, (item) => material(item, layer));
}

function material(field: Field, layer: Layer): Material {
  const value = textOf(field);
  if (layer === 'floor' && !value.includes('-----BEGIN ') && !value.trimStart().startsWith('{')) {
    const pinned = /#sha256=[0-9a-fA-F]{64}$/.test(value);
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? !pinned && !value.startsWith('file:///') : !value.startsWith('/'))
      throw invalid(field, 'must be PEM text, an absolute path, or a URI pinned with #sha256= in a floor policy');
  }
  return { value, where: field.where };
}

function readCertificate(field: Field, layer: Layer): SignerSpec {
  const node = mapping(field, ['roots', 'names', 'subject', 'eku', 'anySigner']);
  const [names, subject, eku] = [node.get('names'), node.get('subject'), node.get('eku')];
  const any = flagOf(node.get('anySigner'));
  if (any === (names !== undefined || subject !== undefined))
    throw invalid(field, "must say who: 'names' or 'subject'; or 'anySigner: true' for everybody with a certificate below the roots");
  return {
    kind: 'certificate',
    roots: materials(node.need('roots'), layer),
    names: names === undefined ? [] : listOf(names, textOf),
    subjects: subject === undefined ? [] : listOf(subject, textOf),
    purposes: eku === undefined ? [] : listOf(eku, purposeOf),
  };
}

function purposeOf(field: Field): string {
  const text = textOf(field);
  if (text === 'codeSigning') return '1.3.6.1.5.5.7.3.3';
  if (text.length <= 100 && /^[0-2](?:\.(?:0|[1-9]\d*))+$/.test(text)) return text;
  throw invalid(field, 'must be codeSigning or an object identifier such as 1.3.6.1.5.5.7.3.3');
}

function readSigstore(field: Field, layer: Layer): SignerSpec {
  const node = mapping(field, ['identity', 'identityRegexp', 'issuer', 'claims', 'root']);
  const [exact, regexp, claims, root] = [node.get('identity'), node.get('identityRegexp'), node.get('claims'), node.get('root')];
  if ((exact === undefined) === (regexp === undefined)) throw invalid(field, 'must have exactly one of identity, identityRegexp');
  return {
    kind: 'sigstore',
    identity: regexp === undefined ? { kind: 'exact', text: textOf(exact ?? field) } : patternOf(regexp),
    issuer: textOf(node.need('issuer')),
    claims: claims === undefined ? new Map() : readClaims(claims),
    root: root === undefined ? { kind: 'embedded' } : readRoot(root, layer),
  };
}

function readClaims(field: Field): ReadonlyMap<string, TextPattern> {
  mapping(field, CLAIMS);
  return new Map([...entriesOf(field)].map(([name, item]) => [name, claimOf(item)]));
}

function claimOf(field: Field): TextPattern {
  return field.value instanceof Map ? patternOf(mapping(field, ['regexp']).need('regexp')) : { kind: 'exact', text: textOf(field) };
}

function patternOf(field: Field): TextPattern {
  const source = textOf(field);
  try {
    return { kind: 'pattern', source, test: compilePattern(source) };
  } catch (error) {
    if (error instanceof PatternError) throw invalid(field, `is a pattern that ${error.message}`);
    throw error;
  }
}

function readRoot(field: Field, layer: Layer): Extract<SignerSpec, { kind: 'sigstore' }>['root'] {
  if (!(field.value instanceof Map)) return { kind: choiceOf(field, ['embedded', 'tuf']) };
  const node = mapping(field, ['trustedRoot', 'trustConfig']);
  const [trustedRoot, trustConfig] = [node.get('trustedRoot'), node.get('trustConfig')];
  if ((trustedRoot === undefined) === (trustConfig === undefined)) throw invalid(field, 'must have exactly one of trustedRoot, trustConfig');
  if (trustedRoot !== undefined) return { kind: 'trusted-root', material: material(trustedRoot, layer) };
  return { kind: 'trust-config', material: material(node.need('trustConfig'), layer) };
}
