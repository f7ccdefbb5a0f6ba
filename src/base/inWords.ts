// SPDX-License-Identifier: Apache-2.0
import { getSystemErrorMap } from 'node:util';

/** What the operating system's table does not have: the resolver's answers, and TLS failures as Node and OpenSSL name them. */
const OTHERS: Readonly<Record<string, string>> = {
  EDQUOT: 'disk quota exceeded',
  ESTALE: 'stale file handle',
  ENOTFOUND: 'DNS does not know this host',
  EAI_AGAIN: 'DNS does not answer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is by a CA that is not known here',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is by a CA that is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is by a CA that is not known here',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is by a CA that is not known here',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  CERT_HAS_EXPIRED: 'its certificate has expired, or the clock of this machine is wrong',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock of this machine is wrong',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names',
  ERR_SSL_WRONG_VERSION_NUMBER: 'this port does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'this port does not speak TLS',
};

const SYSTEM = new Map([...getSystemErrorMap().values()]);

/** `ENOENT` → `no such file or directory (ENOENT)`; codes nobody knows stay alone. */
export function inWords(code: string): string {
  const words = OTHERS[code] ?? SYSTEM.get(code);
  return words === undefined ? code : `${words} (${code})`;
}
