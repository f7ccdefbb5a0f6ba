// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../../src/base/errors.ts';

/** One thing a user can get wrong, and the reason it ends with. */
export type Try = {
  readonly code: ErrorCode;
  readonly did: string;
  readonly command: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ctrl-C after the first line of log. */
  readonly interrupted?: true;
};

/** What no user can get wrong alone: that takes storage that cannot rename, and a defect. */
export const NOT_TRIED: readonly ErrorCode[] = ['PUBLISH_FAILED', 'INTERNAL'];

const KEY = '--public-key pub.pem';
const ZEROS = '0'.repeat(64);

/** In {braces}: addresses and digests that are known only when the tries run (world.ts). */
export const TRIES: readonly Try[] = [
  // Words
  t('USAGE', 'Called the program with nothing.', ''),
  t('USAGE', 'Mistyped the command.', 'verfy model'),
  t('USAGE', 'Guessed a command that does not exist.', 'download'),
  t('USAGE', 'Mistyped an option.', `pull model out --pubic-key pub.pem`),
  t('USAGE', 'Gave an option of another command.', `verify model ${KEY} --replace`),
  t('USAGE', 'Left the value out.', 'pull model out --public-key'),
  t('USAGE', 'Forgot the destination of the second model.', `pull model out ${KEY.replace('--', 'changed --')}`),
  t('USAGE', 'Wanted to verify a model in a bucket in place.', `verify s3://models/llama ${KEY}`),
  t('USAGE', 'Put the password on the command line.', 'sign key model --private-key locked.pem --password secret'),
  t('USAGE', 'Did not say how to sign.', 'sign model --private-key key.pem'),
  t('USAGE', 'Did not give the key to sign with.', 'sign key model'),
  t('USAGE', 'Forgot what the policy command should do.', 'policy policy.yaml'),
  // Values
  t('CONFIG_INVALID', 'Wrote a size that is none.', `pull model out ${KEY} --max-file-size 10gigs`),
  t('CONFIG_INVALID', 'Wrote a time without its unit.', `pull model out ${KEY} --timeout 30`),
  t('CONFIG_INVALID', 'Chose something that cannot be chosen.', `pull model out ${KEY} --log-format pretty`),
  t('CONFIG_INVALID', 'Mistyped a variable.', 'pull model out', { MODEL_GATE_PUBLICKEY: 'pub.pem' }),
  t('CONFIG_INVALID', 'Mistyped a key of the configuration file.', 'pull model out --config config.yaml'),
  t('CONFIG_INVALID', 'Indented YAML with tabs.', 'pull model out --config tabs.yaml'),
  t('CONFIG_INVALID', 'Named a configuration file that is not there.', 'pull model out --config gate.yaml'),
  t('CONFIG_INVALID', 'Gave a digest that is too short.', `pull model out ${KEY} --expect-digest sha256:38c8168b`),
  t('CONFIG_INVALID', 'Asked for a scheme that is not supported.', `pull gs://models/llama out ${KEY}`),
  t('CONFIG_INVALID', 'Forgot the bucket.', `pull s3:///llama out ${KEY}`),
  t('CONFIG_INVALID', 'Gave an identity without its issuer.', 'verify keyless --identity ci@example.com'),
  t('CONFIG_INVALID', 'Asked to show something that is no report.', 'report report.json'),
  t('PLAN_CONTRADICTION', 'Gave two ways of trusting.', `pull model out ${KEY} --ca ca.pem`),
  t('PLAN_CONTRADICTION', 'Gave an option of another way of trusting.', `verify model ${KEY} --certificate-identity ml-release@example.com`),
  t('PLAN_CONTRADICTION', 'Sent two models to one place.', `pull model out changed out ${KEY}`),
  t('PLAN_CONTRADICTION', 'Gave a presigned URL without its bundle.', `pull https://models.s3.amazonaws.com/llama.gguf?X-Amz-Signature=ab out ${KEY}`),
  // Trust
  t('TRUST_METHOD_MISSING', 'Did not say whom to trust.', 'pull model out'),
  t('ANCHORS_INVALID', 'Mistyped the path of the key.', 'verify model --public-key pub.pm'),
  t('ANCHORS_INVALID', 'Gave an RSA key.', 'verify model --public-key rsa.pem'),
  t('ANCHORS_INVALID', 'Gave the private key.', 'verify model --public-key key.pem'),
  t('ANCHORS_INVALID', 'Gave a certificate as the key.', 'verify model --public-key ca.pem'),
  t('ANCHORS_INVALID', 'Gave a key as the CA.', 'verify certified --ca pub.pem'),
  t('ANCHORS_UNPINNED', 'Took the key from the server that holds the model.', 'pull {tls}/model/ out --public-key {tls}/pub.pem'),
  t('ANCHORS_UNPINNED', 'Took the key over plain HTTP.', 'pull model out --public-key {web}/pub.pem'),
  t('ANCHORS_UNREACHABLE', 'Took the key from a server that does not answer.', 'verify model --public-key https://127.0.0.1:1/pub.pem'),
  t('POLICY_INVALID', 'Wrote a policy whose signer is defined nowhere.', 'verify model --policy policy.yaml'),
  t('POLICY_DENIED', 'Wants to be laxer than the policy.', 'verify model --policy here.yaml --ignore-unsigned-files'),
  t('DIGEST_DENIED', 'The policy denies this version.', 'verify model --policy denied.yaml'),
  t('TIMESTAMP_INVALID', 'The policy asks for a timestamp, and the signature has none.', 'verify model --policy dated.yaml'),
  t('THRESHOLD_NOT_MET', 'One of two people has signed.', 'verify model --policy two.yaml'),
  t('POLICY_NO_RULE', 'Has a policy, but no rule for this model.', 'verify model --policy elsewhere.yaml'),
  // Signatures
  t('UNSIGNED', 'Pulled a model that nobody signed.', `pull unsigned out ${KEY}`),
  t('UNSIGNED', 'Named a bundle that is not there.', `verify model ${KEY} --bundle model.sigstore.json`),
  t('BUNDLE_MALFORMED', 'Has half of a bundle.', `verify cut ${KEY}`),
  t('BUNDLE_MALFORMED', 'Got a sign-in page in place of the bundle.', `verify html ${KEY}`),
  t('SIGNATURE_INVALID', 'Has the key of another publisher.', 'pull model out --public-key other.pem'),
  t('SIGNATURE_INVALID', 'Gave a CA for a model that was signed with a bare key.', 'pull model out --ca ca.pem'),
  t('SIGNATURE_INVALID', 'Gave a key for a model that was signed with a certificate.', `verify certified ${KEY}`),
  t('CERT_CHAIN_INVALID', 'Has the CA of another company.', 'verify certified --ca other-ca.pem'),
  t('CERT_EXPIRED', 'The signing certificate has expired since.', 'verify lapsed --ca ca.pem'),
  t('SIGNER_UNTRUSTED', 'Expects another name in the certificate.', 'verify certified --ca ca.pem --certificate-identity release@example.com'),
  t(
    'SIGNER_UNTRUSTED',
    'Expects another workflow.',
    'verify keyless --trust-config trust.json --identity https://ci.example.com/models/test --issuer https://issuer.example.com',
  ),
  t(
    'LOG_PROOF_INVALID',
    'Forgot the trusted root of the private Sigstore.',
    'verify keyless --identity https://ci.example.com/models/release --issuer https://issuer.example.com',
  ),
  t('SIGNED_TOO_EARLY', 'Asks for the age of a signature that has none.', `verify model ${KEY} --signed-after 2026-01-01`),
  t('ALGORITHM_REFUSED', 'The signer used MD5.', `verify md5 ${KEY}`),
  t(
    'ANCHORS_INVALID',
    'Named a TUF mirror, but not its first root.',
    'verify keyless --identity a@example.com --issuer https://issuer.example.com --tuf-refresh --tuf-mirror https://127.0.0.1:1',
  ),
  t(
    'TUF_UNAVAILABLE',
    'The TUF mirror does not answer.',
    'verify keyless --identity a@example.com --issuer https://issuer.example.com --tuf-refresh --tuf-mirror {closed-as-tls} --tuf-root root.json',
  ),
  // Content
  t('DIGEST_MISMATCH', 'A file in the store was changed.', `pull {web}/changed/ out ${KEY}`),
  t('DIGEST_MISMATCH', 'A file is shorter than it was.', `verify shorter ${KEY}`),
  t('SIZE_MISMATCH', 'A file that was signed in parts is shorter than it was.', `verify sharded ${KEY}`),
  t('FILE_MISSING', 'A file is gone from the claim.', `verify missing ${KEY}`),
  t('FILE_MISSING', 'A file was never uploaded.', `pull {web}/gone/ out ${KEY}`),
  t('FILE_UNSIGNED', 'Somebody put a script beside the weights.', `verify extra ${KEY}`),
  t('FILE_TYPE', 'A file was replaced by a link.', `verify linked ${KEY}`),
  t('DIGEST_NOT_PINNED', 'The publisher released a new version.', `pull model out ${KEY} --expect-digest sha256:${ZEROS}`),
  t('LIMIT_EXCEEDED', 'The model is larger than the limit.', `pull model out ${KEY} --max-file-size 10KiB`),
  t('PATH_UNSAFE', 'Was given a hostile bundle.', `pull traversal out ${KEY}`),
  t('ARCHIVE_INVALID', 'Half of the archive was uploaded, and signed.', `pull archives/half.tgz out ${KEY} --unpack`),
  t('PICKLE_IMPORT', 'Looked at weights that run a command when they are loaded.', 'scan pickled'),
  t('FORMAT_DENIED', 'Allows safetensors only.', `verify pickled ${KEY} --allow-formats safetensors,json`),
  t('FORMAT_MALFORMED', 'The upload of the weights broke off.', 'scan broken'),
  t('NAME_INVALID', 'A file name is not UTF-8.', 'sign key latin1 --private-key key.pem'),
  t('MODEL_EMPTY', 'Signed the wrong folder.', 'sign key empty --private-key key.pem'),
  t('SIGNING_KEY_INVALID', 'Wants to sign with an RSA key.', 'sign key model --private-key rsa-key.pem'),
  t('SIGNING_KEY_INVALID', 'Forgot the password of the key.', 'sign key model --private-key locked.pem'),
  t('CREDENTIALS_MISSING', 'Wants to sign keyless without a token.', 'sign sigstore unsigned'),
  t('CREDENTIALS_MISSING', 'Waited too long with the token.', 'sign sigstore unsigned --identity-token-file old-token --trust-config trust.json'),
  t(
    'SIGNING_SERVICE_FAILED',
    'Named something as timestamp authority that is none.',
    'sign key model --private-key key.pem --timestamp-url {web}/model/config.json',
  ),
  t('MODEL_NOT_FOUND', 'The claim is not mounted.', `verify /mnt/models/llama ${KEY}`),
  // Sources
  t('UNSIGNED', 'Mistyped the path on the web server.', `pull {web}/modle/ out ${KEY}`),
  t('SOURCE_UNAVAILABLE', 'Mistyped the host.', `pull https://models.example.invalid/llama/ out ${KEY}`),
  t('SOURCE_DENIED', 'May not read the model.', `pull {web}/private/ out ${KEY}`),
  t('SOURCE_DENIED', 'Gave no password.', `pull {web}/login/ out ${KEY}`),
  t('SOURCE_UNAVAILABLE', 'The server is not running.', `pull {closed}/model/ out ${KEY}`),
  t('SOURCE_UNAVAILABLE', 'The server says 503.', `pull {web}/down/ out ${KEY}`),
  t('SOURCE_UNAVAILABLE', 'The server sends us round in circles.', `pull {web}/loop/ out ${KEY}`),
  t('SOURCE_CHANGED', 'A new version was uploaded over the old one meanwhile.', `pull {web}/changing/ out ${KEY}`),
  t('SOURCE_TIMEOUT', 'The server takes the request and says nothing.', `pull {web}/slow/ out ${KEY} --timeout 1s`),
  t('TLS_FAILED', 'The server has a certificate of a private CA.', `pull {tls}/model/ out ${KEY}`),
  t('TLS_FAILED', 'The certificate of the server has expired.', `pull {expired}/model/ out ${KEY} --ca-bundle server-ca.pem`),
  t('TLS_FAILED', 'The certificate is for another name.', `pull {misnamed}/model/ out ${KEY} --ca-bundle server-ca.pem`),
  t('TLS_FAILED', 'Wrote https for a server that speaks http.', `pull {web-as-tls}/model/ out ${KEY}`),
  t('CREDENTIALS_MISSING', 'The service account has no role.', `pull s3://models/llama/ out ${KEY}`, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_REGION: 'us-east-1',
  }),
  t('SOURCE_DENIED', 'The secret key is wrong.', `pull s3://models/llama/ out ${KEY} --s3-endpoint {s3}`, {
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'wrong',
    AWS_REGION: 'us-east-1',
  }),
  t('SOURCE_DENIED', 'The object is missing, and the role may not list.', `pull s3://models/llama/ out ${KEY} --s3-endpoint {s3}`, {
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'right',
    AWS_REGION: 'us-east-1',
  }),
  t('SOURCE_NOT_FOUND', 'Mistyped the bucket.', `pull s3://modles/llama/ out ${KEY} --s3-endpoint {s3}`, {
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'right',
    AWS_REGION: 'us-east-1',
  }),
  // Volumes
  t('FILE_UNSIGNED', 'Other files are in the destination.', `pull model occupied ${KEY}`),
  t('CONFIG_INVALID', 'A file stands where the destination should be.', `pull model pub.pem ${KEY}`),
  t('DESTINATION_DIFFERS', 'An older version is in the destination, beside files that may stay.', `pull model older/models ${KEY} --ignore-unsigned-files`),
  t('NO_SPACE', 'The volume is smaller than the model.', `pull huge out ${KEY}`),
  t('READ_ONLY', 'The destination cannot be written.', `pull model /sys/model-gate ${KEY}`),
  t('IO', 'The report cannot be written.', `verify model ${KEY} --report reports/today/model.json`),
  { ...t('CANCELLED', 'Pressed Ctrl-C while it was waiting for the server.', `pull {web}/slow/ out ${KEY}`), interrupted: true },
];

function t(code: ErrorCode, did: string, command: string, env?: Readonly<Record<string, string>>): Try {
  return { code, did, command, ...(env !== undefined && { env }) };
}
