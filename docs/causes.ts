// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../src/base/errors.ts';

/** What is behind a reason code when people meet it, most likely first, and how to tell. One list for each code: the type sees to that. */
export const CAUSES: Readonly<Record<ErrorCode, readonly string[]>> = {
  UNSIGNED: [
    'The path is wrong: one directory too high or too low, or `/` forgotten. The message lists every name that was tried.',
    'The model was uploaded without `model.sig`. Upload it last, beside the files it is about.',
    'The bundle has another name or lies elsewhere: say where with `--bundle`.',
  ],
  BUNDLE_MALFORMED: [
    'A server answered with a page (login, error) and status 200 in place of the bundle: open the URL of the message.',
    'The upload broke off, or a tool changed the file (line ends, a byte order mark).',
    'It is some other signature: of a container image, of a Git tag, PGP. OMS bundles begin with `{"mediaType":"application/vnd.dev.sigstore.bundle…`.',
  ],
  SIGNATURE_INVALID: [
    'The publisher signs with a new key: compare the fingerprint in the message with what the publisher announces, by another way than the bucket.',
    'Trust is given for another method than the publisher uses; the message names both.',
    'The bundle was changed after signing. Nothing but a new signature helps, and you want to know who did it.',
  ],
  CERT_CHAIN_INVALID: [
    'The CA is another one than the publisher’s: the message says who issued the signing certificate.',
    'Only an intermediate certificate was given: the self-signed root has to be among the given ones.',
    'The certificate may not sign code (its key usage or extended key usage says so): have another one issued.',
  ],
  CERT_EXPIRED: [
    'Certificates live shorter than models. Sign with a timestamp (`--timestamp-url`), and give `--timestamp-authority` when verifying.',
    'The clock of the node is wrong: the message shows the time that was compared.',
  ],
  LOG_PROOF_INVALID: [
    'The bundle is from a private Sigstore and was compared with the public one: give `--trust-config` or `--trusted-root`.',
    'The log has started a new shard since this image was built: take a newer image, or `--tuf-refresh`.',
    'The log entry is about another signature: the bundle was put together from parts.',
  ],
  TIMESTAMP_INVALID: [
    'The authority that dated the signature is not among `--timestamp-authority`.',
    'A policy asks for a timestamp (`requireTimestamp`), and the bundle has none that is trusted.',
  ],
  SIGNER_UNTRUSTED: [
    'The workflow, branch or e-mail of the signer changed. The message shows the actual one; identities are compared whole, letter by letter.',
    'The issuer is another one: `https://github.com/login/oauth` for people, `https://token.actions.githubusercontent.com` for workflows.',
    'Somebody who may sign signed a model that is not theirs.',
  ],
  ALGORITHM_REFUSED: ['The signer is an old or home-made tool.', 'A policy narrows hashes or key types (`hashes`, `keyTypes`).'],
  LIMIT_EXCEEDED: [
    'The model really is that large: raise the limit in the message. Limits exist so that a hostile store cannot fill memory and disk.',
    'Something else lies at the address of the bundle.',
  ],
  DIGEST_MISMATCH: [
    'A file was replaced without signing again: compare the upload times of the file and of `model.sig`.',
    'The upload broke off, or a tool changed the file on the way (line ends, Git LFS pointers in place of the files).',
    'A branch of the hub moved while it was being downloaded: name a commit.',
    'Somebody changed the file. Keep a copy before you restore it.',
  ],
  SIZE_MISMATCH: ['As DIGEST_MISMATCH; seen by the length alone, where the signer recorded ranges (shards).'],
  DIGEST_NOT_PINNED: [
    'A new version was published under the same path: pin it when you mean it.',
    'An older, genuinely signed version was put back: that is the attack the pin is for.',
    'The pin is the digest of one file. A model’s digest is what `sign` and `digest` print.',
  ],
  DIGEST_DENIED: ['This version was withdrawn (see [incidents](how-to/incident.md)).'],
  SIGNED_TOO_EARLY: [
    'The signature is by a key and has no timestamp, so nobody vouches for its age.',
    'The model is older than the policy accepts: sign it again.',
  ],
  THRESHOLD_NOT_MET: [
    'The second bundle is missing: rules name it under `bundles`.',
    'The second person signed other content: all bundles have to say the same of all files.',
    'The same person signed twice; a threshold counts people.',
  ],
  POLICY_NO_RULE: [
    'The source is spelled differently in the rule: the message shows the name that is compared.',
    'A local path was expected to be a `pvc://` name: that holds below `/mnt/pvc/CLAIM` only.',
  ],
  POLICY_DENIED: [
    'A flag makes the check weaker, and the policy does not tolerate that: leave the flag out, or have the policy say so.',
    'A file’s name is on the deny list, or the S3 or hub endpoint is not listed under `endpoints`.',
  ],
  FILE_MISSING: [
    'The upload is incomplete, or files were deleted to save space.',
    '`--include` or `--exclude` do not cause this: they choose among what is signed.',
  ],
  FILE_UNSIGNED: [
    'A tool left something behind (`.cache/huggingface`: `--ignore-hub-metadata`).',
    'A volume is used for more than the model: use a directory below the mount point, or `--prune`.',
    'Somebody put code beside the weights, and servers that trust remote code would run it.',
  ],
  FILE_TYPE: ['The model is a Hugging Face cache, whose files are links: `verify --hub-cache`.', 'A file was replaced by a link to somewhere else.'],
  NAME_INVALID: ['An archive from another system was unpacked with the wrong encoding of names.'],
  MODEL_EMPTY: ['The volume is not mounted, or the path is one level too high or too low.'],
  PATH_UNSAFE: ['Somebody tries to write outside the destination. Keep the bundle or archive, and tell the publisher.'],
  ARCHIVE_INVALID: [
    'The upload broke off.',
    'The archive holds what programs read in different ways (names that come twice, encrypted members): make it again with plain `tar` or `zip`.',
  ],
  FORMAT_DENIED: [
    'Old models keep weights in pickle: convert them to safetensors.',
    'The list of allowed formats is shorter than the model needs: `model-gate scan` shows every file’s format.',
  ],
  FORMAT_MALFORMED: ['The upload broke off: then the digest is wrong as well.', 'A file hides its format from scanners on purpose.'],
  PICKLE_IMPORT: [
    'The file runs code when it is loaded. With `os`, `posix`, `subprocess` or `builtins.eval` that is an attack.',
    'A training framework pickled objects of its own: export plain weights.',
  ],

  USAGE: ['A word is mistyped, or belongs to another command: `model-gate COMMAND --help` shows what applies.'],
  CONFIG_INVALID: ['A value is mistyped in a flag, variable or file; the message says which. `--dry-run` shows where each value comes from.'],
  POLICY_INVALID: ['The policy has a mistyped key, or names a signer that it does not define: `model-gate policy check FILE` says the same without a model.'],
  PLAN_CONTRADICTION: ['A default in the environment or the configuration file is contradicted by a flag: `--dry-run` shows both.'],
  TRUST_METHOD_MISSING: [
    'The ConfigMap with the key or identity is optional, and is not there in this namespace.',
    'A variable is empty: empty variables count as unset.',
  ],
  ANCHORS_INVALID: [
    'The ConfigMap or Secret is mounted elsewhere, or its key has another name.',
    'The wrong file was given: a private key, a certificate in place of a key, DER in place of PEM.',
  ],
  ANCHORS_UNPINNED: ['Whoever can replace the model could replace the key beside it. Put the key into a ConfigMap, or pin it with `#sha256=`.'],
  SIGNING_KEY_INVALID: [
    'The key is RSA or Ed25519, which OMS does not allow.',
    'The key is encrypted: `--password-file`.',
    'The certificate belongs to another key.',
  ],
  MODEL_NOT_FOUND: ['The claim is mounted under another path, or in the server’s container only.'],

  SOURCE_NOT_FOUND: ['The bucket or repository is mistyped, or in another account or at another endpoint.'],
  SOURCE_DENIED: [
    'The role may not read this prefix: it needs `s3:GetObject` on the objects, nothing else.',
    'The object is missing, and S3 does not tell those who may not list.',
    'The hub’s model is gated: accept its terms, set `HF_TOKEN`.',
  ],
  CREDENTIALS_MISSING: [
    'The service account has no role (IRSA, Pod Identity), or the pod does not use it: `serviceAccountName`.',
    'The Secret’s keys have other names than `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.',
    'Signing keyless: the job may not ask for a token (`permissions: id-token: write`).',
  ],
  SOURCE_UNAVAILABLE: [
    'A network policy or a mesh whose proxy is not up yet: init containers run before sidecars unless these are native.',
    'The proxy variables (`HTTPS_PROXY`, `NO_PROXY`) are missing or too wide.',
    'The server is down or limits requests: fewer `--connections`.',
  ],
  SOURCE_TIMEOUT: [
    'The network drops packets instead of refusing them: security groups, network policies.',
    'The model is large for `--timeout`: verified files are kept, the next start goes on.',
  ],
  TLS_FAILED: [
    'The server’s CA is private: mount it, and give `--ca-bundle`.',
    'A proxy opens TLS connections: give its CA.',
    'The clock of the node is wrong.',
  ],
  SOURCE_CHANGED: ['The model was published anew under the same path during the download: publish versions under paths of their own.'],
  SIGNING_SERVICE_FAILED: [
    'The token is for another audience or instance.',
    'The services of a private instance do not belong together: name them by one `--trust-config`.',
  ],
  ANCHORS_UNREACHABLE: ['The pod may reach the model store, but not the server of the key: use a ConfigMap.'],
  TUF_UNAVAILABLE: ['There is no way out to the TUF repository: leave `--tuf-refresh` out, or give `--trusted-root` as a file.'],

  NO_SPACE: [
    '`sizeLimit` of the emptyDir or the claim is smaller than the model.',
    'With `--unpack` archive and model are there at the same time.',
    'The node’s disk is full with other pods’ data.',
  ],
  READ_ONLY: [
    'The mount says `readOnly: true` in the init container (it belongs to the server’s).',
    'The volume belongs to another user: set `fsGroup` in the pod’s securityContext.',
  ],
  DESTINATION_DIFFERS: ['A claim holds an earlier version: use a directory per version, or `--replace`.'],
  IO: ['Storage fails or is detached: look at the events of the node and the claim.', 'The directory of `--report` does not exist.'],
  PUBLISH_FAILED: [
    'Another process changes the volume at the same time.',
    'Storage does not support renaming; object store mounts are no place to publish to.',
  ],

  INTERNAL: ['Nothing you did. Please open an issue with the log, which holds no secrets, and the version (`--version`).'],
  CANCELLED: ['The pod was deleted or evicted, or somebody pressed Ctrl-C. What was verified is kept for the next start.'],
};
