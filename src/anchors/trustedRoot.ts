// SPDX-License-Identifier: Apache-2.0
import type { SigstoreRoot } from '../trust/trust.ts';
import embedded from './publicGoodRoot.json' with { type: 'json' };

/** Day (YYYY-MM-DD) on which the embedded trusted root of the public-good instance was published. */
export const EMBEDDED_ROOT_DATE: string = embedded.date;

/** The trusted root of Sigstore's public-good instance that this program carries: verification needs no network. */
export function embeddedRoot(): SigstoreRoot {
  return { json: embedded.trustedRoot, description: `the embedded public-good root of ${embedded.date}`, date: embedded.date };
}
