// SPDX-License-Identifier: Apache-2.0

/** What a CI service says of the job that signed, by the extension of the Fulcio certificate (1.3.6.1.4.1.57264.1.…) it stands in. */
export const CLAIM_OIDS = {
  buildSignerUri: '1.3.6.1.4.1.57264.1.9',
  buildSignerDigest: '1.3.6.1.4.1.57264.1.10',
  runnerEnvironment: '1.3.6.1.4.1.57264.1.11',
  sourceRepositoryUri: '1.3.6.1.4.1.57264.1.12',
  sourceRepositoryDigest: '1.3.6.1.4.1.57264.1.13',
  sourceRepositoryRef: '1.3.6.1.4.1.57264.1.14',
  sourceRepositoryIdentifier: '1.3.6.1.4.1.57264.1.15',
  sourceRepositoryOwnerUri: '1.3.6.1.4.1.57264.1.16',
  sourceRepositoryOwnerIdentifier: '1.3.6.1.4.1.57264.1.17',
  buildConfigUri: '1.3.6.1.4.1.57264.1.18',
  buildConfigDigest: '1.3.6.1.4.1.57264.1.19',
  buildTrigger: '1.3.6.1.4.1.57264.1.20',
  runInvocationUri: '1.3.6.1.4.1.57264.1.21',
  sourceRepositoryVisibility: '1.3.6.1.4.1.57264.1.22',
} as const;

export type ClaimName = keyof typeof CLAIM_OIDS;

/** Established claims; one that is absent or unreadable is not there. */
export type SignerClaims = Readonly<Partial<Record<ClaimName, string>>>;

export const CLAIMS = Object.keys(CLAIM_OIDS) as readonly ClaimName[];
