// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import type { HttpSettings } from '../source/source.ts';
import type { TlsSettings } from './plainHttp.ts';

/** Said for every connection, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch verification off behind the plan's back. @throws CONFIG_INVALID */
export async function tlsSettings(settings: HttpSettings): Promise<TlsSettings> {
  if (settings.caPem === undefined) return { rejectUnauthorized: settings.verifyTls };
  const tls = await import('node:tls');
  try {
    // Made once: given as `ca`, all roots would be parsed again for each connection.
    const secureContext = tls.createSecureContext({ ca: [...tls.getCACertificates('default'), settings.caPem] });
    return { rejectUnauthorized: settings.verifyTls, secureContext };
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', 'the CA bundle cannot be used', { cause });
  }
}
