// SPDX-License-Identifier: Apache-2.0
import * as v from 'valibot';
import { parseAllDocuments, stringify } from 'yaml';
import { must, run } from '../../../test/e2e/pods/process.ts';
import type { ConfigMaps } from './place.ts';

/** `gate` and `server` are built, the others come from a registry. */
export type Images = { readonly gate: string; readonly server: string; readonly busybox: string; readonly s3: string };

export type Settings = {
  readonly images: Images;
  /** Pods share the machine's loopback in place of a cluster network. */
  readonly ports: { readonly server: number; readonly source: number; readonly watch: number };
  readonly terminationLog: string;
};

/** Podman has one set of names for all pods and volumes; the namespace keeps ours apart. */
export const PREFIX = 'ml-workshop';

const Entry = v.looseObject({ name: v.string() });
const Reference = v.optional(v.looseObject({ name: v.string() }));
const Container = v.looseObject({
  name: v.string(),
  image: v.string(),
  restartPolicy: v.optional(v.string()),
  env: v.optional(
    v.array(
      v.looseObject({
        name: v.string(),
        value: v.optional(v.string()),
        valueFrom: v.optional(v.strictObject({ configMapKeyRef: Reference, secretKeyRef: Reference })),
      }),
    ),
    [],
  ),
  command: v.optional(v.array(v.string())),
  volumeMounts: v.optional(v.array(Entry), []),
});
const Volume = v.looseObject({
  name: v.string(),
  persistentVolumeClaim: v.optional(v.looseObject({ claimName: v.string() })),
  configMap: v.optional(v.looseObject({ name: v.string() })),
});
const Pod = v.object({
  kind: v.literal('Pod'),
  metadata: v.looseObject({ name: v.string() }),
  spec: v.looseObject({ initContainers: v.optional(v.array(Container), []), containers: v.array(Container), volumes: v.array(Volume) }),
});
const Secret = v.object({ kind: v.literal('Secret'), metadata: v.object({ name: v.string() }), stringData: v.record(v.string(), v.string()) });
type Container = v.InferOutput<typeof Container>;
type Pod = v.InferOutput<typeof Pod>;

/** What `kubectl apply -k` would send; kubectl can do it without a cluster. */
export async function render(folder: string): Promise<string> {
  const alone = await run('kustomize', ['build', folder]).catch(() => undefined);
  return alone?.code === 0 ? alone.stdout : must('kubectl', ['kustomize', folder]);
}

/** The pods among the documents, as podman plays them, with the ConfigMaps beside them. */
export function adapt(documents: string, configMaps: ConfigMaps, settings: Settings): string {
  const pods = parseAllDocuments(documents)
    .map((document) => v.safeParse(Pod, document.toJS()))
    .flatMap((parsed) => (parsed.success ? [podmanPod(parsed.output, settings)] : []));
  const trust = Object.entries(configMaps).map(([name, data]) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: own(name) }, data }));
  return [...trust, ...pods].map((document) => stringify(document, { lineWidth: 0 })).join('---\n');
}

/** The Secrets among the documents, by their names on podman, which wants them before the pods that use them. */
export function secretsOf(documents: string): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const parsed = parseAllDocuments(documents).map((document) => v.safeParse(Secret, document.toJS()));
  return new Map(parsed.flatMap(({ success, output }) => (success ? [[own(output.metadata.name), output.stringData] as const] : [])));
}

function podmanPod({ metadata, spec }: Pod, settings: Settings): unknown {
  const name = own(metadata.name);
  // An emptyDir is podman's volume of that bare name, shared by all pods that have one called so.
  const volume = (bare: string): string => `${name}-${bare}`;
  const container = (found: Container): unknown => ({
    ...found,
    restartPolicy: undefined,
    image: imageOf(found.image, settings.images),
    readinessProbe: undefined, // podman would only log them
    startupProbe: undefined,
    ports: undefined,
    command: found.command?.map((word) => (word === ':7070' ? `127.0.0.1:${settings.ports.source}` : word)),
    env: [
      ...found.env.map(({ value, valueFrom, ...variable }) => ({
        ...variable,
        ...(value !== undefined && { value: value.replace('//model-source:7070', `//127.0.0.1:${settings.ports.source}`) }),
        ...(valueFrom && { valueFrom: Object.fromEntries(Object.entries(valueFrom).map(([kind, of]) => [kind, of && { ...of, name: own(of.name) }])) }),
      })),
      ...(found.name === 'inference' ? [variable('HOST', '127.0.0.1'), variable('PORT', String(settings.ports.server))] : []),
      ...(found.name === 'model-watch'
        ? [variable('MODEL_GATE_HEALTH_ADDRESS', '127.0.0.1'), variable('MODEL_GATE_HEALTH_PORT', String(settings.ports.watch))]
        : []),
    ],
    volumeMounts: [
      ...found.volumeMounts.map((mount) => ({ ...mount, name: volume(mount.name) })),
      ...(found.name === 'model-validation' ? [{ name: 'termination-log', mountPath: '/dev/termination-log' }] : []),
    ],
  });
  // Podman knows no native sidecars: it would wait for one to end. An ordinary container does the same work, without holding anybody back.
  const sidecars = spec.initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations: { 'io.podman.annotations.init.container.type': 'always' } }, // keeps the log of one that succeeded
    spec: {
      ...spec,
      restartPolicy: 'Never', // podman would start a failing one again at once, for ever
      hostNetwork: true,
      initContainers: spec.initContainers.filter((init) => !sidecars.includes(init)).map(container),
      containers: [...spec.containers, ...sidecars].map(container),
      volumes: [
        ...spec.volumes.map(({ persistentVolumeClaim: claim, configMap, ...rest }) => ({
          ...rest,
          name: volume(rest.name),
          ...(claim && { persistentVolumeClaim: { claimName: own(claim.claimName) } }),
          ...(configMap && { configMap: { name: own(configMap.name) } }),
        })),
        { name: 'termination-log', hostPath: { path: settings.terminationLog, type: 'File' } },
      ],
    },
  };
}

function own(name: string): string {
  return `${PREFIX}-${name}`;
}

function variable(name: string, value: string): unknown {
  return { name, value };
}

function imageOf(name: string, images: Images): string {
  if (name.startsWith('model-gate-workshop-server:')) return images.server;
  if (name.startsWith('docker.io/versity/versitygw:')) return images.s3;
  return name.startsWith('model-gate:') ? images.gate : images.busybox;
}
