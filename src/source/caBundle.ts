// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { firstSet } from './environment.ts';
import type { Environment } from './source.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** KServe's cluster-wide bundle: `<mount>/cabundle.crt`, when a ConfigMap for it is named. */
export function globalCaBundle(env: Environment): string | undefined {
  if (firstSet(env, 'CA_BUNDLE_CONFIGMAP_NAME') === undefined) return undefined;
  return join(firstSet(env, 'CA_BUNDLE_VOLUME_MOUNT_POINT') ?? '/etc/ssl/custom-certs', 'cabundle.crt');
}

/**
 * The certificates of a PEM file; `origin` names the setting it came from.
 * @throws CONFIG_INVALID when the file is absent, unreadable or holds no certificate
 */
export async function readCaBundle(path: string, origin: string): Promise<string> {
  const blocks = (await readCapped(path, origin)).match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw invalid(path, origin, 'holds no PEM certificate');
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch (cause) {
      // Node ignores what it cannot parse in a CA list: a broken file would only show as an untrusted server.
      throw invalid(path, origin, `holds a broken certificate (number ${index + 1})`, cause);
    }
  }
  return `${blocks.join('\n')}\n`;
}

/** As readCaBundle, but an absent file is as good as none. @throws CONFIG_INVALID */
export async function readCaBundleIfThere(path: string, origin: string): Promise<string | undefined> {
  try {
    return await readCaBundle(path, origin);
  } catch (error) {
    if (error instanceof AppError && systemErrorCode(error.cause) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readCapped(path: string, origin: string): Promise<string> {
  try {
    // Links are followed: ConfigMaps are mounted through them. O_NONBLOCK so that a FIFO cannot hang us.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_BYTES) throw invalid(path, origin, `is not a regular file of at most ${MAX_BYTES} bytes`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw invalid(path, origin, `cannot be read: ${systemErrorCode(cause) ?? 'unknown error'}`, cause);
  }
}

function invalid(path: string, origin: string, problem: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', `the CA bundle '${printable(path)}' (${origin}) ${problem}`, { context: { path: printable(path) }, cause });
}
