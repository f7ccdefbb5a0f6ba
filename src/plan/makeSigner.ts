// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import { serviceUrl } from '../base/service.ts';
import { materialRef } from './make.ts';
import { envName, type OptionName, type Values } from './options.ts';
import type { KeylessSignerPlan, KeySignerPlan, SecretRef, ServicesPlan, SignerPlan, TokenPlan } from './plan.ts';
import type { RootPlan } from './trust.ts';

const KEY_OPTIONS = ['private-key', 'password', 'password-file', 'signing-certificate', 'certificate-chain'] as const;
const KEYLESS_OPTIONS = ['identity-token', 'identity-token-file', 'fulcio-url', 'rekor-url', 'signing-config', 'trusted-root', 'trust-config'] as const;
const PUBLIC_FULCIO = 'https://fulcio.sigstore.dev';
const PUBLIC_REKOR = 'https://rekor.sigstore.dev';

/** Who signs, and with what. @throws USAGE, CONFIG_INVALID, PLAN_CONTRADICTION */
export function makeSigner(method: string | undefined, values: Values): SignerPlan {
  switch (method) {
    case 'key':
    case 'certificate':
      refuseStray(values, method, KEYLESS_OPTIONS);
      return makeKeySigner(method, values);
    case 'sigstore':
      refuseStray(values, method, KEY_OPTIONS);
      return makeKeylessSigner(values);
    default:
      throw new AppError(
        'USAGE',
        `sign needs a method before the path: sign key, sign certificate or sign sigstore${method === undefined ? '' : `; got '${printable(method, 80)}'`}`,
      );
  }
}

/** An option of another method would change nothing: its author meant something else. */
function refuseStray(values: Values, method: string, names: readonly (typeof KEY_OPTIONS | typeof KEYLESS_OPTIONS)[number][]): void {
  const stray = names.find((name) => (Array.isArray(values[name]) ? values[name].length > 0 : values[name] !== undefined));
  if (stray !== undefined) throw new AppError('PLAN_CONTRADICTION', `--${stray} has no meaning for sign ${method}`);
}

function makeKeySigner(method: 'key' | 'certificate', values: Values): KeySignerPlan {
  const { 'private-key': key, 'signing-certificate': certificate } = values;
  if (key === undefined) throw new AppError('USAGE', `sign ${method} needs --private-key`);
  const password = secretOf(values, 'password', 'password-file');
  const common = { privateKey: secretRef(key, 'private-key'), ...(password !== undefined && { password }) };
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

function makeKeylessSigner(values: Values): KeylessSignerPlan {
  const given = secretOf(values, 'identity-token', 'identity-token-file');
  const token: TokenPlan = { ...(given !== undefined && { given }), ambient: 'use', audience: values['token-audience'] ?? 'sigstore' };
  const root = makeSignersRoot(values);
  return { kind: 'sigstore', token, services: makeServices(values), ...(root !== undefined && { root }) };
}

function makeServices(values: Values): ServicesPlan {
  const { 'fulcio-url': fulcio, 'rekor-url': rekor, 'signing-config': signingConfig, 'trust-config': trustConfig } = values;
  const urls = fulcio !== undefined || rekor !== undefined;
  const ways = [urls && '--fulcio-url or --rekor-url', signingConfig !== undefined && '--signing-config', trustConfig !== undefined && '--trust-config'].filter(
    (way) => way !== false,
  );
  if (ways.length > 1) throw new AppError('PLAN_CONTRADICTION', `the signing services are given by ${ways.join(' and ')}; give one`);
  if (signingConfig !== undefined) return { kind: 'signing-config', ref: materialRef(signingConfig) };
  if (trustConfig !== undefined) return { kind: 'trust-config', ref: materialRef(trustConfig) };
  // What a private authority certifies must not end up in the public log, for ever, by a forgotten flag.
  if ((fulcio === undefined) !== (rekor === undefined))
    throw new AppError('PLAN_CONTRADICTION', '--fulcio-url and --rekor-url belong to one instance: give both');
  return {
    kind: 'urls',
    fulcio: serviceUrl(fulcio ?? PUBLIC_FULCIO, '--fulcio-url', 'secret'),
    rekor: serviceUrl(rekor ?? PUBLIC_REKOR, '--rekor-url', 'nothing secret'),
  };
}

/** The root with which the new bundle has to verify. Of a private instance nobody knows it unless it is given. */
function makeSignersRoot(values: Values): RootPlan | undefined {
  const { 'trusted-root': trustedRoot, 'trust-config': trustConfig } = values;
  if (trustedRoot !== undefined && trustConfig !== undefined) {
    throw new AppError('PLAN_CONTRADICTION', 'the trusted root is given by --trusted-root and --trust-config; give one');
  }
  if (trustedRoot !== undefined) return { kind: 'trusted-root', ref: materialRef(trustedRoot) };
  if (trustConfig !== undefined) return { kind: 'trust-config', ref: materialRef(trustConfig) };
  return values['fulcio-url'] === undefined && values['signing-config'] === undefined ? { kind: 'embedded' } : undefined;
}

/** A secret from a variable, or from the file that an option names. */
function secretOf(values: Values, variable: 'password' | 'identity-token', file: 'password-file' | 'identity-token-file'): SecretRef | undefined {
  const text = values[variable];
  const path = values[file];
  if (text !== undefined && path !== undefined) throw new AppError('PLAN_CONTRADICTION', `both --${file} and ${envName(variable)} are given; give one`);
  if (text !== undefined) return { kind: 'text', text };
  return path === undefined ? undefined : { kind: 'file', path };
}

/** PEM text, or a path. Keys are not downloaded: where a signing key lies on a server, others can have it. */
function secretRef(value: string, option: OptionName): SecretRef {
  if (value.includes('-----BEGIN ')) return { kind: 'text', text: value };
  if (/^(?!file:)[a-z][a-z0-9+.-]*:\/\//i.test(value)) throw new AppError('CONFIG_INVALID', `--${option} takes a file or PEM text, not ${redactUri(value)}`);
  return { kind: 'file', path: value.replace(/^file:\/\//, '') };
}
