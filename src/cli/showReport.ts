// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { ReportPlan } from '../plan/plan.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';

/** A report that pull or verify wrote, for people; what is not written to a file is returned. @throws CONFIG_INVALID, LIMIT_EXCEEDED, SOURCE_NOT_FOUND, IO */
export async function showReport(plan: ReportPlan): Promise<string> {
  const { MAX_REPORT_BYTES, readReport } = await import('../report/read.ts');
  const bytes = await readSmallFile(plan.path, MAX_REPORT_BYTES, 'follow');
  const report = readReport(bytes, plan.path);
  const text = await render(plan.form);
  if (plan.output === undefined) return text;
  const { writeWhole } = await import('../report/write.ts');
  await writeWhole(plan.output, text);
  return '';

  async function render(form: ReportPlan['form']): Promise<string> {
    const origin = { sha256: createHash('sha256').update(bytes).digest('hex') };
    switch (form) {
      case 'html':
        return (await import('../report/html.ts')).renderHtml(report, origin);
      case 'text':
        return (await import('../report/summary.ts')).renderText(report, origin);
    }
  }
}
