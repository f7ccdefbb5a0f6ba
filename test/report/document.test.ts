// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CATALOGUE, type ErrorCode, exitCodeOf, type SerialisedError } from '../../src/base/errors.ts';
import { MAX_TERMINATION_BYTES, makeReport, placeholderMessage, REPORT_VERSION, terminationMessage } from '../../src/report/document.ts';
import { type Evidence, type FileEvidence, type ModelEvidence, startEvidence } from '../../src/report/evidence.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { digestOf, KEY_SIGNER } from '../oms/payload.ts';

const AT = new Date('2026-11-22T12:00:00Z');
const TOOL = { name: 'model-gate', version: '1.2.3', embeddedRootDate: '2026-10-01' } as const;
const ROOT = digestOf('root');

const file = (path: string, sizeBytes: number): FileEvidence => ({
  path,
  algorithm: 'sha256',
  parts: [{ range: 'whole', digest: digestOf(path) }],
  sizeBytes,
  origin: 'fetched',
});

function model(facts: Partial<ModelEvidence> = {}): ModelEvidence {
  return { source: 's3://bucket/m/', destination: '/mnt/models', startedAt: AT, files: [], notRequested: [], warnings: [], verdict: 'unfinished', ...facts };
}

function verified(): ModelEvidence {
  return model({
    signer: KEY_SIGNER,
    manifest: { rootDigest: ROOT, predicateType: 'https://model_signing/signature/v1.0', method: 'files', algorithm: 'sha256', subjectName: 'm', files: 2 },
    files: [file('a', 5), file('b', 7)],
    ms: 12,
    verdict: 'verified',
  });
}

function evidence(models: readonly ModelEvidence[], relaxations: readonly string[] = []): Evidence {
  return { ...startEvidence(relaxations, AT), models: [...models] };
}

function failure(code: ErrorCode, facts: Partial<SerialisedError> = {}): SerialisedError {
  return { code, message: `failed with ${code}`, hint: CATALOGUE[code].hint, context: {}, ...facts };
}

const asJson = (value: object): unknown => JSON.parse(JSON.stringify(value));
const message = (of: Evidence, error?: SerialisedError): Record<string, unknown> =>
  JSON.parse(terminationMessage(of, error, error === undefined ? 0 : exitCodeOf(error.code))) as Record<string, unknown>;

describe('the report', () => {
  it('of a success holds what was asked and what was found', () => {
    const report = asJson(makeReport({ ...evidence([verified()]), trust: { method: 'key', anchors: ['sha256:x'] } }, TOOL, 'pull', undefined));
    expect(report).toEqual({
      reportVersion: REPORT_VERSION,
      tool: TOOL,
      command: 'pull',
      verdict: 'verified',
      exitCode: 0,
      startedAt: '2026-11-22T12:00:00.000Z',
      trust: { method: 'key', anchors: ['sha256:x'] },
      relaxations: [],
      models: [
        {
          source: 's3://bucket/m/',
          destination: '/mnt/models',
          startedAt: '2026-11-22T12:00:00.000Z',
          warnings: [],
          signer: KEY_SIGNER,
          manifest: {
            rootDigest: ROOT,
            predicateType: 'https://model_signing/signature/v1.0',
            method: 'files',
            algorithm: 'sha256',
            subjectName: 'm',
            files: 2,
          },
          verdict: 'verified',
          partial: false,
          notRequested: [],
          fileCount: 2,
          totalBytes: 12,
          files: [file('a', 5), file('b', 7)],
          ms: 12,
        },
      ],
    });
  });

  it('of a subset says that it is partial, and lists what was left out', () => {
    expect(asJson(makeReport(evidence([{ ...verified(), notRequested: ['c'] }]), TOOL, 'pull', undefined))).toMatchObject({
      models: [{ partial: true, notRequested: ['c'] }],
    });
  });

  it('lists the relaxations in force, also when all went well', () => {
    expect(makeReport(evidence([verified()], ['--ignore-unsigned-files']), TOOL, 'verify', undefined)).toMatchObject({
      relaxations: ['--ignore-unsigned-files'],
    });
  });

  it.each(Object.keys(CATALOGUE) as ErrorCode[])('of %s has the exit code of its class, and calls only rejections refused', (code) => {
    const error = failure(code);
    expect(makeReport(evidence([model({ error, verdict: 'refused' })]), TOOL, 'pull', error)).toMatchObject({
      verdict: exitCodeOf(code) === 1 ? 'refused' : 'failed',
      exitCode: exitCodeOf(code),
      error: { code, message: error.message, hint: error.hint },
      models: [{ error: { code } }],
    });
  });

  it('of a signal has the exit code of that signal', () => {
    expect(makeReport(evidence([]), TOOL, 'pull', failure('CANCELLED'), 'SIGINT')).toMatchObject({ exitCode: 130, verdict: 'failed' });
    expect(makeReport(evidence([]), TOOL, 'pull', failure('CANCELLED'), 'SIGTERM')).toMatchObject({ exitCode: 143 });
  });

  it('of a run that ended early still holds what was known', () => {
    expect(asJson(makeReport(evidence([model()]), TOOL, 'pull', failure('SOURCE_UNAVAILABLE')))).toMatchObject({
      models: [{ source: 's3://bucket/m/', fileCount: 0, totalBytes: 0, ms: 0, partial: false }],
    });
  });
});

describe('the termination message', () => {
  it('of a success says who signed what, from where and how much', () => {
    expect(message(evidence([verified()]))).toEqual({
      verdict: 'verified',
      exitCode: 0,
      signer: `key sha256:${KEY_SIGNER.kind === 'key' && KEY_SIGNER.fingerprint}`,
      digest: `sha256:${ROOT}`,
      source: 's3://bucket/m/',
      fileCount: 2,
      bytes: 12,
    });
    expect(message(evidence([verified(), verified()], ['--allow-symlinks']))).toMatchObject({
      fileCount: 4,
      bytes: 24,
      models: 2,
      relaxations: ['--allow-symlinks'],
    });
  });

  it('of a failure says why, which files, and what to do', () => {
    const error = failure('FILE_UNSIGNED', { context: { names: ['a', 'b', 'c', 'd'], count: 4 } });
    expect(message(evidence([verified(), model({ source: 'pvc://claim/m', error })]), error)).toMatchObject({
      verdict: 'refused',
      exitCode: 1,
      reason: 'FILE_UNSIGNED',
      message: 'failed with FILE_UNSIGNED',
      files: ['a', 'b', 'c'],
      count: 4,
      source: 'pvc://claim/m',
      hint: CATALOGUE.FILE_UNSIGNED.hint,
    });
    expect(message(evidence([]), failure('USAGE'))).toMatchObject({ verdict: 'failed', exitCode: 2, reason: 'USAGE' });
  });

  it('names the signer of every method', () => {
    const at = { notBefore: AT, notAfter: AT, checkedAt: AT };
    const certificate: Signer = {
      kind: 'certificate',
      subject: 'CN=x',
      names: [],
      issuer: 'CN=CA',
      serial: '1',
      fingerprint: ROOT,
      anchor: 'CN=CA',
      ...at,
      timeSource: 'clock',
    };
    const sigstore: Signer = { kind: 'sigstore', identity: 'ci@example.com', issuer: 'https://issuer', times: [], logs: [], root: 'test' };
    const signerOf = (signer: Signer): unknown => message(evidence([{ ...verified(), signer }]))['signer'];
    expect(signerOf(certificate)).toBe('CN=x');
    expect(signerOf({ ...certificate, names: ['signer@example.com'] })).toBe('signer@example.com');
    expect(signerOf(sigstore)).toBe('ci@example.com (https://issuer)');
  });

  it('drops the hint before it shortens anything else, and never cuts reason, verdict or digest', () => {
    const error = failure('TRUST_METHOD_MISSING', { hint: 'h'.repeat(900), context: { names: ['n'.repeat(50)] } });
    expect(message(evidence([verified()]), error)).not.toHaveProperty('hint');
    expect(message(evidence([verified()]), error)).toMatchObject({ message: error.message, files: ['n'.repeat(50)], source: 's3://bucket/m/' });
    const worst = { ...error, message: '\u0000'.repeat(5000), context: { names: Array(9).fill('\ud800'.repeat(4096)) } };
    const crowded = evidence([
      { ...verified(), source: '"'.repeat(9000), signer: { kind: 'sigstore', identity: '\\'.repeat(9000), issuer: 'i', times: [], logs: [], root: '' } },
    ]);
    expect(message(crowded, worst)).toMatchObject({ verdict: 'failed', reason: 'TRUST_METHOD_MISSING', digest: `sha256:${ROOT}` });
  });

  it('fits 1000 bytes of valid JSON on one line, whatever the evidence holds', () => {
    // Characters that are long as UTF-8 or as JSON: control characters, astral ones and halves of them, quotes.
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 50 }),
      fc
        .tuple(fc.constantFrom('a', '"', '\\', '\n', '\u0000', 'ä', '漢', '😀', '\ud83d', '\udc00'), fc.constantFrom(1, 100, 400, 2000))
        .map(([c, n]) => c.repeat(n)),
    );
    const signer = fc.oneof(
      fc.constant(KEY_SIGNER),
      fc.tuple(text, text).map(([identity, issuer]): Signer => ({ kind: 'sigstore', identity, issuer, times: [], logs: [], root: '' })),
    );
    const error = fc.record({
      code: fc.constantFrom(...(Object.keys(CATALOGUE) as ErrorCode[])),
      message: text,
      hint: text,
      context: fc.oneof(fc.constant({}), fc.record({ names: fc.array(text, { maxLength: 10 }), count: fc.nat() })),
    });
    const models = fc.array(
      fc.tuple(text, signer).map(([source, by]) => ({ ...verified(), source, signer: by })),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(models, fc.option(error, { nil: undefined }), fc.array(text, { maxLength: 5 }), (of, failed, relaxations) => {
        const line = terminationMessage(evidence(of, relaxations), failed, failed === undefined ? 0 : exitCodeOf(failed.code));
        const bytes = Buffer.from(line);
        expect(bytes.length).toBeLessThanOrEqual(MAX_TERMINATION_BYTES);
        expect(line.isWellFormed()).toBe(true);
        expect(bytes.toString()).toBe(line);
        expect(line).not.toContain('\n');
        const parsed = JSON.parse(line) as Record<string, unknown>;
        expect(parsed).toMatchObject({ exitCode: failed === undefined ? 0 : exitCodeOf(failed.code), ...(failed !== undefined && { reason: failed.code }) });
        if (of.length > 0) expect(parsed['digest']).toBe(`sha256:${ROOT}`);
      }),
      { numRuns: 500 },
    );
  });

  it('stands there from the start, so that a killed process left word', () => {
    expect(JSON.parse(placeholderMessage('pull'))).toEqual({ verdict: 'unfinished', message: expect.stringContaining('model-gate pull') });
    expect(Buffer.byteLength(placeholderMessage('verify'))).toBeLessThan(MAX_TERMINATION_BYTES);
  });
});
