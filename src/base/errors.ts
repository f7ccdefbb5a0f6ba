// SPDX-License-Identifier: Apache-2.0
import { inWords } from './inWords.ts';

/**
 * What a failure means for the operator. The exit code says what to do, the reason code says why.
 * `restart` tells whether starting again, unchanged, can give another answer.
 */
export const EXIT = {
  ok: 0,
  rejected: 1,
  request: 2,
  source: 3,
  volume: 4,
  internal: 70,
  interrupted: 130,
  terminated: 143,
} as const;

type Category = 'rejected' | 'request' | 'source' | 'volume' | 'internal' | 'cancelled';

type Row = { readonly category: Category; readonly meaning: string; readonly hint: string };

/** The one table of reason codes. docs/reference/exit-codes.md is generated from it. */
export const CATALOGUE = {
  // exit 1: do not run this model; trying again gives the same answer
  UNSIGNED: row('rejected', 'There is no bundle for this model.', 'Sign the model first, or point --bundle at the bundle (model.sig).'),
  BUNDLE_MALFORMED: row('rejected', 'The bundle is not a well-formed OMS bundle.', 'Sign the model again and publish the new bundle.'),
  SIGNATURE_INVALID: row(
    'rejected',
    'The signature does not verify with the given trust.',
    'Check that the key, certificate or identity is the publisher’s; if it is, the bundle was altered.',
  ),
  CERT_CHAIN_INVALID: row(
    'rejected',
    'The signing certificate does not chain to a given anchor.',
    'Give the root CA that issued the signing certificate with --ca.',
  ),
  CERT_EXPIRED: row(
    'rejected',
    'The signing certificate is outside its validity period.',
    'Check the clock of this node. Then: sign again with a valid certificate, sign with a timestamp and give --timestamp-authority, or accept the risk with --allow-expired-certificate.',
  ),
  LOG_PROOF_INVALID: row(
    'rejected',
    'The transparency log entry does not prove this signature.',
    'If the log is new, update the trusted root (--trusted-root or --tuf-refresh); otherwise the bundle was altered.',
  ),
  TIMESTAMP_INVALID: row('rejected', 'The signed timestamp does not verify.', 'Give the authority with --timestamp-authority, or sign again.'),
  SIGNER_UNTRUSTED: row(
    'rejected',
    'The signature is genuine, but not by the expected signer.',
    'Compare the actual signer in this message with what you expect; change the flag only if you know that signer.',
  ),
  ALGORITHM_REFUSED: row(
    'rejected',
    'The bundle uses an algorithm that OMS does not allow.',
    'Sign again with an EC key (P-256, P-384, P-521) and sha256, blake2b or blake3.',
  ),
  LIMIT_EXCEEDED: row('rejected', 'Something is larger than the limits allow.', 'If the size is genuine, raise the limit named in this message.'),
  DIGEST_MISMATCH: row(
    'rejected',
    'A file’s content is not what was signed.',
    'Restore the file from the publisher, or have the publisher sign the new content.',
  ),
  SIZE_MISMATCH: row('rejected', 'A file’s length is not what was signed.', 'Restore the file from the publisher, or have the publisher sign the new content.'),
  DIGEST_NOT_PINNED: row(
    'rejected',
    'The model is genuinely signed, but it is not one of the pinned ones.',
    'Update --expect-digest if this version is the one you mean; otherwise somebody swapped the model.',
  ),
  DIGEST_DENIED: row(
    'rejected',
    'The model is genuinely signed, but the policy denies this version.',
    'Deploy another version; the policy says why this one is denied.',
  ),
  SIGNED_TOO_EARLY: row(
    'rejected',
    'The signature is older than the policy accepts, or nobody vouches for its time.',
    'Deploy a newer version, or have it signed with a timestamp (or keyless) so that its time is proven.',
  ),
  THRESHOLD_NOT_MET: row('rejected', 'Fewer distinct signers have signed than the policy asks for.', 'Have the missing signers sign the same content.'),
  POLICY_NO_RULE: row('rejected', 'No rule of the policy is about this model.', 'Add a rule for its source, or deploy it from a source that has one.'),
  POLICY_DENIED: row('rejected', 'The policy does not accept this model or this request.', 'Compare the model with the rule named in this message.'),
  FILE_MISSING: row('rejected', 'A signed file is not there.', 'Upload the whole model again; every signed file is needed.'),
  FILE_UNSIGNED: row(
    'rejected',
    'There are files that nobody signed.',
    'Remove them, sign the model with them, or pass --ignore-paths / --ignore-unsigned-files (verify) or --prune (pull).',
  ),
  FILE_TYPE: row(
    'rejected',
    'Something in the model is not a regular file.',
    'Replace links and special files by regular files, or pass --allow-symlinks if they were signed so.',
  ),
  NAME_INVALID: row('rejected', 'A file’s name cannot stand in a manifest.', 'Rename the file: names have to be valid UTF-8, with parts of at most 255 bytes.'),
  MODEL_EMPTY: row('rejected', 'There is nothing to sign, or to scan.', 'Is this the right path? Empty folders do not count, nor do ignored files.'),
  PATH_UNSAFE: row(
    'rejected',
    'The manifest, or the archive, names a path that must not be written.',
    'Do not use this bundle or archive: no honest publisher makes such names.',
  ),
  ARCHIVE_INVALID: row(
    'rejected',
    'The archive is damaged, or made to be read in two ways.',
    'Make the archive again (tar, gzip or zip, without encryption), sign it and upload it.',
  ),
  FORMAT_DENIED: row(
    'rejected',
    'A file is of a format that the policy does not allow.',
    'Publish the model in an allowed format (safetensors), or allow the format named in this message.',
  ),
  FORMAT_MALFORMED: row(
    'rejected',
    'A file is not what its format demands, or cannot be judged within the limits.',
    'Write the file again with its usual library; packed or hidden parts are never accepted.',
  ),
  PICKLE_IMPORT: row(
    'rejected',
    'Loading a file would import code that plain weights do not need.',
    'Convert the model to safetensors; allow the import only if you would run that code as a program.',
  ),

  // exit 2: the request is wrong
  USAGE: row('request', 'The command line is wrong.', 'See model-gate --help.'),
  CONFIG_INVALID: row('request', 'A configured value is wrong.', 'Correct the value named in this message.'),
  POLICY_INVALID: row('request', 'The policy cannot be read or used.', 'Correct what this message names; model-gate policy check FILE says the same.'),
  PLAN_CONTRADICTION: row('request', 'Two settings contradict each other.', 'Remove one of them.'),
  TRUST_METHOD_MISSING: row(
    'request',
    'Nothing says whom to trust.',
    'Give exactly one of --public-key, --ca, or --identity with --issuer (or their MODEL_GATE_… variables).',
  ),
  ANCHORS_INVALID: row('request', 'The trust material cannot be read or used.', 'Check the key, certificate or trusted root named in this message.'),
  ANCHORS_UNPINNED: row(
    'request',
    'The trust material comes from a place that must not vouch for itself.',
    'Take it from elsewhere (a file, a ConfigMap), or pin it: append #sha256= and what sha256sum prints for it.',
  ),
  SIGNING_KEY_INVALID: row(
    'request',
    'The signing key or certificate cannot be used.',
    'Give an EC private key (P-256, P-384, P-521) in PEM, and the certificate of that key.',
  ),
  MODEL_NOT_FOUND: row('request', 'The model path does not exist here.', 'Is the volume or claim mounted at that path in this container?'),

  // exit 3: the source; trying again may help
  SOURCE_NOT_FOUND: row('source', 'The bucket, repository or file does not exist.', 'Check the URI and the endpoint.'),
  SOURCE_DENIED: row('source', 'The source refuses access.', 'Check the credentials; without ListBucket permission S3 also answers 403 for a missing object.'),
  CREDENTIALS_MISSING: row(
    'source',
    'No usable credentials were found.',
    'Provide credentials (environment, service account, web identity) or set MODEL_GATE_S3_ANONYMOUS=true for a public bucket.',
  ),
  SOURCE_UNAVAILABLE: row(
    'source',
    'The source cannot be reached or fails.',
    'Check network policy, proxy, DNS and the server; a service mesh proxy may not be up during init containers.',
  ),
  SOURCE_TIMEOUT: row('source', 'The source is too slow.', 'Check the network; raise --connect-timeout, --stall-timeout or --timeout.'),
  TLS_FAILED: row(
    'source',
    'The TLS connection to the source cannot be trusted.',
    'Give the private CA with --ca-bundle, or correct the host name or the clock.',
  ),
  SOURCE_CHANGED: row('source', 'The object changed while it was being downloaded.', 'Start again; publish models under a new path instead of overwriting.'),
  SIGNING_SERVICE_FAILED: row(
    'source',
    'A signing service refuses, or answers with something that cannot go into a bundle.',
    'Check the address of the service and the identity token; no bundle was written.',
  ),
  ANCHORS_UNREACHABLE: row('source', 'The trust material cannot be downloaded.', 'Check the URI, or mount the material as a file.'),
  TUF_UNAVAILABLE: row('source', 'The trusted root cannot be updated.', 'Check the network to the TUF repository, or use --trusted-root FILE.'),

  // exit 4: this pod's volume
  NO_SPACE: row('volume', 'The volume is too small.', 'Enlarge the volume (emptyDir sizeLimit, PVC size) to at least 1.2 × the model.'),
  READ_ONLY: row('volume', 'The destination cannot be written.', 'Mount the volume read-write in this container, with permissions for its user (fsGroup).'),
  DESTINATION_DIFFERS: row('volume', 'Another model stands in the destination.', 'Use an empty volume or a subdirectory per version, or pass --replace.'),
  IO: row('volume', 'Reading or writing the volume failed.', 'Check the volume and the node’s storage.'),
  PUBLISH_FAILED: row('volume', 'The verified model could not be moved into place.', 'Check the volume; the next start resumes.'),

  INTERNAL: row('internal', 'A defect in model-gate.', 'Please report it with the log.'),
  CANCELLED: row('cancelled', 'Stopped by a signal.', 'Nothing to do: the next start resumes.'),
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof CATALOGUE;

/** Facts of a failure, for people and machines: what, where, expected, found. Never a secret. */
export type ErrorContext = {
  readonly op?: string;
  readonly uri?: string;
  readonly path?: string;
  readonly expected?: string;
  readonly found?: string;
  /** First offending names, and how many there are in all. */
  readonly names?: readonly string[];
  readonly count?: number;
  readonly status?: number;
  /** Whether the transfer engine may try the same thing again. */
  readonly retry?: 'no' | 'again' | 'relocate';
  readonly retryAfterMs?: number;
};

/** The one class of expected failure. `message` is one line without secrets; `hint` says what to do now. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, options: { hint?: string; context?: ErrorContext; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.hint = options.hint ?? CATALOGUE[code].hint;
    this.context = options.context ?? {};
  }
}

/** An AppError in a form that crosses thread boundaries and goes into reports. */
export type SerialisedError = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly context: ErrorContext;
};

export function serialiseError(error: unknown): SerialisedError {
  const e = asAppError(asVolumeError(error));
  return { code: e.code, message: e.message, hint: e.hint, context: e.context };
}

export function deserialiseError(e: SerialisedError): AppError {
  return new AppError(e.code, e.message, { hint: e.hint, context: e.context });
}

/** Anything that was thrown, as an AppError; what nobody foresaw is INTERNAL. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

/** Maps a file system failure on the destination to its reason. @throws never */
export function fromSystemError(error: unknown, what: string, context: ErrorContext = {}): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof SuppressedError) return fromSystemError(error.suppressed, what, context);
  const errno = systemErrorCode(error);
  const message = `${what}: ${errno === undefined ? String(error instanceof Error ? error.message : error) : inWords(errno)}`;
  const options = { context, cause: error };
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError('NO_SPACE', message, options);
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new AppError('READ_ONLY', message, options);
    default:
      return errno === undefined ? asAppError(error) : new AppError('IO', message, options);
  }
}

/**
 * What a volume failed with where nobody has said what for: an error of a system call. Also where disposing failed over another error, which is
 * then the one that counts. Anything else stays what it is.
 */
export function asVolumeError(error: unknown): unknown {
  if (error instanceof SuppressedError) return asVolumeError(error.suppressed);
  const isCall = error instanceof Error && !(error instanceof AppError) && 'errno' in error && 'syscall' in error;
  return isCall ? fromSystemError(error, `the volume failed at ${error.syscall}`) : error;
}

export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function exitCodeOf(code: ErrorCode, signal?: 'SIGINT' | 'SIGTERM'): number {
  switch (CATALOGUE[code].category) {
    case 'rejected':
      return EXIT.rejected;
    case 'request':
      return EXIT.request;
    case 'source':
      return EXIT.source;
    case 'volume':
      return EXIT.volume;
    case 'internal':
      return EXIT.internal;
    case 'cancelled':
      return signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  }
}

/** Several failures: a bug wins, then 1 over 3 over 4 over 2; cancellation only when there is nothing else. */
export function worstError(errors: readonly AppError[]): AppError | undefined {
  const rank: Record<Category, number> = { internal: 0, rejected: 1, source: 2, volume: 3, request: 4, cancelled: 5 };
  return [...errors].sort((a, b) => rank[CATALOGUE[a.code].category] - rank[CATALOGUE[b.code].category])[0];
}

function row(category: Category, meaning: string, hint: string): Row {
  return { category, meaning, hint };
}
