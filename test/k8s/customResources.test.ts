// SPDX-License-Identifier: Apache-2.0
// Kubernetes has no schemas of these: their structure is what KServe 0.20, the model-validation operator and the charts document.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { envName, OPTION_NAMES, optionOf } from '../../src/plan/options.ts';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { ruleFor } from '../../src/policy/evaluate.ts';
import { sourceName } from '../../src/policy/match.ts';
import { readPolicy } from '../../src/policy/read.ts';

const K8S = resolve(import.meta.dirname, '../../k8s');

const text = v.pipe(v.string(), v.minLength(1));
const named = v.strictObject({ name: text, key: text });
const image = v.pipe(v.string(), v.regex(/@sha256:[0-9a-f]{64}$/, 'our image goes by its digest'));
const EnvVar = v.union([
  v.strictObject({ name: text, value: v.string() }),
  v.strictObject({ name: text, valueFrom: v.union([v.strictObject({ configMapKeyRef: named }), v.strictObject({ secretKeyRef: named })]) }),
]);
const Quantities = v.strictObject({ cpu: text, memory: text });
const Resources = v.strictObject({ requests: Quantities, limits: Quantities });
const Mount = v.strictObject({
  name: text,
  mountPath: v.pipe(v.string(), v.startsWith('/')),
  subPath: v.optional(text),
  readOnly: v.optional(v.literal(true)),
});
const Restricted = v.strictObject({
  runAsNonRoot: v.literal(true),
  allowPrivilegeEscalation: v.literal(false),
  readOnlyRootFilesystem: v.literal(true),
  capabilities: v.strictObject({ drop: v.tuple([v.literal('ALL')]) }),
  seccompProfile: v.strictObject({ type: v.literal('RuntimeDefault') }),
});
/** As a ClusterStorageContainer has it: args would replace those of KServe, volumes cannot be added. */
const StorageContainer = v.strictObject({
  name: v.literal('storage-initializer'),
  image,
  imagePullPolicy: v.optional(text),
  env: v.array(EnvVar),
  /** KServe sets it where it makes the container itself. */
  terminationMessagePolicy: v.optional(v.literal('FallbackToLogsOnError')),
  resources: Resources,
  securityContext: Restricted,
});
const Gate = v.strictObject({
  name: v.picklist(['storage-initializer', 'model-gate']),
  image,
  args: v.optional(v.array(text)),
  env: v.array(EnvVar),
  terminationMessagePolicy: v.literal('FallbackToLogsOnError'),
  resources: Resources,
  securityContext: Restricted,
  volumeMounts: v.array(Mount),
});
const Volume = v.union([
  v.strictObject({ name: text, configMap: v.strictObject({ name: text }) }),
  v.strictObject({ name: text, persistentVolumeClaim: v.strictObject({ claimName: text, readOnly: v.optional(v.boolean()) }) }),
]);
const Metadata = v.strictObject({ name: text, namespace: text });
const UriFormat = v.union([v.strictObject({ prefix: text }), v.strictObject({ regex: text })]);

const ClusterStorageContainer = v.strictObject({
  apiVersion: v.literal('serving.kserve.io/v1alpha1'),
  kind: v.literal('ClusterStorageContainer'),
  metadata: v.strictObject({ name: text }),
  spec: v.strictObject({
    container: v.union([
      StorageContainer,
      v.strictObject({ name: v.literal('storage-initializer'), image: text, imagePullPolicy: text, resources: Resources }),
    ]),
    supportedUriFormats: v.pipe(v.array(UriFormat), v.minLength(1)),
    workloadType: v.optional(v.picklist(['initContainer', 'localModelDownloadJob'])),
    supportsMultiModelDownload: v.optional(v.boolean()),
  }),
});
const Model = v.strictObject({
  modelFormat: v.strictObject({ name: text }),
  storageUri: v.optional(text),
  storage: v.optional(v.strictObject({ key: text, path: text, parameters: v.record(v.string(), v.string()) })),
});
const InferenceService = v.strictObject({
  apiVersion: v.literal('serving.kserve.io/v1beta1'),
  kind: v.literal('InferenceService'),
  metadata: Metadata,
  spec: v.strictObject({
    predictor: v.strictObject({
      serviceAccountName: v.optional(text),
      automountServiceAccountToken: v.literal(false),
      storageContainerName: v.optional(text),
      storageUris: v.optional(v.array(v.strictObject({ uri: text, mountPath: v.pipe(v.string(), v.startsWith('/mnt/models/')) }))),
      model: v.optional(Model),
      initContainers: v.optional(v.array(Gate)),
      containers: v.optional(v.array(v.strictObject({ name: v.literal('kserve-container'), image: text, args: v.array(text), volumeMounts: v.array(Mount) }))),
      volumes: v.optional(v.array(Volume)),
    }),
  }),
});
const llmUri = v.pipe(v.string(), v.regex(/^(s3|hf|pvc|oci):\/\//, 'LLMInferenceService knows no other scheme'));
const LLMInferenceService = v.strictObject({
  apiVersion: v.literal('serving.kserve.io/v1alpha2'),
  kind: v.literal('LLMInferenceService'),
  metadata: Metadata,
  spec: v.strictObject({
    model: v.strictObject({ uri: llmUri, name: text, lora: v.strictObject({ adapters: v.array(v.strictObject({ name: text, uri: llmUri })) }) }),
    replicas: v.number(),
    template: v.strictObject({
      automountServiceAccountToken: v.literal(false),
      serviceAccountName: text,
      initContainers: v.tuple([Gate]),
      containers: v.tuple([v.strictObject({ name: v.literal('main'), env: v.array(EnvVar) })]),
      volumes: v.array(Volume),
    }),
  }),
});
const absolute = v.pipe(v.string(), v.regex(/^(\/|s3:\/\/|gs:\/\/|https?:\/\/)/));
const ModelValidation = v.strictObject({
  apiVersion: v.literal('ml.sigstore.dev/v1alpha1'),
  kind: v.literal('ModelValidation'),
  metadata: Metadata,
  spec: v.strictObject({
    model: v.strictObject({ path: absolute, signaturePath: absolute }),
    // The CRD's own rule: exactly one of the methods.
    config: v.union([
      v.strictObject({ publicKeyConfig: v.strictObject({ keyPath: absolute }) }),
      v.strictObject({ pkiConfig: v.strictObject({ certificateAuthority: absolute }) }),
      v.strictObject({ sigstoreConfig: v.strictObject({ certificateIdentity: text, certificateOidcIssuer: text }) }),
    ]),
    imagePullPolicy: v.optional(v.picklist(['Always', 'IfNotPresent', 'Never'])),
    continuousValidation: v.optional(v.strictObject({ enabled: v.boolean(), interval: v.pipe(v.string(), v.regex(/^\d+[mh]$/)) })),
  }),
});
const PolicyMap = v.object({ metadata: v.object({ namespace: text }), data: v.object({ 'policy.yaml': text }) });
const Custom = v.variant('kind', [ClusterStorageContainer, InferenceService, LLMInferenceService, ModelValidation]);

const custom = [
  'kserve/storage-containers',
  'kserve/default/storage-containers',
  'kserve/local-model-cache/storage-container',
  'kserve/inference-services',
  'kserve/llm-inference-services',
  'operator/validations',
].flatMap((file) =>
  documents(`${file}.yaml`)
    .filter(({ kind }) => kind !== 'ConfigMap')
    .map((document) => ({ file, document })),
);

/** What the stock container claims once our patch has been applied to it. */
const STOCK = v.parse(v.object({ spec: v.object({ supportedUriFormats: v.array(UriFormat) }) }), parse(read('kserve/stock-formats.yaml'))).spec;

describe('custom resources of k8s/', () => {
  it.each(custom)('have the structure their project documents: $file $document.metadata.name', ({ document }) => {
    const parsed = v.safeParse(Custom, document);
    expect(parsed.success ? '' : v.summarize(parsed.issues)).toBe('');
  });

  it.each(['s3', 'https', 'hf'])('leave oms+%s:// to one storage container, beside the patched stock one', (scheme) => {
    const claiming = [STOCK, ...storageContainers('kserve/storage-containers')].filter((spec) => claims(spec, `oms+${scheme}://models.example.com/iris/v3`));
    expect(claiming).toHaveLength(1);
    expect(STOCK).not.toBe(claiming[0]);
  });

  it.each(['s3', 'https', 'http', 'hf', 'gs', 'hdfs', 'webhdfs', 'modelscope'])('leave %s:// to one storage container, where all is gated', (scheme) => {
    expect(storageContainers('kserve/default/storage-containers').filter((spec) => claims(spec, `${scheme}://models.example.com/iris/v3`))).toHaveLength(1);
  });

  it('take nothing from the stock container that it claimed before the patch', () => {
    for (const uri of [
      'gs://a/b',
      's3://a/b',
      'hdfs://a/b',
      'hf://a/b',
      'modelscope://a/b',
      'webhdfs://a/b',
      'https://a.blob.core.windows.net/b',
      'http://a/b',
    ])
      expect(claims(STOCK, uri), uri).toBe(true);
  });

  it('have a rule in the policy of their namespace for each model they name', () => {
    const policies = documents('kserve/policies.yaml').map((document) => v.parse(PolicyMap, document));
    const models = custom.flatMap(({ document }) => sourcesOf(v.parse(Custom, document)));
    expect(models.length).toBeGreaterThan(6);
    for (const { namespace, source } of models) {
      const text = policies.find(({ metadata }) => metadata.namespace === namespace)?.data['policy.yaml'] ?? '';
      expect(ruleOf(text, source), `${source} in ${namespace}`).toBeDefined();
    }
  });
});

describe('the policies in ConfigMaps', () => {
  const maps = ['kserve/policies', 'kserve/local-model-cache/storage-container', 'admission/namespace/floor']
    .flatMap((file) => documents(`${file}.yaml`).filter(({ kind }) => kind === 'ConfigMap'))
    .map((document) => v.parse(PolicyMap, document));

  it('are policies', () => {
    expect(maps).toHaveLength(4);
    const texts = [...maps.map(({ data }) => data['policy.yaml']), read('vllm/policy.yaml'), read('components/warn/policy.yaml')];
    for (const policy of texts) expect(readPolicy(Buffer.from(policy), 'the example', 'policy').rules).not.toHaveLength(0);
  });

  it('have a rule for what LocalModelCache downloads', () => {
    const cached = maps.find(({ metadata }) => metadata.namespace === 'kserve-localmodel-jobs')?.data['policy.yaml'] ?? '';
    for (const source of ['oms+s3://models/iris/v3', 'oms+https://models.example.com/iris.tgz', 'oms+hf://example-org/iris']) {
      expect(ruleOf(cached, source), source).toBeDefined();
    }
  });
});

describe('the policy of vLLM', () => {
  it('has a rule of its own for each model of the deployment', () => {
    const [deployment] = documents('vllm/deployment.yaml');
    const { spec } = v.parse(
      v.object({ spec: v.object({ template: v.object({ spec: v.object({ initContainers: v.array(v.object({ args: v.array(text) })) }) }) }) }),
      deployment,
    );
    const rules = spec.template.spec.initContainers.map(({ args }) => ruleOf(read('vllm/policy.yaml'), args[1] ?? '')?.name);
    expect(rules).toEqual(['base model', 'adapters', 'draft model']);
  });
});

describe('values for charts', () => {
  const serverEnv = v.pipe(
    v.array(EnvVar),
    v.check(
      (list) => ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].every((name) => list.some((item) => item.name === name)),
      'the server could fetch behind the gate',
    ),
  );
  const offline = v.pipe(
    v.array(text),
    v.check((args) => args.join(' ').includes('--load-format') && !args.some((arg) => /:\/\//.test(arg)), 'the server could load something else'),
  );
  const charts = {
    'chart-vllm': v.strictObject({
      image: v.strictObject({ repository: text, tag: text, command: offline, env: serverEnv }),
      extraInit: v.strictObject({ modelDownload: v.strictObject({ enabled: v.literal(false) }), pvcStorage: text, initContainers: v.tuple([Gate]) }),
    }),
    'production-stack': v.strictObject({
      servingEngineSpec: v.strictObject({
        containerSecurityContext: v.looseObject({}),
        modelSpec: v.tuple([
          v.strictObject({
            name: text,
            repository: text,
            tag: text,
            modelURL: v.pipe(v.string(), v.startsWith('/data/')),
            replicaCount: v.number(),
            requestCPU: v.number(),
            requestMemory: text,
            requestGPU: v.number(),
            pvcStorage: v.strictObject({ emptyDir: v.strictObject({ sizeLimit: text }) }),
            initContainer: v.strictObject({
              name: v.literal('model-gate'),
              image,
              args: v.array(text),
              env: v.array(EnvVar),
              resources: Resources,
              mountPvcStorage: v.literal(true),
            }),
            vllmConfig: v.strictObject({ extraArgs: offline }),
            env: serverEnv,
          }),
        ]),
      }),
    }),
    'llm-d-modelservice': v.strictObject({
      modelArtifacts: v.strictObject({ name: text, uri: v.pipe(v.string(), v.startsWith('pvc://')), mountPath: text }),
      // The chart makes prefill pods by itself, and would make them without a gate.
      prefill: v.strictObject({ create: v.literal(false) }),
      decode: v.strictObject({
        replicas: v.number(),
        initContainers: v.tuple([Gate]),
        containers: v.tuple([
          v.strictObject({ name: text, image: text, modelCommand: text, args: offline, env: serverEnv, mountModelVolume: v.literal(true) }),
        ]),
      }),
    }),
  };

  it.each(Object.entries(charts))('use only members that the gate needs and the chart has: %s', (name, schema) => {
    const parsed = v.safeParse<v.GenericSchema>(schema, parse(read(`vllm/values/${name}.yaml`)));
    expect(parsed.success ? '' : v.summarize(parsed.issues)).toBe('');
  });
});

describe('the lists of the admission policy', () => {
  const policy = read('admission/policy.yaml');
  const flags = [...policy.matchAll(/'--([a-z0-9-]+)'/g)].map(([, name]) => name ?? '');
  const variables = [...policy.matchAll(/'(MODEL_GATE_[A-Z0-9_]+)'/g)].map(([, name]) => name ?? '');
  /** No relaxations by the table, but with them less is verified, nothing is, or a file is written where a model may be. */
  const LEFT_OUT = [
    'include',
    'exclude',
    'dry-run',
    'config',
    'report',
    'termination-log',
    'tuf-cache',
    'pvc-root',
    'ignore-git-paths',
    'http-reader',
    'mode',
    'grace',
    'health-address',
  ];

  it('have every option of pull, verify and watch that cannot weaken the gate, as a flag and as a variable, and no other', () => {
    const harmless = OPTION_NAMES.filter(
      (name) =>
        optionOf(name).commands.some((command) => ['pull', 'verify', 'watch'].includes(command)) && optionOf(name).relaxes !== true && !LEFT_OUT.includes(name),
    );
    const wanted = harmless.toSorted();
    expect([...new Set(flags)].toSorted()).toEqual(wanted);
    expect([...new Set(variables)].toSorted()).toEqual(wanted.map(envName).toSorted());
  });
});

/** KServe's way: the beginning of the URI, or an expression anywhere in it. */
function claims({ supportedUriFormats }: { readonly supportedUriFormats: readonly v.InferOutput<typeof UriFormat>[] }, uri: string): boolean {
  return supportedUriFormats.some((format) => ('prefix' in format ? uri.startsWith(format.prefix) : new RegExp(format.regex).test(uri)));
}

function storageContainers(file: string): readonly v.InferOutput<typeof ClusterStorageContainer>['spec'][] {
  return documents(`${file}.yaml`).map((document) => v.parse(ClusterStorageContainer, document).spec);
}

function ruleOf(policy: string, source: string): ReturnType<typeof ruleFor> {
  const spec = parseSourceUri(source, '/mnt/pvc');
  return ruleFor(readPolicy(Buffer.from(policy), 'the example', 'policy'), {
    name: sourceName(spec, spec.kind === 'file' ? source : undefined),
    modelName: undefined,
  });
}

/** The models of a service, as the gate will be asked for them. */
function sourcesOf(resource: v.InferOutput<typeof Custom>): readonly { readonly namespace: string; readonly source: string }[] {
  if (resource.kind === 'InferenceService') {
    const { model, storageUris = [], initContainers = [] } = resource.spec.predictor;
    // KServe makes the URI of a storage spec with the bucket of the secret.
    const stored = model?.storage === undefined ? [] : [`s3://models/${model.storage.path}`];
    const sources = [...stored, ...(model?.storageUri === undefined ? [] : [model.storageUri]), ...storageUris.map(({ uri }) => uri)];
    return [...sources, ...initContainers.map(({ args }) => args?.[1] ?? '')].map((source) => ({ namespace: resource.metadata.namespace, source }));
  }
  if (resource.kind !== 'LLMInferenceService') return [];
  const { uri, lora } = resource.spec.model;
  return [uri, ...lora.adapters.map((adapter) => adapter.uri)].map((source) => ({ namespace: resource.metadata.namespace, source }));
}

function read(path: string): string {
  return readFileSync(join(K8S, path), 'utf8');
}

function documents(path: string): readonly Record<string, unknown>[] {
  return parseAllDocuments(read(path)).map((document) => document.toJS() as Record<string, unknown>);
}
