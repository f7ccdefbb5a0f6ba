// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { readReport } from '../../src/report/read.ts';
import { MISMATCH, refusedModel, reportOf, verifiedModel } from './reports.ts';

type Json = Record<string, unknown>;
const first = (document: Json, list: string): Json => (document[list] as Json[])[0] ?? {};

function reasonOf(bytes: Buffer): string {
  try {
    readReport(bytes, 'r.json');
    return 'OK';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `${error.code} ${error.message}`;
  }
}

describe('a report that is read back', () => {
  it('is what the program wrote', () => {
    expect(readReport(reportOf([verifiedModel()]), 'r.json')).toMatchObject({ verdict: 'verified', models: [{ signer: { kind: 'key' }, fileCount: 2 }] });
    expect(readReport(reportOf([refusedModel()], { error: MISMATCH }), 'r.json')).toMatchObject({ verdict: 'refused', error: { code: 'DIGEST_MISMATCH' } });
  });

  it('may have members of a later version, which are left out', () => {
    const later = reportOf([verifiedModel()], { edit: (document) => Object.assign(document, { later: 1 }) });
    expect(readReport(later, 'r.json')).not.toHaveProperty('later');
  });

  it.each([
    ['no JSON', Buffer.from('{'), /it is no JSON/],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), /it is no JSON/],
    ['no object', Buffer.from('[]'), /is no report/],
    ['another version', reportOf([verifiedModel()], { edit: (d) => Object.assign(d, { reportVersion: 'model-gate/report/v2' }) }), /reportVersion/],
    ['a negative size', reportOf([verifiedModel()], { edit: (d) => Object.assign(first(first(d, 'models'), 'files'), { sizeBytes: -1 }) }), /sizeBytes/],
    [
      'a digest that is none',
      reportOf([verifiedModel()], { edit: (d) => Object.assign(first(d, 'models')['manifest'] as Json, { rootDigest: '"><b>' }) }),
      /rootDigest/,
    ],
    ['a time that is none', reportOf([verifiedModel()], { edit: (d) => Object.assign(d, { startedAt: '2026-13-41T00:00:00Z' }) }), /startedAt/],
    ['text in place of a list', reportOf([verifiedModel()], { edit: (d) => Object.assign(d, { relaxations: 'none' }) }), /relaxations/],
  ])('is refused when it is %s', (_, bytes, message) => {
    expect(reasonOf(bytes)).toMatch(/^CONFIG_INVALID /);
    expect(reasonOf(bytes)).toMatch(message);
  });

  it.each([
    ['verified with an error', (d: Json) => Object.assign(d, { error: MISMATCH })],
    ['verified with exit code 1', (d: Json) => Object.assign(d, { exitCode: 1 })],
    ['verified without a model', (d: Json) => Object.assign(d, { models: [] })],
    ['verified over a model that was refused', (d: Json) => Object.assign(first(d, 'models'), { verdict: 'refused' })],
    ['verified over a model that nobody signed', (d: Json) => delete first(d, 'models')['signer']],
    ['other files than are counted', (d: Json) => Object.assign(first(d, 'models'), { fileCount: 7 })],
  ])('is refused when it says: %s', (_, edit) => {
    expect(reasonOf(reportOf([verifiedModel()], { edit }))).toMatch(/^CONFIG_INVALID .*contradicts itself/);
  });
});
