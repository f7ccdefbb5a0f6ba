// SPDX-License-Identifier: Apache-2.0
// What the bundle has in place of @aws-sdk/credential-provider-process, which gives the text of `credential_process` in an AWS config file
// to a shell. A gate runs no program: with this file in its place there is no code in dist/ that could (test/supplyChain/bundle.test.ts).
import { getProfileName, parseKnownFiles } from '@smithy/core/config';

/** Where a profile asks for a program, that is an error, not a reason to look for other credentials. */
export const fromProcess =
  (init = {}) =>
  async ({ callerClientConfig } = {}) => {
    const profiles = await parseKnownFiles(init);
    const profile = getProfileName({ profile: init.profile ?? callerClientConfig?.profile });
    const asked = profiles[profile]?.credential_process !== undefined;
    const error = new Error(asked ? 'credential_process is not supported' : 'no credential_process');
    if (asked) error.name = 'CredentialProcessRefused';
    throw Object.assign(error, { tryNextLink: !asked });
  };
