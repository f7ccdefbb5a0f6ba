// SPDX-License-Identifier: Apache-2.0

import { type HexDigest, hexDigest } from '../base/brands.ts';
import { printable } from '../base/redact.ts';
import { FORMATS, type Format } from '../formats/finding.ts';
import type { FormatPolicy } from '../formats/judge.ts';
import type { HASH_BYTES, HashAlgorithm } from '../oms/manifest.ts';
import { choiceOf, countOf, type Field, type Fields, flagOf, invalid, listOf, mapping, sizeOf, spanOf, strictListOf, textOf, timeOf } from './fields.ts';
import { type Checks, type FileChecks, NO_CHECKS } from './policy.ts';

/** Members of a rule, and of `always`, that are checks. */
export const CHECK_NAMES = [
  'digests',
  'signedAfter',
  'maxAge',
  'signedName',
  'requireTransparencyLog',
  'requireTimestamp',
  'hashes',
  'keyTypes',
  'files',
  'formats',
] as const;

const HASHES: readonly HashAlgorithm[] = ['sha256', 'blake2b', 'blake3'] satisfies (keyof typeof HASH_BYTES)[];
const CURVES = ['P-256', 'P-384', 'P-521'] as const;

/** @throws POLICY_INVALID */
export function readChecks(node: Fields | undefined): Checks {
  if (node === undefined) return NO_CHECKS;
  const optional = <T>(name: (typeof CHECK_NAMES)[number], read: (field: Field) => T): T | undefined => {
    const field = node.get(name);
    return field === undefined ? undefined : read(field);
  };
  return {
    ...(optional('digests', readDigests) ?? { allowDigests: undefined, denyDigests: [] }),
    signedAfter: optional('signedAfter', timeOf),
    maxAgeMs: optional('maxAge', spanOf),
    name: optional('signedName', textOf),
    transparencyLog: flagOf(node.get('requireTransparencyLog')),
    timestamp: flagOf(node.get('requireTimestamp')),
    hashes: optional('hashes', (field) => listOf(field, (item) => choiceOf(item, HASHES))),
    keyTypes: optional('keyTypes', (field) => listOf(field, (item) => choiceOf(item, CURVES))),
    files: optional('files', readFiles) ?? NO_CHECKS.files,
    formats: optional('formats', readFormats),
  };
}

function readDigests(field: Field): Pick<Checks, 'allowDigests' | 'denyDigests'> {
  const node = mapping(field, ['allow', 'deny']);
  const [allow, deny] = [node.get('allow'), node.get('deny')];
  return {
    allowDigests: allow === undefined ? undefined : strictListOf(allow, digestOf),
    denyDigests:
      deny === undefined
        ? []
        : strictListOf(deny, (item) => {
            const entry = mapping(item, ['digest', 'reason']);
            return { digest: digestOf(entry.need('digest')), reason: textOf(entry.need('reason')) };
          }),
  };
}

function digestOf(field: Field): HexDigest {
  const digest = hexDigest(textOf(field).replace(/^sha256:/, ''), 32);
  if (digest !== undefined) return digest;
  throw invalid(field, 'must be sha256: and 64 lower-case hexadecimal digits');
}

function readFiles(field: Field): FileChecks {
  const node = mapping(field, ['allow', 'deny', 'maxFileSize', 'maxTotalSize', 'maxCount', 'unsignedFiles', 'symlinks']);
  const [allow, deny, unsigned, symlinks] = [node.get('allow'), node.get('deny'), node.get('unsignedFiles'), node.get('symlinks')];
  const [maxFile, maxTotal, maxCount] = [node.get('maxFileSize'), node.get('maxTotalSize'), node.get('maxCount')];
  return {
    allow: allow === undefined ? undefined : strictListOf(allow, globOf),
    deny: deny === undefined ? [] : strictListOf(deny, globOf),
    maxFileBytes: maxFile === undefined ? undefined : sizeOf(maxFile),
    maxTotalBytes: maxTotal === undefined ? undefined : sizeOf(maxTotal),
    maxCount: maxCount === undefined ? undefined : countOf(maxCount),
    unsigned: unsigned === undefined ? undefined : choiceOf(unsigned, ['refuse', 'ignore']),
    symlinks: symlinks === undefined ? undefined : choiceOf(symlinks, ['refuse', 'recorded', 'allow']),
  };
}

/** Letters, `?`, `*` and `**` only, and these without backtracking. */
function globOf(field: Field): string {
  const glob = textOf(field);
  if (glob.length > 500 || /[\\{}[\]()]/.test(glob) || glob.split('/').some((part) => part === '' || (part.includes('**') && part !== '**')))
    throw invalid(field, `'${printable(glob, 80)}' must be a relative glob: letters, ? and * within a component, ** for any number of components`);
  return glob;
}

function readFormats(field: Field): FormatPolicy {
  const node = mapping(field, ['allow', 'deny', 'warn', 'pickleImports']);
  const [allow, deny, warn, imports] = [node.get('allow'), node.get('deny'), node.get('warn'), node.get('pickleImports')];
  const denied: readonly Format[] = deny === undefined ? [] : strictListOf(deny, formatOf);
  const warned: readonly Format[] = warn === undefined ? [] : strictListOf(warn, formatOf);
  const both = denied.find((format) => warned.includes(format));
  if (both !== undefined) throw invalid(field, `has '${both}' under deny and under warn`);
  return {
    allow: allow === undefined ? undefined : strictListOf(allow, formatOf),
    rules: Object.fromEntries([...denied.map((format) => [format, 'deny'] as const), ...warned.map((format) => [format, 'warn'] as const)]),
    pickleImports: imports === undefined ? [] : strictListOf(imports, importOf),
  };
}

function formatOf(field: Field): Format {
  const name = textOf(field);
  const format = FORMATS.find((known) => known === name);
  if (format !== undefined) return format;
  throw invalid(field, `must be one of ${FORMATS.join(', ')}`);
}

function importOf(field: Field): string {
  const name = textOf(field);
  if (name.length <= 200 && /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\.(?:[A-Za-z_]\w*|\*)$/.test(name)) return name;
  throw invalid(field, 'must be module.name, such as collections.OrderedDict, or module.* for every name directly in it');
}
