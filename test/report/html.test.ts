// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderHtml } from '../../src/report/html.ts';
import { html, textOf } from '../../src/report/markup.ts';
import type { ReportDocument } from '../../src/report/read.ts';
import { digestOf, KEY_SIGNER } from '../oms/payload.ts';
import { documentOf, fileNamed, MISMATCH, refusedModel, verifiedModel } from './reports.ts';

const ORIGIN = { sha256: 'ab'.repeat(32) };
const page = (document: ReportDocument): string => renderHtml(document, ORIGIN);
const MAX_PAGE = 2_000_000;

/** Tags of the page that come from the template: anything else was let in. */
const OWN_TAGS =
  /^(!DOCTYPE|html|head|meta|title|style|body|main|header|footer|section|div|h1|h2|h3|p|span|strong|code|pre|dl|dt|dd|ul|ol|li|table|caption|thead|tbody|tr|th|td)$/;
const OWN_ATTRIBUTES = ['lang', 'charset', 'http-equiv', 'content', 'name', 'class', 'aria-hidden', 'scope'];
const tagsOf = (text: string): readonly string[] => [...text.matchAll(/<\/?([^\s>/]*)/g)].map(([, name = '']) => name);
const attributesOf = (text: string): readonly string[] =>
  [...text.matchAll(/<[a-z][^>]*>/gi)].flatMap(([tag]) => [...tag.matchAll(/\s([\w-]+)="/g)].map(([, name = '']) => name));

const HOSTILE = `<script>alert(1)</script>"><img src=x onerror=alert(1)>' style='x' &lt;${'`'}${'\u202e'}gpj.exe${'\u200b'}`;

describe('the page of a report', () => {
  it('of a verified model says who signed what, and how to check it again', () => {
    const text = page(documentOf([verifiedModel()]));
    for (const fact of [
      '<h1>Verified</h1>',
      'Who signed',
      `sha256:${digestOf('root')}`,
      's3://bucket/m/model.sig',
      '1.2.3',
      ORIGIN.sha256,
      '2026-11-22T12:00:01.500Z',
    ])
      expect(text).toContain(fact);
    expect(text).toContain(`model-gate verify &#39;/mnt/models&#39; \\\n  --public-key`);
    expect(text).not.toContain('with reservations');
  });

  it('of a refused model says why, and what to do now', () => {
    const text = page(documentOf([refusedModel()], { error: MISMATCH }));
    for (const fact of ['<h1>Refused</h1>', 'DIGEST_MISMATCH', 'Restore the file.', 'ended here with']) expect(text).toContain(fact);
    expect(text).not.toContain('To verify again');
    expect(text).not.toMatch(/class="banner good"/);
  });

  it('of a run that could not be finished says nothing against the model', () => {
    const error = { ...MISMATCH, code: 'SOURCE_DENIED' } as const;
    const text = page(documentOf([refusedModel({ verdict: 'failed', error })], { error }));
    expect(text).toContain('<h1>Not finished</h1>');
    expect(text).not.toContain('Do not run this model');
  });

  it.each([
    ['relaxations', documentOf([verifiedModel()], { relaxations: ['--allow-symlinks'] }), '--allow-symlinks'],
    ['warnings', documentOf([verifiedModel({ warnings: ['the clock is odd'] })]), 'the clock is odd'],
    ['files left out', documentOf([verifiedModel({ notRequested: ['c.bin'] })]), 'c.bin'],
  ])('has no plain good news over %s', (_, document, fact) => {
    const text = page(document);
    expect(text).toContain('<h1>Verified, with reservations</h1>');
    expect(text).toContain(fact);
    expect(text).not.toMatch(/class="banner good"/);
  });

  it('counts the formats that were found', () => {
    const formats = [
      { path: 'a', formats: ['safetensors'] },
      { path: 'b', formats: ['json'] },
      { path: 'c', formats: ['json', 'remote-code'] },
    ];
    expect(page(documentOf([verifiedModel({ formats })]))).toContain('json (2), remote-code (1), safetensors (1)');
    expect(page(documentOf([verifiedModel()]))).not.toContain('Formats found');
    const edit = (document: Record<string, unknown>): object => Object.assign((document['models'] as object[])[0] ?? {}, { formats: 7 });
    expect(page(documentOf([verifiedModel()], { edit }))).toContain('in a form that this version');
  });

  it('shows what policies decided, and says so when it cannot', () => {
    const edit = (facts: object) => (document: Record<string, unknown>) => Object.assign((document['models'] as object[])[0] ?? {}, facts);
    const facts = {
      decisions: [{ layer: 'floor', rule: 'production', mode: 'enforce', verdict: 'allow', findings: [{ code: 'DIGEST_DENIED', message: 'recalled' }] }],
      signatures: [{ bundle: 'second.sig', signer: KEY_SIGNER, verdict: 'otherManifest', satisfies: [], problems: ['of last week'] }],
    };
    const text = page(documentOf([verifiedModel()], { edit: edit(facts) }));
    for (const fact of ['production', 'DIGEST_DENIED: recalled', 'second.sig', 'over another manifest', 'of last week']) expect(text).toContain(fact);
    expect(page(documentOf([verifiedModel()], { edit: edit({ decisions: 7 }) }))).toContain('a section “decisions” in a form that this version');
  });

  it.each([
    ['warned', 'Let through with warnings', { signer: { kind: 'nobody', method: 'key' }, waived: [{ code: 'SIGNATURE_INVALID', message: 'by nobody' }] }],
    ['skipped', 'Not checked', { signer: undefined, manifest: undefined }],
  ])('never calls %s verified', (verdict, title, facts) => {
    const edit = (document: Record<string, unknown>) => {
      Object.assign(document, { verdict });
      Object.assign((document['models'] as object[])[0] ?? {}, { verdict, ...facts });
    };
    const text = page(documentOf([verifiedModel()], { edit }));
    expect(text).toContain(`<h1>${title}`);
    expect(text).toContain('not established');
    expect(text).not.toMatch(/class="banner good"|<h1>Verified|To verify again/);
    if (verdict === 'warned') expect(text).toContain('SIGNATURE_INVALID: by nobody');
  });

  it('lets nothing of the report become markup, wherever it stands', () => {
    const signer = {
      kind: 'sigstore',
      identity: HOSTILE,
      issuer: HOSTILE,
      times: [{ source: 'log', at: new Date(0) }],
      logs: [{ logId: HOSTILE, logIndex: HOSTILE }],
      root: HOSTILE,
    } as const;
    const error = {
      ...MISMATCH,
      message: HOSTILE,
      hint: HOSTILE,
      context: { names: [HOSTILE], path: HOSTILE, uri: HOSTILE, expected: HOSTILE, found: HOSTILE },
    };
    const manifest = { ...verifiedModel().manifest, predicateType: HOSTILE, subjectName: HOSTILE } as NonNullable<ReturnType<typeof verifiedModel>['manifest']>;
    const facts = {
      source: HOSTILE,
      destination: HOSTILE,
      signer,
      manifest,
      bundle: { uri: HOSTILE, sha256: digestOf('b'), sizeBytes: 1 },
      files: [fileNamed(HOSTILE)],
      notRequested: [HOSTILE],
      warnings: [HOSTILE],
    };
    const documents = [documentOf([verifiedModel(facts)], { relaxations: [HOSTILE] }), documentOf([refusedModel({ ...facts, error })], { error })];
    for (const text of documents.map(page)) {
      expect(tagsOf(text).filter((name) => !OWN_TAGS.test(name))).toEqual([]);
      expect(attributesOf(text).filter((name) => !OWN_ATTRIBUTES.includes(name))).toEqual([]);
      expect(text).toContain('<span class="odd">U+202E</span>gpj.exe<span class="odd">U+200B</span>');
      expect(text).not.toMatch(/[\u202e\u200b]/);
      // Shown to copy, it would lead elsewhere.
      expect(text).not.toContain('To verify again');
    }
  });

  it('escapes any text so that it reads as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        const markup = textOf(html`${text}`);
        expect(markup.replace(/<span class="odd">U\+[0-9A-F]{4,6}<\/span>/g, '')).not.toMatch(/[<>"'`\p{Cc}\p{Cf}]/u);
      }),
    );
  });

  it('quotes a path of the command for a shell', () => {
    expect(page(documentOf([verifiedModel({ destination: "/m/it's $(id)" })]))).toContain('&#39;/m/it&#39;\\&#39;&#39;s $(id)&#39;');
  });

  it('stays small whatever is reported, and says what it leaves out', () => {
    const long = '"<'.repeat(700);
    const many = page(documentOf([verifiedModel({ files: Array.from({ length: 100_000 }, (_, i) => fileNamed(`layer-${i}`)) })]));
    expect(many).toContain('The first 1000 of 100000; 99000 more files in the JSON report.');
    const model = verifiedModel({
      source: long,
      destination: long,
      files: Array.from({ length: 40 }, () => fileNamed(long)),
      warnings: Array.from({ length: 40 }, () => long),
    });
    const worst = page(documentOf(Array.from({ length: 100 }, () => model)));
    for (const text of [many, worst]) expect(Buffer.byteLength(text)).toBeLessThan(MAX_PAGE);
    expect(worst).toMatch(/\d+ more models not shown here/);
  });

  it('runs and asks for nothing, by its own policy too', () => {
    const text = page(documentOf([verifiedModel()]));
    expect(text).toContain(`content="default-src 'none'; style-src 'unsafe-inline'`);
    expect(text).not.toMatch(/<script|<link|<img|url\(|@import|\shref=|\ssrc=/i);
  });
});
