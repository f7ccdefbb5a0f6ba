// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { parseStrictYaml } from '../base/yaml.ts';

/** A policy as Maps, lists and scalars. @throws POLICY_INVALID */
export function parseYaml(bytes: Buffer, name: string): unknown {
  try {
    return parseStrictYaml(bytes).toJS({ mapAsMap: true, maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('POLICY_INVALID', `${printable(name, 300)} cannot be read: ${printable(problem, 300)}`, { cause });
  }
}
