// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { MAX_YAML_BYTES } from '../base/limits.ts';
import { printable } from '../base/redact.ts';
import { parseStrictYaml } from '../base/yaml.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';

/** Reads a configuration file, JSON or YAML. @throws CONFIG_INVALID */
export async function readConfigFile(path: string): Promise<unknown> {
  try {
    const bytes = await readSmallFile(path, MAX_YAML_BYTES, 'follow');
    return parseStrictYaml(bytes).toJS({ maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('CONFIG_INVALID', `the configuration file ${printable(path)} cannot be read: ${printable(problem, 300)}`, { cause });
  }
}
