// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { Signer } from '../trust/trust.ts';

/** One line for people: who signed. */
export function describeSigner(signer: Signer): string {
  switch (signer.kind) {
    case 'key':
      return `key ${signer.fingerprint.slice(0, 16)}… (${signer.curve})`;
    case 'certificate':
      return printable(`certificate '${signer.subject}' issued by '${signer.issuer}'`, 300);
    case 'sigstore':
      return printable(`${signer.identity} (issuer ${signer.issuer})`, 300);
    case 'nobody':
      return 'nobody who is trusted';
  }
}
