// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';

/** The page at /: the last report, as `report --html` shows it. */
export type Page = { show(report: object): void; html(): Promise<string> };

const NOTHING_YET = '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>model-gate</title><p>The first check is running.</p></html>\n';

/** Kept as the bytes that --report would write, and made into a page when somebody looks: once, as a page may cost some 100 ms. */
export function createPage(): Page {
  let bytes: Buffer | undefined;
  let page: Promise<string> | undefined;
  return {
    show(report) {
      bytes = Buffer.from(`${JSON.stringify(report, undefined, 2)}\n`);
      page = undefined;
    },
    html() {
      if (bytes === undefined) return Promise.resolve(NOTHING_YET);
      page ??= render(bytes);
      return page;
    },
  };
}

async function render(bytes: Buffer): Promise<string> {
  const [{ readReport }, { renderHtml }] = [await import('../report/read.ts'), await import('../report/html.ts')];
  return renderHtml(readReport(bytes, 'the last report'), { sha256: createHash('sha256').update(bytes).digest('hex') });
}
