// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Interfere, SeenRequest } from '../servers/httpServer.ts';
import { startS3Server } from '../servers/s3Server.ts';
import { type Files, KEYS, writeTree } from '../support/model.ts';
import { type Ended, type ProcessOptions, type Running, startGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

export const SOURCES = ['http', 's3', 'file'] as const;
export type SourceKind = (typeof SOURCES)[number];

/** `below`: the one file that is the model, where it is one. */
export type PullOptions = ProcessOptions & { readonly below?: string };

/** One model at a source of one kind. */
export type ModelSource = AsyncDisposable & {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  /** Requests since the server was started; none where there is no server. */
  readonly seen: readonly SeenRequest[];
  pull(to: string, flags?: readonly string[], options?: PullOptions): Running;
  pullToEnd(to: string, flags?: readonly string[], options?: PullOptions): Promise<Ended>;
};

const TRUST = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
const S3_KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's3cr3t' };

/** `scratch`: where the files of a local source go. */
export async function openModelSource(kind: SourceKind, files: Files, scratch: string, interfere: Interfere = () => undefined): Promise<ModelSource> {
  switch (kind) {
    case 'http': {
      const { url, seen, [Symbol.asyncDispose]: close } = await serveModel(files, { interfere });
      return withRuns({ url, seen, env: TRUST, [Symbol.asyncDispose]: close });
    }
    case 's3': {
      const objects = Object.fromEntries(Object.entries(files).map(([name, body]) => [`v1/${name}`, body]));
      const { origin, seen, [Symbol.asyncDispose]: close } = await startS3Server({ buckets: { models: objects }, keys: S3_KEYS, interfere });
      const env = {
        AWS_ENDPOINT_URL: origin,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
      };
      return withRuns({ url: 's3://models/v1/', seen, env: { ...TRUST, ...env }, [Symbol.asyncDispose]: close });
    }
    case 'file': {
      const path = join(scratch, 'claim');
      mkdirSync(path, { recursive: true });
      writeTree(path, files);
      return withRuns({ url: path, seen: [], env: TRUST, async [Symbol.asyncDispose]() {} });
    }
  }
}

function withRuns(source: Omit<ModelSource, 'pull' | 'pullToEnd'>): ModelSource {
  const pull: ModelSource['pull'] = (to, flags = [], { below = '', ...options } = {}) =>
    startGate(['pull', source.url + below, to, ...flags], { ...options, env: { ...source.env, ...options.env } });
  return { ...source, pull, pullToEnd: (to, flags, options) => pull(to, flags, options).ended };
}
