// SPDX-License-Identifier: Apache-2.0
import type { Brand } from '../base/brands.ts';

/** A file's name relative to the model root, in the canonical form of OMS §6.1.2: never absolute, never upwards. */
export type ModelPath = Brand<string, 'ModelPath'>;

/** The name the reference implementation gives to the file of a single-file model, in place of its basename. */
export const SINGLE_FILE = '.' as ModelPath;

const MAX_PATH_BYTES = 4096;
const MAX_COMPONENT_BYTES = 255;
/** As deep as a model directory is read. */
const MAX_COMPONENTS = 256;

/** A canonical name, or what is wrong with it. Backslashes, colons, blanks and newlines are ordinary (OMS §6.1.2). */
export function parseModelPath(name: string): { readonly path: ModelPath } | { readonly problem: string } {
  if (name === '') return { problem: 'is empty' };
  if (name.includes('\0')) return { problem: 'holds a NUL byte' };
  if (!name.isWellFormed()) return { problem: 'is not valid Unicode' };
  if (name.startsWith('/')) return { problem: 'is absolute' };
  if (Buffer.byteLength(name) > MAX_PATH_BYTES) return { problem: `is longer than ${MAX_PATH_BYTES} bytes` };
  const components = name.split('/');
  if (components.length > MAX_COMPONENTS) return { problem: `is nested deeper than ${MAX_COMPONENTS} levels` };
  for (const component of components) {
    if (component === '..') return { problem: 'leaves the model' };
    if (component === '' || component === '.') return { problem: 'is not in canonical form' };
    if (Buffer.byteLength(component) > MAX_COMPONENT_BYTES) return { problem: `has a component longer than ${MAX_COMPONENT_BYTES} bytes` };
  }
  return { path: name as ModelPath };
}

/** `./cache//x/` → `cache/x`, as OMS §6.1.2(3) collapses names; upward and absolute ones stay what they are. */
export function collapse(name: string): string {
  if (name.startsWith('/')) return name;
  return name
    .split('/')
    .filter((component) => component !== '' && component !== '.')
    .join('/');
}

/** Order by code point of the whole name (OMS §5.2.1). UTF-8 keeps code point order; UTF-16, JavaScript's default, does not. */
export function compareByName(a: string, b: string): number {
  const min = Math.min(a.length, b.length);
  for (let i = 0; i < min; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return a.length - b.length;
}

/** The reference implementation's order: component by component ('a/x' before 'a-b'), each by code point. */
export function compareByComponents(a: string, b: string): number {
  const as = a.split('/');
  const bs = b.split('/');
  for (let i = 0; i < Math.min(as.length, bs.length); i++) {
    const order = compareByName(as[i] ?? '', bs[i] ?? '');
    if (order !== 0) return order;
  }
  return as.length - bs.length;
}

/** Whether `path` is `prefix` or lies below it; no globs, no string prefixes (OMS §6.2.1). */
export function isWithin(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
