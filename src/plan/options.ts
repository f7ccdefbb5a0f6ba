// SPDX-License-Identifier: Apache-2.0

/** How an option is written and what it becomes. Sizes are bytes, durations milliseconds. */
type Kind = 'text' | 'list' | 'flag' | 'integer' | 'size' | 'duration' | 'choice';

export type Option = {
  readonly group: 'Signing' | 'Trust' | 'Policy' | 'Bundle and checks' | 'Source' | 'Transfer and limits' | 'Destination' | 'Watching' | 'Output';
  readonly kind: Kind;
  readonly help: string;
  readonly commands: readonly Command[];
  readonly default?: string | number | boolean;
  readonly choices?: readonly string[];
  /** Values are masked in --dry-run. */
  readonly secret?: boolean;
  /** Only a flag and a variable: not for the configuration file. */
  readonly notInFile?: boolean;
  /** Only a variable: a flag would show a secret to everybody who can list processes. */
  readonly variableOnly?: boolean;
  /** Setting it makes the check weaker than the default; every report lists it. */
  readonly relaxes?: boolean;
};

export type Command = 'pull' | 'verify' | 'watch' | 'sign' | 'digest' | 'inspect' | 'scan' | 'report';

/** What checks is one of two; watch is verify again and again. */
const BOTH: readonly Command[] = ['pull', 'verify', 'watch'];
const VERIFY: readonly Command[] = ['verify', 'watch'];
const WATCH: readonly Command[] = ['watch'];
const PULL: readonly Command[] = ['pull'];
const SIGN: readonly Command[] = ['sign'];
/** Commands that hash what nobody has signed yet. */
const HASHING: readonly Command[] = ['sign', 'digest'];
/** Commands that talk to servers. */
const REACHING: readonly Command[] = [...BOTH, ...SIGN];
const TRUSTING: readonly Command[] = [...BOTH, 'inspect'];
const SCANNING: readonly Command[] = [...BOTH, 'scan'];
const WALKING: readonly Command[] = [...BOTH, ...HASHING];
const SCAN: readonly Command[] = ['scan'];
const REPORT: readonly Command[] = ['report'];
/** Commands that list a model, by its manifest or by what is there. */
const LISTING: readonly Command[] = [...WALKING, 'inspect', ...SCAN];
const JSON_OUTPUT: readonly Command[] = ['digest', 'inspect', ...SCAN];
const ALL: readonly Command[] = ['pull', 'verify', 'watch', 'sign', 'digest', 'inspect', ...SCAN, ...REPORT];

/** Every option, declared once: flags, MODEL_GATE_… variables, the configuration file, --help and the reference docs come from this table. */
export const OPTIONS = {
  'private-key': text('Signing', 'EC private key (PEM: file or text; P-256, P-384 or P-521) to sign with', SIGN),
  'password-file': text('Signing', 'File with the password of the private key', SIGN),
  password: { ...text('Signing', 'Password of the private key', SIGN), secret: true, variableOnly: true, notInFile: true },
  'signing-certificate': text('Signing', 'sign certificate: the certificate (PEM: file or text) of the private key', SIGN),
  'identity-token-file': text('Signing', 'sign sigstore: file with the OIDC identity token (default: SIGSTORE_ID_TOKEN, or that of GitHub Actions)', SIGN),
  'identity-token': { ...text('Signing', 'sign sigstore: the OIDC identity token (better as a variable than as a flag)', SIGN), secret: true, notInFile: true },
  'token-audience': text('Signing', 'sign sigstore: audience for which GitHub Actions is asked for a token', SIGN, 'sigstore'),
  'fulcio-url': text('Signing', 'sign sigstore: certificate authority of a private instance (default: the public-good one); needs --rekor-url', SIGN),
  'rekor-url': text('Signing', 'sign sigstore: transparency log (Rekor v1) of a private instance (default: the public-good one); needs --fulcio-url', SIGN),
  'signing-config': text('Signing', 'sign sigstore: SigningConfig with the services of an instance, in place of the two URLs', SIGN),
  'timestamp-url': text('Signing', 'RFC 3161 timestamp authority (its full URL) that dates the signature; any method', SIGN),
  signature: text('Signing', 'Where the bundle goes (default: model.sig in the model, FILE.sig beside a single file)', HASHING),
  hash: choice('Signing', 'Hash of the files', 'sha256', ['sha256', 'blake2b', 'blake3'], HASHING),
  'shard-size': optionalSize('Signing', 'List stretches of files of this many bytes in place of whole files (default: whole files)', HASHING),

  'public-key': list('Trust', 'Public key (PEM: file, directory, text or URI) that signs the model; repeatable', TRUSTING),
  ca: list('Trust', 'CA certificates (PEM) the signer must chain to: self-signed ones are anchors, others only help; repeatable', TRUSTING),
  'certificate-chain': list(
    'Trust',
    'Another name for --ca; both may be given. sign: certificates between the signing certificate and the root, put into the bundle; repeatable',
    [...TRUSTING, ...SIGN],
  ),
  'certificate-identity': list('Trust', 'Subject or alternative name the signing certificate must have, exactly; repeatable', TRUSTING),
  'timestamp-authority': list('Trust', 'CA certificates of RFC 3161 timestamp authorities that may prove the time of signing; repeatable', TRUSTING),
  'allow-expired-certificate': relaxing('Trust', 'Accept a signing certificate that has expired since (checked at the start of its validity)', TRUSTING),
  identity: list('Trust', 'Sigstore: e-mail or workflow URI of the signer, exactly; repeatable; needs --issuer', TRUSTING),
  'identity-regexp': list('Trust', 'Sigstore: pattern for the whole identity of the signer; repeatable; needs --issuer', TRUSTING),
  issuer: list('Trust', 'Sigstore: OIDC issuer that vouches for the identity, exactly; one for all, or one per identity', TRUSTING),
  'trusted-root': text('Trust', 'Sigstore: trusted_root.json in place of the embedded public-good root; sign: the new bundle has to verify with it', [
    ...TRUSTING,
    ...SIGN,
  ]),
  'trust-config': text('Trust', 'Sigstore: ClientTrustConfig of a private instance, in place of the embedded root; sign: its services, too', [
    ...TRUSTING,
    ...SIGN,
  ]),
  'tuf-refresh': flag('Trust', 'Sigstore: fetch the current trusted root from its TUF repository first', false, TRUSTING),
  'tuf-mirror': text('Trust', 'TUF repository for --tuf-refresh (default: the public-good one)', TRUSTING),
  'tuf-root': text('Trust', 'TUF root.json to start from, for another repository than the public-good one', TRUSTING),
  'tuf-cache': text('Trust', 'Directory for TUF metadata (default: a temporary one)', TRUSTING),

  policy: text('Policy', 'Policy file (path, https:// URI, or the YAML text itself), intersected with the floor policy of the image', BOTH),
  'model-name': text('Policy', 'What this deployment calls the model: rules of the policy can be chosen by it', BOTH),
  mode: choice('Policy', 'What a refusal by flags means; warn lets the model through and says so', 'enforce', ['enforce', 'warn', 'off'], BOTH),
  'signed-after': text('Policy', 'Accept only signatures made after this time (2026-01-31T12:00:00Z), by a trusted log or timestamp', BOTH),
  'require-timestamp': flag('Policy', 'Accept only signatures with a timestamp by a trusted authority', false, BOTH),
  format: list('Policy', 'What happens to files of a format: FORMAT=deny, FORMAT=warn or FORMAT=allow; stronger than --allow-formats; repeatable', SCANNING),
  'allow-formats': text('Policy', 'Accept only files of these formats (formats.md), separated by commas; scan: plain data by default', SCANNING),

  bundle: text('Bundle and checks', 'The bundle (path or URI), where it is not model.sig beside the model', BOTH),
  'expect-digest': list('Bundle and checks', 'Root digest sha256:… the model must have, against swapped models; repeatable', BOTH),
  include: list('Bundle and checks', 'Only signed files that match this glob; repeatable', BOTH),
  exclude: list('Bundle and checks', 'No signed files that match this glob; repeatable', BOTH),
  'ignore-paths': {
    ...list(
      'Bundle and checks',
      'Path below the model that need not be signed; sign: that is left out, which the bundle records; scan: that is not looked at; repeatable',
      [...WALKING, ...SCAN],
    ),
    relaxes: true,
  },
  'ignore-git-paths': flag('Bundle and checks', 'Do not look at .git, .gitignore, .gitattributes and .github at the top', true, [...WALKING, ...SCAN]),
  'ignore-hub-metadata': relaxing('Bundle and checks', 'Do not look at .cache/huggingface, which downloads from the hub leave behind', BOTH),
  'ignore-unsigned-files': relaxing('Bundle and checks', 'Accept files that nobody signed beside the signed ones', BOTH),
  'allow-symlinks': relaxing(
    'Bundle and checks',
    'Accept symbolic links to signed content, also where the signer did not; sign: follow links, which the bundle records',
    WALKING,
  ),
  'hub-cache': relaxing('Bundle and checks', 'The model is snapshots/COMMIT of a Hugging Face cache: follow links into its blobs, and no others', VERIFY),

  header: { ...list('Source', "HTTP header 'Name: value' for the model's server; repeatable", BOTH), secret: true },
  'bearer-token-file': text('Source', 'File with a bearer token for the model’s server, read again for every request', BOTH),
  'basic-auth': { ...text('Source', "'user:password' for the model’s server (better as a variable than as a flag)", BOTH), secret: true },
  'netrc-file': text('Source', 'File in netrc form with login and password for the model’s server', BOTH),
  'ca-bundle': text('Source', 'File with CA certificates (PEM) of the model’s server (sign: of the signing services), beside the system’s', REACHING),
  'insecure-skip-tls-verify': relaxing('Source', 'Do not check the certificate of the model’s server (trust material is always checked)', BOTH),
  's3-endpoint': text('Source', 'S3 endpoint URL (also AWS_ENDPOINT_URL)', BOTH),
  's3-region': text('Source', 'S3 region (also AWS_REGION, AWS_DEFAULT_REGION)', BOTH),
  's3-addressing': choice('Source', 'How buckets are addressed', 'auto', ['auto', 'path', 'virtual'], BOTH),
  's3-anonymous': flag('Source', 'Send unsigned requests to a public bucket', false, BOTH),
  's3-accelerate': flag('Source', 'Use S3 transfer acceleration', false, BOTH),
  's3-requester-pays': flag('Source', 'Pay for the requests, as buckets with requester pays want it', false, BOTH),
  'hf-endpoint': text('Source', 'Hugging Face hub of hf:// models, or a mirror (also HF_ENDPOINT)', BOTH, 'https://huggingface.co'),
  'pvc-root': text('Source', 'Where claims of pvc://CLAIM/PATH are mounted', ALL, '/mnt/pvc'),

  'connect-timeout': duration('Transfer and limits', 'Longest time to connect', '10s', REACHING),
  'stall-timeout': duration('Transfer and limits', 'Longest silence of a server', '60s', REACHING),
  timeout: duration('Transfer and limits', 'Longest time for everything; watch: for each check (default: none)', undefined, ALL),
  'max-rate': optionalSize('Transfer and limits', 'Most bytes that are read in a second, to leave the disk to others (default: no limit)', VERIFY),
  connections: integer('Transfer and limits', 'Most connections, and files fetched at the same time (1 to 64)', 16, PULL),
  'http-reader': choice('Transfer and limits', 'Who reads plain HTTP answers; library: the HTTP library reads all', 'auto', ['auto', 'library'], BOTH),
  'max-bundle-size': size('Transfer and limits', 'Largest bundle', '64MiB', TRUSTING),
  'max-entries': integer('Transfer and limits', 'Most entries of a manifest or a model directory', 1_000_000, LISTING),
  'max-file-size': size('Transfer and limits', 'Largest file', '1TiB', WALKING),
  'max-unpacked-size': size('Transfer and limits', 'Most bytes that an archive unpacks to, all members together', '1TiB', PULL),
  'max-unpack-ratio': integer('Transfer and limits', 'Most bytes that an archive unpacks to for each of its own (64 MiB are always allowed)', 100, PULL),

  unpack: flag(
    'Destination',
    'Unpack a model that is one .tar, .tar.gz, .tgz or .zip; when called as KServe calls (without a command) this is the default',
    false,
    PULL,
  ),
  replace: flag('Destination', 'Replace another model on a mount point, file by file (not atomic)', false, PULL),
  prune: flag('Destination', 'Remove files from the destination that nobody signed', false, PULL),
  'keep-bundle': flag('Destination', 'Publish the bundle beside the model', true, PULL),

  interval: duration('Watching', 'Time from the end of a check to the next', '10m', WATCH),
  share: text('Watching', 'Share n/t of the bytes that a check by the clock reads, in turn; what has changed is always read', WATCH, '1/1'),
  'poll-interval': duration('Watching', 'How often sizes, times and inodes are looked at, for changes that the kernel does not report', '30s', WATCH),
  grace: duration(
    'Watching',
    'How long trouble with source or volume may last, beyond the time a check takes, before the model counts as unverified',
    '5m',
    WATCH,
  ),
  'on-failure': choice('Watching', 'What happens beside /ready when the model is not verified any more', 'unready', ['unready', 'exit', 'gate-file'], WATCH),
  'max-failures': integer('Watching', 'With --on-failure exit: end after so many refusals in a row', 1, WATCH),
  'gate-file': text('Watching', 'With --on-failure gate-file: a file that is there only while the model is verified', WATCH),
  'sticky-readiness': relaxing('Watching', 'Stay ready after the first success, whatever happens later', WATCH),
  'health-port': integer('Watching', 'Port for probes, metrics and the page', 9464, WATCH),
  'health-address': text('Watching', 'Address to listen at (default: all, as the kubelet probes from outside)', WATCH),

  'log-format': choice('Output', 'Form of the log on standard error; auto: human on a terminal, else plain', 'auto', ['auto', 'human', 'plain', 'json'], ALL),
  quiet: flag('Output', 'Log only warnings, refusals and failures', false, ALL),
  verbose: flag('Output', 'Log every file, too', false, ALL),
  json: { ...flag('Output', 'Print the result as JSON', false, JSON_OUTPUT), notInFile: true },
  html: { ...flag('Output', 'Print the report as one HTML page that needs nothing else', false, REPORT), notInFile: true },
  output: { ...text('Output', 'Write to this file in place of standard output', REPORT), notInFile: true },
  report: text('Output', 'Write the full JSON evidence to this file', BOTH),
  'termination-log': text('Output', 'Where Kubernetes reads the termination message', BOTH, '/dev/termination-log'),
  config: { ...text('Output', 'Read options from this YAML or JSON file', ALL), notInFile: true },
  'dry-run': { ...flag('Output', 'Print the resolved plan, and where each value comes from, and do nothing', false, ALL), notInFile: true },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<O> = O extends { readonly kind: 'list' }
  ? readonly string[]
  : O extends { readonly kind: 'flag' }
    ? boolean
    : O extends { readonly kind: 'integer' | 'size'; readonly default: unknown }
      ? number
      : O extends { readonly kind: 'duration' | 'size' }
        ? number | undefined
        : O extends { readonly kind: 'choice' }
          ? string
          : string | undefined;

/** Resolved values by option name. */
export type Values = { readonly [K in OptionName]: ValueOf<(typeof OPTIONS)[K]> };

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

export function optionOf(name: OptionName): Option {
  return OPTIONS[name];
}

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** `public-key` → `MODEL_GATE_PUBLIC_KEY`. */
export function envName(name: string): string {
  return `MODEL_GATE_${name.replaceAll('-', '_').toUpperCase()}`;
}

function list<G extends Option['group']>(group: G, help: string, commands: readonly Command[]) {
  return { group, kind: 'list', help, commands } as const;
}

function text<G extends Option['group']>(group: G, help: string, commands: readonly Command[], fallback?: string) {
  return { group, kind: 'text', help, commands, ...(fallback !== undefined && { default: fallback }) } as const;
}

function flag<G extends Option['group']>(group: G, help: string, fallback: boolean, commands: readonly Command[]) {
  return { group, kind: 'flag', help, commands, default: fallback } as const;
}

function relaxing<G extends Option['group']>(group: G, help: string, commands: readonly Command[]) {
  return { ...flag(group, help, false, commands), relaxes: true } as const;
}

function choice<G extends Option['group']>(group: G, help: string, fallback: string, choices: readonly string[], commands: readonly Command[]) {
  return { group, kind: 'choice', help, commands, default: fallback, choices } as const;
}

function integer<G extends Option['group']>(group: G, help: string, fallback: number, commands: readonly Command[]) {
  return { group, kind: 'integer', help, commands, default: fallback } as const;
}

function size<G extends Option['group']>(group: G, help: string, fallback: string, commands: readonly Command[]) {
  return { group, kind: 'size', help, commands, default: fallback } as const;
}

function optionalSize<G extends Option['group']>(group: G, help: string, commands: readonly Command[]) {
  return { group, kind: 'size', help, commands } as const;
}

function duration<G extends Option['group']>(group: G, help: string, fallback: string | undefined, commands: readonly Command[]) {
  return { group, kind: 'duration', help, commands, ...(fallback !== undefined && { default: fallback }) } as const;
}
