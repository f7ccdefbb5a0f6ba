// SPDX-License-Identifier: Apache-2.0
import type { SourceSpec } from '../plan/uri.ts';
import type { Environment, Source, SourceSettings } from './source.ts';

/** @throws CONFIG_INVALID, ANCHORS_INVALID (a configured CA bundle that cannot be read), MODEL_NOT_FOUND */
export async function openSource(spec: SourceSpec, settings: SourceSettings, env: Environment): Promise<Source> {
  switch (spec.kind) {
    case 's3':
      return (await import('./s3.ts')).openS3(spec, settings, env);
    case 'http':
      return (await import('./http.ts')).openHttp(spec, settings, env);
    case 'hf':
      return (await import('./hf.ts')).openHf(spec, settings, env);
    case 'file':
      return (await import('./file.ts')).openFile(spec, settings);
  }
}
