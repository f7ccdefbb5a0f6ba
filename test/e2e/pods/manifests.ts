// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import * as v from 'valibot';
import { parse, stringify } from 'yaml';
import { must } from './process.ts';

const K8S = new URL('../../../k8s', import.meta.url).pathname;
const EXAMPLES = new URL('../../../examples', import.meta.url).pathname;

export type Images = { readonly gate: string; readonly server: string };

/** What a scenario changes in a shipped manifest, the way a user's own overlay would. */
export type Overlay = {
  readonly source: Source | { readonly example: string };
  readonly trust: Trust;
  readonly args: readonly string[];
  /** JSON patch operations on the pod, from its spec on. */
  readonly patch?: readonly PatchOperation[];
};

export type Source = 's3' | 'http' | 'pvc' | 'hf' | 'node-cache';

/** What the ConfigMap of the trust component holds, or no trust component at all. */
export type Trust = { readonly kind: 'key' | 'certificate' | 'sigstore' | 'warn'; readonly text: string } | { readonly kind: 'none' };

export type PatchOperation = { readonly op: 'add' | 'replace' | 'remove'; readonly path: string; readonly value?: unknown };

/** The pod's name and what podman cannot take from the manifest: see docs/image.md. */
export type PodmanPod = { readonly name: string; readonly port: number; readonly terminationLog: string };

/** Renders the shipped kustomization with the scenario's changes, and the pod of its Deployment. It is called `<pod.name>-model-server`. */
export async function render(folder: string, overlay: Overlay, images: Images, pod: PodmanPod): Promise<string> {
  const target = { kind: 'Deployment', name: 'model-server' };
  const patch = [{ op: 'replace', path: '/spec/initContainers/0/args', value: overlay.args }, ...(overlay.patch ?? []), ...podmanPatch(pod)];
  const inTemplate = patch.map((operation) => ({ ...operation, path: `/spec/template${operation.path}` }));
  const common = { patches: [{ target, patch: JSON.stringify(inTemplate) }] };
  const { trust, source } = overlay;
  const trusting = trust.kind !== 'none' && {
    configMapGenerator: [{ name: CONFIG_MAPS[trust.kind].name, behavior: 'replace', literals: [`${CONFIG_MAPS[trust.kind].key}=${trust.text}`] }],
  };
  const rendered = typeof source === 'object' ? { resources: [join(EXAMPLES, source.example)] } : shipped(source, trust.kind);
  return kustomize(folder, pod.name, { ...rendered, ...trusting, ...common }, images);
}

/** Of each trust component. */
const CONFIG_MAPS = {
  key: { name: 'model-publisher', key: 'publisher.pem' },
  certificate: { name: 'model-publisher', key: 'root.pem' },
  sigstore: { name: 'model-publisher', key: 'trusted_root.json' },
  warn: { name: 'model-gate-policy', key: 'policy.yaml' },
} as const;

/** By source and trust. */
const OVERLAYS = new Map([
  ['s3 key', 's3'],
  ['http key', 'http'],
  ['pvc key', 'pvc'],
  ['hf sigstore', 'hf'],
  ['http warn', 'warn'],
  ['node-cache key', 'node-cache'],
]);

/** The overlay where there is one of source and trust; otherwise the components, put together as a user would. */
function shipped(source: Source, trust: Trust['kind']): Kustomization {
  const overlay = OVERLAYS.get(`${source} ${trust}`);
  if (overlay !== undefined) return { resources: [join(K8S, 'overlays', overlay)] };
  const component = { key: 'trust/key', certificate: 'trust/certificate', sigstore: 'trust/sigstore-private', warn: 'warn', none: undefined }[trust];
  const components = [`source/${source === 's3' ? 's3-keys' : source}`, ...(component === undefined ? [] : [component])];
  return { resources: [join(K8S, 'base')], components: components.map((path) => join(K8S, 'components', path)) };
}

/**
 * The quickstart's pods by their names, one manifest each, with every ConfigMap beside them. Played, they have `prefix-` before the name.
 */
export async function renderQuickstart(
  folder: string,
  images: Images,
  prefix: string,
  pods: { source: number; genuine: PodmanPod; tampered: PodmanPod },
): Promise<ReadonlyMap<string, string>> {
  const server = (variant: 'genuine' | 'tampered') => ({
    target: { kind: 'Pod', name: `model-server-${variant}` },
    patch: JSON.stringify([
      { op: 'replace', path: '/spec/initContainers/0/args/1', value: `http://127.0.0.1:${pods.source}/${variant}/` },
      ...podmanPatch(pods[variant]),
    ]),
  });
  const patches = [{ target: { kind: 'Pod', name: 'model-source' }, patch: JSON.stringify(loopbackPatch(pods.source)) }, server('genuine'), server('tampered')];
  const documents = (await kustomize(folder, prefix, { resources: [join(EXAMPLES, 'quickstart')], patches }, images)).split(SEPARATOR);
  const configMaps = documents.filter((document) => /^kind: ConfigMap$/m.test(document));
  const manifest = (name: string) => documents.filter((document) => /^kind: Pod$/m.test(document) && document.includes(`\n  name: ${prefix}-${name}\n`));
  return new Map(['model-source', 'model-server-genuine', 'model-server-tampered'].map((name) => [name, [...configMaps, ...manifest(name)].join(SEPARATOR)]));
}

/**
 * A pod as KServe's webhook makes it: bare `uri dest` pairs, configuration by environment only, no security context.
 * Also called `<pod.name>-model-server`.
 */
export function kservePod(args: readonly string[], env: Readonly<Record<string, string>>, pem: string, images: Images, pod: PodmanPod): string {
  const name = `${pod.name}-model-server`;
  const volume = `${pod.name}-kserve-provision-location`;
  const trust = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `${pod.name}-trust` }, data: { key: pem } };
  const variables = Object.entries({ HF_HUB_ENABLE_HF_TRANSFER: '1', HF_XET_HIGH_PERFORMANCE: '1', ...env }).map(([key, value]) => ({ name: key, value }));
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations: ANNOTATIONS },
    spec: {
      restartPolicy: 'Never',
      hostNetwork: true,
      initContainers: [
        {
          name: 'model-gate',
          image: images.gate,
          args,
          env: [...variables, { name: 'MODEL_GATE_PUBLIC_KEY', valueFrom: { configMapKeyRef: { name: `${pod.name}-trust`, key: 'key' } } }],
          resources: { requests: { cpu: '100m', memory: '100Mi' }, limits: { cpu: '1', memory: '1Gi' } },
          terminationMessagePolicy: 'FallbackToLogsOnError',
          volumeMounts: [{ name: volume, mountPath: '/mnt/models' }, TERMINATION_MOUNT],
        },
      ],
      containers: [
        {
          name: 'server',
          image: images.server,
          command: ['/bin/busybox', 'httpd', '-f', '-p', `127.0.0.1:${pod.port}`, '-h', '/mnt/models'],
          volumeMounts: [{ name: volume, mountPath: '/mnt/models', readOnly: true }],
        },
      ],
      volumes: [{ name: volume, emptyDir: {} }, terminationVolume(pod)],
    },
  };
  return [trust, manifest].map((document) => JSON.stringify(document)).join(SEPARATOR);
}

const SEPARATOR = '\n---\n';
const ANNOTATIONS = { 'io.podman.annotations.init.container.type': 'always' };
const TERMINATION_MOUNT = { name: 'termination-log', mountPath: '/dev/termination-log' };

function terminationVolume(pod: PodmanPod): unknown {
  return { name: 'termination-log', hostPath: { path: pod.terminationLog, type: 'File' } };
}

/** Podman has no kubelet: no termination log, no back-off, no probes; and the host's loopback is where the test's servers are. */
function podmanPatch(pod: PodmanPod): readonly PatchOperation[] {
  return [
    ...loopbackPatch(pod.port),
    { op: 'add', path: '/metadata/annotations', value: ANNOTATIONS },
    { op: 'add', path: '/spec/volumes/-', value: terminationVolume(pod) },
    { op: 'add', path: '/spec/initContainers/0/volumeMounts/-', value: TERMINATION_MOUNT },
  ];
}

function loopbackPatch(port: number): readonly PatchOperation[] {
  return [
    { op: 'add', path: '/spec/restartPolicy', value: 'Never' },
    { op: 'add', path: '/spec/hostNetwork', value: true },
    { op: 'remove', path: '/spec/containers/0/ports' },
    { op: 'remove', path: '/spec/containers/0/readinessProbe' },
    { op: 'replace', path: '/spec/containers/0/command/4', value: `127.0.0.1:${port}` },
  ];
}

type Kustomization = { readonly resources: readonly string[]; readonly components?: readonly string[] } & Readonly<Record<string, unknown>>;

/** Every name gets the prefix, because podman has one set of names for all pods. */
async function kustomize(folder: string, prefix: string, { resources, components = [], ...rest }: Kustomization, images: Images): Promise<string> {
  // A layer of its own, as what a component generates can only be replaced above it.
  await writeKustomization(join(folder, 'shipped'), { resources, components });
  await writeKustomization(folder, {
    namePrefix: `${prefix}-`,
    resources: [join(folder, 'shipped')],
    images: [image('model-gate', images.gate), image('docker.io/library/busybox', images.server)],
    ...rest,
  });
  return (await must('kustomize', ['build', folder])).split(SEPARATOR).map(podOf).map(ownVolume).join(SEPARATOR);
}

async function writeKustomization(folder: string, { resources, components = [], ...rest }: Kustomization): Promise<void> {
  const from = (path: string): string => relative(folder, path); // it takes no absolute ones
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: resources.map(from),
    components: components.map(from),
  };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify({ ...kustomization, ...rest }, null, 2));
}

const Deployment = v.object({
  kind: v.literal('Deployment'),
  metadata: v.object({ name: v.string() }),
  spec: v.object({ template: v.object({ metadata: v.looseObject({}), spec: v.looseObject({}) }) }),
});

/** Podman restarts a Deployment's containers for ever; a pod ends, and has the name it is asked for by. */
function podOf(document: string): string {
  const parsed = v.safeParse(Deployment, parse(document));
  if (!parsed.success) return document;
  const { metadata, spec } = parsed.output;
  return stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { ...spec.template.metadata, name: metadata.name }, spec: spec.template.spec }, { lineWidth: 0 });
}

/** An emptyDir is podman's volume of that bare name, shared by all pods that have one called so. */
function ownVolume(document: string): string {
  const pod = /^kind: Pod$/m.test(document) ? /^ {2}name: (\S+)$/m.exec(document)?.[1] : undefined;
  return pod === undefined ? document : document.replaceAll(/\bname: models$/gm, `name: ${pod}-models`);
}

function image(name: string, reference: string): { name: string; newName: string; newTag: string } {
  const colon = reference.lastIndexOf(':');
  return { name, newName: reference.slice(0, colon), newTag: reference.slice(colon + 1) };
}
