// SPDX-License-Identifier: Apache-2.0
import type { SerialisedError } from '../../src/base/errors.ts';
import { makeReport } from '../../src/report/document.ts';
import { type FileEvidence, type ModelEvidence, startEvidence } from '../../src/report/evidence.ts';
import { type ReportDocument, readReport } from '../../src/report/read.ts';
import { digestOf, KEY_SIGNER } from '../oms/payload.ts';

const AT = new Date('2026-11-22T12:00:00Z');
const TOOL = { name: 'model-gate', version: '1.2.3', embeddedRootDate: '2026-10-01' } as const;

export const MISMATCH: SerialisedError = {
  code: 'DIGEST_MISMATCH',
  message: 'Hash mismatch for ‘a’',
  hint: 'Restore the file.',
  context: { path: 'a', expected: 'e0', found: 'f0' },
};

export function fileNamed(path: string): FileEvidence {
  return { path, algorithm: 'sha256', parts: [{ range: 'whole', digest: digestOf(path) }], sizeBytes: 2048, origin: 'fetched' };
}

export function verifiedModel(facts: Partial<ModelEvidence> = {}): ModelEvidence {
  return {
    source: 's3://bucket/m/',
    destination: '/mnt/models',
    startedAt: AT,
    bundle: { uri: 's3://bucket/m/model.sig', sha256: digestOf('bundle'), sizeBytes: 900 },
    signer: KEY_SIGNER,
    manifest: {
      rootDigest: digestOf('root'),
      predicateType: 'https://model_signing/signature/v1.0',
      method: 'files',
      algorithm: 'sha256',
      subjectName: 'm',
      files: 2,
    },
    files: [fileNamed('a'), fileNamed('b')],
    notRequested: [],
    warnings: [],
    ms: 1500,
    verdict: 'verified',
    ...facts,
  };
}

export function refusedModel(facts: Partial<ModelEvidence> = {}): ModelEvidence {
  return verifiedModel({ files: [], verdict: 'refused', error: MISMATCH, ...facts });
}

type Settings = { readonly error?: SerialisedError; readonly relaxations?: readonly string[]; readonly edit?: (document: Record<string, unknown>) => void };

/** The JSON that the program writes about these models, changed by `edit`. */
export function reportOf(models: readonly ModelEvidence[], { error, relaxations = [], edit }: Settings = {}): Buffer {
  const evidence = { ...startEvidence(relaxations, AT), trust: { method: 'key', anchors: ['sha256:anchor'] }, models: [...models] };
  const document = JSON.parse(JSON.stringify(makeReport(evidence, TOOL, 'pull', error))) as Record<string, unknown>;
  edit?.(document);
  return Buffer.from(JSON.stringify(document));
}

export function documentOf(models: readonly ModelEvidence[], settings: Settings = {}): ReportDocument {
  return readReport(reportOf(models, settings), 'report.json');
}
