// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ObjectRef } from './source.ts';

/**
 * The components of a name below a source. URL parsers resolve `.` and `..` away, so such a name would ask for another object than
 * the one that was signed. The manifest is checked before; this holds even if it were not.
 * @throws PATH_UNSAFE
 */
export function nameComponents(path: string): readonly string[] {
  const components = path.split('/');
  const unsafe = components.some((component) => component === '' || component === '.' || component === '..');
  if (unsafe || path.includes('\0') || !path.isWellFormed()) {
    throw new AppError('PATH_UNSAFE', `the name '${printable(path)}' cannot be requested from a source`, { context: { path: printable(path) } });
  }
  return components;
}

/** A source that is one thing only was asked for something next to it. */
export function cannotLocate(ref: ObjectRef, displayUri: string, because: string): AppError {
  const wanted =
    ref.kind === 'self' ? 'the object itself' : ref.kind === 'beside' ? `the file beside it ('${ref.suffix}')` : `'${printable(ref.path)}' below it`;
  return new AppError('PLAN_CONTRADICTION', `${displayUri} ${because}: ${wanted} cannot be addressed`, {
    hint: 'Name the bundle with --bundle, or give the URI of the directory with a trailing slash.',
    context: { uri: displayUri },
  });
}
