// SPDX-License-Identifier: Apache-2.0
// node restricted.ts FILE…: would Pod Security "restricted" admit these pods, and do they keep our own rules?
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted */
const ALLOWED_VOLUMES = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'];

const SecurityContext = v.object({
  runAsNonRoot: v.optional(v.boolean()),
  runAsUser: v.optional(v.number()),
  privileged: v.optional(v.boolean()),
  allowPrivilegeEscalation: v.optional(v.boolean()),
  readOnlyRootFilesystem: v.optional(v.boolean()),
  capabilities: v.optional(v.object({ drop: v.optional(v.array(v.string()), []), add: v.optional(v.array(v.string()), []) }), {}),
  seccompProfile: v.optional(v.object({ type: v.string() })),
  procMount: v.optional(v.string()),
});
const Quantities = v.optional(v.record(v.string(), v.union([v.string(), v.number()])), {});
const Container = v.object({
  name: v.string(),
  image: v.string(),
  securityContext: v.optional(SecurityContext, {}),
  resources: v.optional(v.object({ requests: Quantities, limits: Quantities }), {}),
  ports: v.optional(v.array(v.object({ hostPort: v.optional(v.number()) })), []),
  terminationMessagePolicy: v.optional(v.string()),
  restartPolicy: v.optional(v.string()),
});
const PodSpec = v.object({
  hostNetwork: v.optional(v.boolean()),
  hostPID: v.optional(v.boolean()),
  hostIPC: v.optional(v.boolean()),
  automountServiceAccountToken: v.optional(v.boolean()),
  securityContext: v.optional(SecurityContext, {}),
  initContainers: v.optional(v.array(Container), []),
  containers: v.array(Container),
  volumes: v.optional(v.array(v.looseObject({ name: v.string() })), []),
});
const Document = v.variant('kind', [
  v.object({ kind: v.literal('Pod'), metadata: v.object({ name: v.string() }), spec: PodSpec }),
  v.object({ kind: v.picklist(['Deployment', 'Job']), metadata: v.object({ name: v.string() }), spec: v.object({ template: v.object({ spec: PodSpec }) }) }),
]);

type Container = v.InferOutput<typeof Container>;
type PodSpec = v.InferOutput<typeof PodSpec>;

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;

async function main(files: readonly string[]): Promise<boolean> {
  let pods = 0;
  let wrong = 0;
  for (const file of files) {
    for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
      const parsed = v.safeParse(Document, document.toJS());
      if (!parsed.success) {
        // A document of another kind has no pod; one of these kinds has to be understood.
        if (parsed.issues.every((issue) => issue.path?.[0]?.key === 'kind')) continue;
        throw new Error(`${file}: ${v.summarize(parsed.issues)}`);
      }
      const { metadata } = parsed.output;
      const spec = parsed.output.kind === 'Pod' ? parsed.output.spec : parsed.output.spec.template.spec;
      const problems = [...podSecurity(spec), ...houseRules(spec)];
      console.log(`${problems.length === 0 ? 'ok   ' : 'WRONG'} ${file.replace(/^.*\//, '')} ${parsed.output.kind} ${metadata.name}`);
      for (const problem of problems) console.log(`      ${problem}`);
      pods++;
      if (problems.length > 0) wrong++;
    }
  }
  console.log(`${pods - wrong} of ${pods} pods pass`);
  return pods > 0 && wrong === 0;
}

function podSecurity(spec: PodSpec): readonly string[] {
  const problems: string[] = [];
  if (spec.hostNetwork === true || spec.hostPID === true || spec.hostIPC === true) problems.push('uses a namespace of the host');
  for (const { name, ...source } of spec.volumes) {
    const kinds = Object.keys(source);
    if (kinds.length === 0 || kinds.some((kind) => !ALLOWED_VOLUMES.includes(kind))) problems.push(`volume ${name} is ${kinds.join(', ')}`);
  }
  for (const container of containersOf(spec)) for (const problem of containerSecurity(container, spec)) problems.push(`${container.name}: ${problem}`);
  return problems;
}

function containerSecurity(container: Container, spec: PodSpec): readonly string[] {
  const own = container.securityContext;
  const pod = spec.securityContext;
  const seccomp = (own.seccompProfile ?? pod.seccompProfile)?.type;
  const rules: readonly (readonly [boolean, string])[] = [
    [own.privileged !== true, 'is privileged'],
    [own.allowPrivilegeEscalation === false, 'may escalate privileges'],
    [own.capabilities.drop.includes('ALL'), 'keeps capabilities'],
    [own.capabilities.add.every((name) => name === 'NET_BIND_SERVICE'), 'adds capabilities'],
    [(own.runAsNonRoot ?? pod.runAsNonRoot) === true, 'may run as root'],
    [(own.runAsUser ?? pod.runAsUser) !== 0, 'runs as root'],
    [seccomp === 'RuntimeDefault' || seccomp === 'Localhost', 'has no seccomp profile'],
    [own.procMount === undefined || own.procMount === 'Default', 'has an unmasked /proc'],
    [container.ports.every((port) => port.hostPort === undefined), 'takes a port of the host'],
  ];
  return rules.filter(([holds]) => !holds).map(([, problem]) => problem);
}

/** What Pod Security does not ask for and every pod of ours has. */
function houseRules(spec: PodSpec): readonly string[] {
  const problems: string[] = [];
  if (spec.automountServiceAccountToken !== false) problems.push('mounts a service account token nobody needs');
  if (spec.securityContext.runAsUser !== undefined) problems.push('insists on a UID, which OpenShift refuses');
  for (const { name, ...source } of spec.volumes) {
    const scratch = v.safeParse(v.object({ emptyDir: v.object({ sizeLimit: v.optional(v.string()) }) }), source);
    if (scratch.success && scratch.output.emptyDir.sizeLimit === undefined) problems.push(`volume ${name} may fill the node`);
  }
  for (const container of containersOf(spec)) {
    const { requests, limits } = container.resources;
    for (const resource of ['cpu', 'memory', 'ephemeral-storage']) {
      if (requests[resource] === undefined || limits[resource] === undefined) problems.push(`${container.name}: no request or limit of ${resource}`);
    }
    if (container.securityContext.readOnlyRootFilesystem !== true) problems.push(`${container.name}: writable root filesystem`);
    if (!/:[^/]+$/.test(container.image) || container.image.endsWith(':latest')) problems.push(`${container.name}: image without a fixed tag`);
  }
  const sidecar = spec.initContainers.findIndex(({ restartPolicy }) => restartPolicy === 'Always');
  if (sidecar !== -1 && spec.initContainers.slice(sidecar).some(({ restartPolicy }) => restartPolicy !== 'Always')) {
    problems.push('a sidecar comes before an init container, and would wait for what that one brings');
  }
  // The gate is an init container, or all there is of a Job's pod.
  for (const container of [...spec.initContainers, ...spec.containers.filter(({ name }) => name.startsWith('model-gate'))]) {
    if (container.terminationMessagePolicy !== 'FallbackToLogsOnError') problems.push(`${container.name}: a killed process would leave no message`);
    if (container.securityContext.runAsUser !== undefined) problems.push(`${container.name}: insists on a UID, which OpenShift refuses`);
  }
  return problems;
}

function containersOf(spec: PodSpec): readonly Container[] {
  return [...spec.initContainers, ...spec.containers];
}
