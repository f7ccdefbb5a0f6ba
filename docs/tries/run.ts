// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../../src/base/errors.ts';
import { startGate, until } from '../../test/support/run.ts';
import { TRIES, type Try } from './tries.ts';
import { makeWorld } from './world.ts';

/** A try as a page shows it. `code`: what it really ended with. */
export type Tried = { readonly did: string; readonly shown: string; readonly expected: ErrorCode; readonly code: string; readonly output: string };

const AT_ONCE = 4;
/** What stands in the page for what differs from run to run. */
const SHOWN: Readonly<Record<string, string>> = {
  '{web}': 'http://127.0.0.1:8080',
  '{web-as-tls}': 'https://127.0.0.1:8080',
  '{closed}': 'http://127.0.0.1:8099',
  '{closed-as-tls}': 'https://127.0.0.1:8099',
  '{tls}': 'https://127.0.0.1:8443',
  '{expired}': 'https://127.0.0.1:8444',
  '{misnamed}': 'https://127.0.0.1:8445',
  '{s3}': 'http://127.0.0.1:9000',
};

/** Runs every try against the program, in a world of its own. */
export async function runTries(): Promise<readonly Tried[]> {
  await using world = await makeWorld();
  const values = { ...world.values, ...asTls(world.values, 'web', 'closed') };
  const results: Tried[] = [];
  const queue = [...TRIES.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, one] = next;
      // Destinations of their own: they run at the same time.
      const command = fill(one.command, values).replaceAll(/ out(?= |$)/g, ` out-${index}`);
      const gate = startGate(command.split(' ').filter(Boolean), { cwd: world.cwd, env: { MODEL_GATE_LOG_FORMAT: 'human', ...one.env } });
      if (one.interrupted) {
        await until(() => gate.stderrSoFar() !== '', 'the first line of log');
        gate.kill('SIGINT');
      }
      const { stdout, stderr } = await gate.ended;
      results[index] = {
        did: one.did,
        shown: shown(one),
        expected: one.code,
        code: /(?:BLOCKED|FAILED) ([A-Z_]+)/.exec(stderr)?.[1] ?? 'none',
        output: tidy(stdout + stderr, world.cwd, values, index),
      };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** The same servers as if they spoke TLS. */
function asTls(values: Readonly<Record<string, string>>, ...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [`{${name}-as-tls}`, (values[`{${name}}`] ?? '').replace('http:', 'https:')]));
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filled, [name, value]) => filled.replaceAll(name, value), text);
}

function shown({ command, env = {} }: Try): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value} `);
  const quoted = fill(command, SHOWN)
    .split(' ')
    .map((word) => (/[&*?<>]/.test(word) ? `'${word}'` : word))
    .join(' ');
  return `${variables.join('')}model-gate ${quoted}`.trimEnd();
}

/** The refusal alone, without what differs: paths, ports, keys, log ids, the time. What came before it is the same as in every log. */
function tidy(output: string, cwd: string, values: Readonly<Record<string, string>>, index: number): string {
  const at = output.search(/(?:✗ )?(?:BLOCKED|FAILED) [A-Z_]+/);
  const bare = (address: string): string => address.replace(/^https?:\/\//, '');
  const text = Object.entries(values).reduce(
    (tidied, [name, value]) => {
      const stands = SHOWN[name] ?? value;
      return tidied.replaceAll(value, stands).replaceAll(bare(value), bare(stands));
    },
    output.slice(Math.max(at, 0)),
  );
  return text
    .replaceAll(cwd, '/home/you')
    .replaceAll(`out-${index}`, 'out')
    .replace(/\b[0-9a-f]{64}\b/g, (digits) => `${/^0+$/.test(digits) ? '0000' : '…'}…`.replace('……', '…'))
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, '2026-11-25T12:00:00.000Z')
    .replace(/root of \d{4}-\d\d-\d\d/g, 'root of 2026-…')
    .replace(/has \d+ bytes free, the model needs at least \d+/, 'has 21474836480 bytes free, the model needs at least 28021653504')
    .replace('DNS does not answer (EAI_AGAIN)', 'DNS does not know this host (ENOTFOUND)')
    .replace(/(?:operation not permitted|permission denied|read-only file system) \((?:EPERM|EACCES|EROFS)\)/, 'operation not permitted (EPERM)')
    .trimEnd();
}
