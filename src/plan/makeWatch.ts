// SPDX-License-Identifier: Apache-2.0
import { normalize } from 'node:path';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Foreign, NOTHING_FOREIGN } from './foreign.ts';
import { type FloorPresence, makeVerifyPlan } from './make.ts';
import type { Values } from './options.ts';
import type { WatchPlan, WatchSettings } from './plan.ts';

const MAX_PARTS = 100_000;

/** @throws as makeVerifyPlan */
export function makeWatchPlan(positionals: readonly string[], values: Values, foreign: Foreign = NOTHING_FOREIGN, floor: FloorPresence = 'absent'): WatchPlan {
  if (positionals.length !== 1) throw new AppError('USAGE', `watch needs one path, got ${positionals.length}`);
  const check = makeVerifyPlan(positionals, values, foreign, floor);
  const settings = watchSettings(values);
  const { onFailure } = settings;
  if (onFailure.kind === 'gateFile' && isInside(onFailure.path, check.model.spec.path))
    throw new AppError('PLAN_CONTRADICTION', '--gate-file lies in the model, where it would be a file that nobody signed');
  return { ...settings, command: 'watch', check };
}

/** @throws CONFIG_INVALID, PLAN_CONTRADICTION */
export function watchSettings(values: Values): WatchSettings {
  const port = values['health-port'];
  if (port > 65_535) throw new AppError('CONFIG_INVALID', '--health-port must be from 1 to 65535');
  return {
    intervalMs: values.interval ?? 0,
    share: shareOf(values.share ?? ''),
    pollMs: values['poll-interval'] ?? 0,
    graceMs: values.grace ?? 0,
    onFailure: onFailureOf(values),
    readiness: values['sticky-readiness'] ? 'sticky' : 'current',
    health: { port, ...(values['health-address'] !== undefined && { address: values['health-address'] }) },
  };
}

/** By their names: a path that gets there by a link is found out by the first check behind it. */
function isInside(path: string, directory: string): boolean {
  return `${normalize(path)}/`.startsWith(`${normalize(directory).replace(/\/+$/, '')}/`);
}

function shareOf(text: string): WatchSettings['share'] {
  const [, of, parts] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const share = { of: Number(of), parts: Number(parts) };
  if (share.of >= 1 && share.of <= share.parts && share.parts <= MAX_PARTS) return share;
  throw new AppError('CONFIG_INVALID', `--share '${printable(text, 40)}' is not a share such as 1/10`);
}

function onFailureOf(values: Values): WatchSettings['onFailure'] {
  const kind = values['on-failure'];
  const path = values['gate-file'];
  if (path !== undefined && kind !== 'gate-file') throw new AppError('PLAN_CONTRADICTION', '--gate-file belongs to --on-failure gate-file');
  if (values['max-failures'] !== 1 && kind !== 'exit') throw new AppError('PLAN_CONTRADICTION', '--max-failures belongs to --on-failure exit');
  if (kind === 'exit') return { kind, failures: values['max-failures'] };
  if (kind !== 'gate-file') return { kind: 'unready' };
  if (path === undefined) throw new AppError('CONFIG_INVALID', '--on-failure gate-file needs --gate-file');
  return { kind: 'gateFile', path };
}
