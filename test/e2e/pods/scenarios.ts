// SPDX-License-Identifier: Apache-2.0
import type { Images, Overlay, PatchOperation, PodmanPod, Trust } from './manifests.ts';
import { kservePod, render } from './manifests.ts';
import { type ModelName, type Models, policyFor } from './models.ts';
import { S3_CREDENTIALS } from './servers.ts';
import type { Anchors } from './signOtherwise.ts';

/** Where the sources of the scenarios are. */
export type World = {
  readonly models: Models;
  readonly images: Images;
  readonly nginx: string;
  readonly s3: string;
  readonly nowhere: string;
  /** A hub with the keyless models in it. */
  readonly hub: string;
  readonly claim: string;
  /** What vouches for the models that no key signed. */
  readonly anchors: Anchors;
};

export type Scenario = {
  readonly title: string;
  readonly source: string;
  readonly trust: string;
  readonly manifest: (folder: string, pod: PodmanPod) => Promise<string> | string;
  /** Where the server finds the model, below the volume. */
  readonly served: string;
  /** What stands in the destination volume afterwards is checked where the gate writes to it. */
  readonly mode: 'pull' | 'verify';
  /** `rule`: the rule that decided, as the termination message names it. */
  readonly expect: { readonly exitCode: number; readonly reason: string; readonly rule?: string };
};

/** What podman cannot do, and where it is tested in its stead. */
export const NOT_PLAYED: readonly (Pick<Scenario, 'source' | 'trust' | 'title'> & { readonly why: string })[] = [
  { source: 's3', trust: 'sigstore', title: 'the role of a service account (IRSA)', why: 'needs EKS; its requests: test/source/s3.test.ts' },
  { source: 's3', trust: 'certificate', title: 'EKS Pod Identity', why: 'needs EKS; its requests: test/source/s3.test.ts' },
  { source: 'any', trust: 'sigstore', title: 'the public-good instance', why: 'takes no signatures from tests; alike: the private instance above' },
  { source: 'claim', trust: 'key', title: 'the sidecar that watches', why: 'no native sidecars in podman; beside a server: workshop, exercise 11' },
  { source: 's3', trust: 'key', title: 'a claim that replicas share', why: 'podman ignores subPath; alike: examples, node-cache' },
];

const VERIFIED = { exitCode: 0, reason: 'verified' };
const SOMEBODY_ELSE = { exitCode: 1, reason: 'SIGNER_UNTRUSTED' };
const DEST = '/mnt/models/model';
export const HUB_REVISION = 'v1';

/** Every pod the image has to hold back or let through. */
export function scenarios(world: World): readonly Scenario[] {
  const { models } = world;
  const publisher = { kind: 'key', text: models.publicKey } as const;
  const stranger = { kind: 'key', text: models.otherPublicKey } as const;
  const shipped = (title: string, overlay: Overlay, expect: Scenario['expect'], served = 'model'): Scenario => ({
    title,
    source: sourceOf(overlay),
    trust: overlay.trust.kind,
    manifest: (folder, pod) => render(folder, overlay, world.images, pod),
    served,
    mode: overlay.args[0] === 'verify' ? 'verify' : 'pull',
    expect,
  });
  const certified = { kind: 'certificate', text: world.anchors.ca } as const;
  const keyless = { kind: 'sigstore', text: world.anchors.trustedRoot } as const;
  const policy = (checks: string): string => policyFor(models.publicKey, checks);
  const trial = `${policyFor(models.otherPublicKey, '')}mode: warn\n`;
  const wanted = policy(`digests: { allow: ["${models.goodDigest}"] }`);
  const http = (model: string, trust: Trust = publisher): Overlay => ({ source: 'http', trust, args: ['pull', `${world.nginx}/models/${model}/`, DEST] });
  const s3 = (model: string, trust: Trust = publisher): Overlay => ({ source: 's3', trust, args: ['pull', `s3://models/${model}/`, DEST] });
  const hf = (model: string): Overlay => ({
    source: 'hf',
    trust: keyless,
    args: ['pull', `hf://example-org/${model}@${HUB_REVISION}`, DEST],
    patch: [{ op: 'add', path: '/spec/initContainers/0/env/-', value: { name: 'HF_ENDPOINT', value: world.hub } }],
  });
  const pvc = (model: string, trust: Trust = publisher): Overlay => ({
    source: 'pvc',
    trust,
    args: ['verify', `/mnt/models/${model}`],
    patch: [{ op: 'replace', path: '/spec/volumes/1/persistentVolumeClaim/claimName', value: world.claim }],
  });
  const BY_KSERVE = { source: 's3', trust: 'key', mode: 'pull' } as const;
  const kserve =
    (model: ModelName): Scenario['manifest'] =>
    (_folder, pod) =>
      kservePod([`s3://models/${model}`, '/mnt/models'], s3Environment(world), models.publicKey, world.images, pod);

  // KServe's webhook makes the URI out of the storage spec, and hands the secret over as it is.
  const storageSpec =
    (uri: string): Scenario['manifest'] =>
    (_folder, pod) =>
      kservePod([uri, '/mnt/models'], storageEnvironment(world), models.publicKey, world.images, pod);

  const operator = (command: string, model: ModelName): Overlay => asOperator(pvc(model), command, `/mnt/models/${model}`, models.mountedKeys);

  return [
    shipped('a good model on a claim, verified in place', pvc('good'), VERIFIED, 'good'),
    shipped("a good model, under Node's permission model", permitted(pvc('good')), VERIFIED, 'good'),
    shipped("one flipped byte, under Node's permission model", permitted(pvc('tampered')), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('a good model from a claim, copied', copied(world, pvc('good')), VERIFIED),
    shipped('a good model from a web server', http('good'), VERIFIED),
    shipped('a good model from S3', s3('good'), VERIFIED),
    shipped('a good model from a hub', hf('keyless'), VERIFIED),
    shipped('a changed file, hub', hf('keyless-changed'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('a good model, certified', http('certified', certified), VERIFIED),
    shipped('a good model in a bucket, certified', s3('certified', certified), VERIFIED),
    shipped('a good model on a claim, certified', pvc('certified', certified), VERIFIED, 'certified'),
    shipped('a changed file, certified', s3('certified-changed', certified), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped("certified under somebody else's name", named(http('certified', certified), 1, 'MODEL_GATE_CERTIFICATE_IDENTITY'), SOMEBODY_ELSE),
    shipped('certified, but only a key is trusted', http('certified'), { exitCode: 1, reason: 'SIGNATURE_INVALID' }),
    shipped('a good model, keyless', http('keyless', keyless), VERIFIED),
    shipped('a good model in a bucket, keyless', s3('keyless', keyless), VERIFIED),
    shipped('a good model on a claim, keyless', pvc('keyless', keyless), VERIFIED, 'keyless'),
    shipped('a changed file, keyless', pvc('keyless-changed', keyless), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped("keyless, under somebody else's identity", named(http('keyless', keyless), 0, 'MODEL_GATE_IDENTITY'), SOMEBODY_ELSE),
    shipped('a trial: no rule trusts the key, served and told', http('good', { kind: 'warn', text: trial }), { exitCode: 0, reason: 'warned' }),
    shipped('a good model, any UID of group 0', { ...http('good'), patch: ANY_UID }, VERIFIED),
    shipped('a good model, keys mounted as the kubelet does', { ...http('good'), patch: mountedKeys(models.mountedKeys) }, VERIFIED),
    { title: 'a good model from S3, called as KServe does', manifest: kserve('good'), served: '', ...BY_KSERVE, expect: VERIFIED },
    { title: "a good model by KServe's storage spec", manifest: storageSpec('s3://models/good'), served: '', ...BY_KSERVE, expect: VERIFIED },
    { title: "a signed archive by KServe's storage spec", manifest: storageSpec('s3://models/archive.tar.gz'), served: '', ...BY_KSERVE, expect: VERIFIED },
    {
      title: "a changed archive by KServe's storage spec",
      manifest: storageSpec('s3://models/changed/archive.tar.gz'),
      served: '',
      ...BY_KSERVE,
      expect: { exitCode: 1, reason: 'DIGEST_MISMATCH' },
    },
    {
      title: "two models in KServe's pairs",
      manifest: (_folder, pod) =>
        kservePod(
          ['s3://models/good', '/mnt/models/base', 's3://models/good', '/mnt/models/lora'],
          storageEnvironment(world),
          models.publicKey,
          world.images,
          pod,
        ),
      served: 'base',
      ...BY_KSERVE,
      expect: VERIFIED,
    },
    shipped('a good model, as the operator calls the reference', operator('model_signing', 'good'), VERIFIED, 'good'),
    shipped('a good model, as the operator calls its agent', operator('validation-agent', 'good'), VERIFIED, 'good'),
    shipped('one flipped byte, as the operator calls the reference', operator('model_signing', 'tampered'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('one flipped byte, as the operator calls its agent', operator('validation-agent', 'tampered'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('one flipped byte, claim', pvc('tampered'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('one flipped byte, web server', http('tampered'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    shipped('one flipped byte, S3', s3('tampered'), { exitCode: 1, reason: 'DIGEST_MISMATCH' }),
    {
      title: 'one flipped byte, called as KServe does',
      manifest: kserve('tampered'),
      served: '',
      ...BY_KSERVE,
      expect: { exitCode: 1, reason: 'DIGEST_MISMATCH' },
    },
    shipped('a damaged bundle', http('broken-bundle'), { exitCode: 1, reason: 'BUNDLE_MALFORMED' }),
    shipped('a signed file is missing on the claim', pvc('incomplete'), { exitCode: 1, reason: 'FILE_MISSING' }),
    shipped('no bundle, web server', http('unsigned'), { exitCode: 1, reason: 'UNSIGNED' }),
    shipped('no bundle, S3', s3('unsigned'), { exitCode: 1, reason: 'UNSIGNED' }),
    shipped('signed with another key', http('good', stranger), { exitCode: 1, reason: 'SIGNATURE_INVALID' }),
    shipped('a genuine model, but not the pinned one', pinned(http('good'), `sha256:${'0'.repeat(64)}`), { exitCode: 1, reason: 'DIGEST_NOT_PINNED' }),
    shipped('a genuine model, swapped: not what the policy pins', policed(http('swapped'), wanted), {
      exitCode: 1,
      reason: 'DIGEST_NOT_PINNED',
      rule: 'policy: served',
    }),
    shipped('the model that the policy pins', policed(http('good'), wanted), {
      ...VERIFIED,
      rule: 'policy: served',
    }),
    shipped('a pickle that nobody signed, claim', pvc('planted'), { exitCode: 1, reason: 'FILE_UNSIGNED' }),
    shipped('a pickle that nobody signed, web server', http('planted'), VERIFIED),
    shipped('a signed pickle, by flag', flagged(http('pickle'), '--format', 'pickle=deny'), { exitCode: 1, reason: 'FORMAT_DENIED' }),
    shipped('a signed pickle, by policy', policed(http('pickle'), policy('formats: { deny: [pickle] }')), {
      exitCode: 1,
      reason: 'FORMAT_DENIED',
      rule: 'policy: served',
    }),
    shipped('a signed pickle on the claim, by policy', policed(pvc('pickle'), policy('formats: { deny: [pickle] }')), {
      exitCode: 1,
      reason: 'FORMAT_DENIED',
      rule: 'policy: served',
    }),
    shipped('a signed pickle that runs commands', policed(http('pickle'), policy('formats: { warn: [unknown], allow: [pickle, json, text] }')), {
      exitCode: 1,
      reason: 'PICKLE_IMPORT',
      rule: 'policy: served',
    }),
    shipped("a signed pickle, allowed by the pod's flag but not by the floor", floored(flagged(http('pickle'), '--format', 'pickle=allow'), models.floor), {
      exitCode: 1,
      reason: 'FORMAT_DENIED',
      rule: 'floor: served',
    }),
    shipped('nobody says whom to trust', http('good', { kind: 'none' }), { exitCode: 2, reason: 'TRUST_METHOD_MISSING' }),
    shipped(
      'the web server is down',
      { ...http('good'), args: ['pull', `${world.nowhere}/models/good/`, DEST] },
      { exitCode: 3, reason: 'SOURCE_UNAVAILABLE' },
    ),
  ];
}

/** OpenShift's way: a UID nobody knows, group 0. */
const ANY_UID: readonly PatchOperation[] = [
  { op: 'add', path: '/spec/securityContext/runAsUser', value: 12345 },
  { op: 'add', path: '/spec/securityContext/runAsGroup', value: 0 },
];

/** ConfigMaps are plain files on podman; on a node they are links. */
function mountedKeys(folder: string): readonly PatchOperation[] {
  return [
    { op: 'add', path: '/spec/volumes/-', value: { name: 'mounted-keys', hostPath: { path: folder, type: 'Directory' } } },
    { op: 'add', path: '/spec/initContainers/0/volumeMounts/-', value: { name: 'mounted-keys', mountPath: '/mounted-keys', readOnly: true } },
    { op: 'replace', path: '/spec/initContainers/0/env/0', value: { name: 'MODEL_GATE_PUBLIC_KEY', value: '/mounted-keys' } },
  ];
}

/** docs/supply-chain.md, with the paths of the shipped manifests. */
function permitted(inPlace: Overlay): Overlay {
  const readable = ['/app/*', '/etc/model-gate/*', '/proc/*', '/trust/*', '/mnt/models/*'].map((path) => `--allow-fs-read=${path}`);
  const command = ['/nodejs/bin/node', '--permission', '--allow-worker', ...readable, '--allow-fs-write=/dev/termination-log', '/app/dist/main.js'];
  return { ...inPlace, patch: [...(inPlace.patch ?? []), { op: 'add', path: '/spec/initContainers/0/command', value: command }] };
}

/** The model-validation operator's exact command and argv: the image's entry point does not count, the model comes last. */
function asOperator(inPlace: Overlay, command: string, model: string, keys: string): Overlay {
  return {
    ...inPlace,
    args: ['verify', 'key', `--signature=${model}/model.sig`, '--public_key', '/mounted-keys/publisher.pem', model],
    patch: [...(inPlace.patch ?? []), ...mountedKeys(keys), { op: 'add', path: '/spec/initContainers/0/command', value: [`/usr/local/bin/${command}`] }],
  };
}

function sourceOf({ source, args }: Overlay): string {
  if (args.some((argument) => argument.startsWith('pvc:'))) return 'claim';
  return source === 'pvc' ? 'claim' : String(source);
}

/** The trust component's variable at that place, with another name in it. */
function named(overlay: Overlay, index: number, name: string): Overlay {
  return { ...overlay, patch: [{ op: 'replace', path: `/spec/initContainers/0/env/${index}`, value: { name, value: 'somebody@example.com' } }] };
}

function pinned(overlay: Overlay, digest: string): Overlay {
  return { ...overlay, args: [...overlay.args, '--expect-digest', digest] };
}

function flagged(overlay: Overlay, ...flags: readonly string[]): Overlay {
  return { ...overlay, args: [...overlay.args, ...flags] };
}

/** The operator's own policy, as text in a variable. */
function policed(overlay: Overlay, policy: string): Overlay {
  return {
    ...overlay,
    patch: [...(overlay.patch ?? []), { op: 'add', path: '/spec/initContainers/0/env/-', value: { name: 'MODEL_GATE_POLICY', value: policy } }],
  };
}

/** The platform's policy, mounted where the image looks for it. */
function floored(overlay: Overlay, folder: string): Overlay {
  return {
    ...overlay,
    patch: [
      ...(overlay.patch ?? []),
      { op: 'add', path: '/spec/volumes/-', value: { name: 'floor', hostPath: { path: folder, type: 'Directory' } } },
      { op: 'add', path: '/spec/initContainers/0/volumeMounts/-', value: { name: 'floor', mountPath: '/etc/model-gate', readOnly: true } },
    ],
  };
}

/** The claim beside an emptyDir instead of in its place, under the path that pvc:// stands for. */
function copied(world: World, inPlace: Overlay): Overlay {
  return {
    ...inPlace,
    source: 'http',
    args: ['pull', `pvc://${world.claim}/good`, DEST],
    patch: [
      { op: 'add', path: '/spec/volumes/-', value: { name: 'source', persistentVolumeClaim: { claimName: world.claim, readOnly: true } } },
      { op: 'add', path: '/spec/initContainers/0/volumeMounts/-', value: { name: 'source', mountPath: `/mnt/pvc/${world.claim}`, readOnly: true } },
    ],
  };
}

/** All that KServe's webhook sets for `storage: {key, parameters}`: the secret, what the service says over it, and its tuning. */
function storageEnvironment(world: World): Record<string, string> {
  const secret = {
    type: 's3',
    bucket: 'models',
    endpoint_url: world.nowhere,
    region: 'us-east-1',
    access_key_id: S3_CREDENTIALS.accessKeyId,
    secret_access_key: S3_CREDENTIALS.secretAccessKey,
    anonymous: 'False',
  };
  return {
    STORAGE_CONFIG: JSON.stringify(secret),
    STORAGE_OVERRIDE_CONFIG: JSON.stringify({ endpoint_url: world.s3 }),
    HF_XET_NUM_CONCURRENT_RANGE_GETS: '8',
    S3_MAX_FILE_CONCURRENCY: '4',
    S3_CONNECT_TIMEOUT: '15',
    S3_READ_TIMEOUT: '30',
    CA_BUNDLE_VOLUME_MOUNT_POINT: '/etc/ssl/custom-certs',
  };
}

/** The names KServe sets: AWS_DEFAULT_REGION, never AWS_REGION. */
function s3Environment(world: World): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: world.s3,
    AWS_DEFAULT_REGION: 'us-east-1',
    S3_USE_HTTPS: '0',
    AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
  };
}
