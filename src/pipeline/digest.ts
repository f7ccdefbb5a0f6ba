// SPDX-License-Identifier: Apache-2.0
import type { DigestPlan } from '../plan/plan.ts';
import { locateModel, type Measured, measure, type ToolDeps } from './measure.ts';

/** What signing the model now would list, and its root digest (OMS §6.5.1). Writes nothing. @throws the codes of `measure` */
export async function digest(plan: Omit<DigestPlan, 'command' | 'json'>, deps: ToolDeps): Promise<Measured> {
  return measure(await locateModel(plan, deps), plan, deps);
}
