// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../base/errors.ts';
import type { Family } from './metrics.ts';

/** What one check came to. */
export type Checked = {
  readonly trigger: string;
  readonly verdict: string;
  readonly reason?: ErrorCode;
  readonly exitCode: number;
  readonly ms: number;
  readonly endedAt: Date;
  /** What warn mode let through. */
  readonly waived: readonly ErrorCode[];
  readonly model?: { readonly files: number; readonly bytes: number; readonly signer: string; readonly method: string; readonly digest: string };
};

/** How things stand when the metrics are asked for. */
export type Now = { readonly verified: boolean; readonly ready: boolean; readonly until: Date | undefined };

/** Counts what the checks did, for /metrics. */
export class Tally {
  readonly #version: string;
  readonly #startedAt = Date.now() / 1000 - process.uptime();
  readonly #checks = new Map<string, { readonly labels: Readonly<Record<string, string>>; value: number }>();
  readonly #failures = new Map<ErrorCode, number>();
  #bytes = 0;
  #bytesBefore = 0;
  #lastBytes = 0;
  #last: Checked | undefined;
  #lastSuccess: Checked | undefined;

  constructor(version: string) {
    this.#version = version;
  }

  hashed(bytes: number): void {
    this.#bytes += bytes;
  }

  checked(check: Checked): void {
    const { trigger, verdict, reason } = check;
    const key = `${trigger} ${verdict}`;
    const count = this.#checks.get(key) ?? { labels: { trigger, verdict }, value: 0 };
    count.value++;
    this.#checks.set(key, count);
    if (reason === undefined) this.#lastSuccess = check;
    else this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
    this.#lastBytes = this.#bytes - this.#bytesBefore;
    this.#bytesBefore = this.#bytes;
    this.#last = check;
  }

  families({ verified, ready, until }: Now): readonly Family[] {
    const last = this.#last;
    const { user, system } = process.cpuUsage();
    const model = this.#lastSuccess?.model;
    const gauge = (name: string, help: string, value: number | undefined): Family => ({
      name,
      type: 'gauge',
      help,
      samples: value === undefined ? [] : [{ value }],
    });
    return [
      { name: 'model_gate_build_info', type: 'gauge', help: 'The program.', samples: [{ labels: { version: this.#version }, value: 1 }] },
      gauge('model_gate_verified', '1 while the last successful check counts and nothing was found since.', Number(verified)),
      gauge('model_gate_ready', '1 while /ready answers 200.', Number(ready)),
      gauge('model_gate_verified_until_timestamp_seconds', 'Until when the last successful check counts.', seconds(until)),
      gauge('model_gate_last_check_timestamp_seconds', 'When the last check ended.', seconds(last?.endedAt)),
      gauge('model_gate_last_success_timestamp_seconds', 'When the last successful check ended.', seconds(this.#lastSuccess?.endedAt)),
      gauge('model_gate_last_check_exit_code', 'What the last check would have ended the gate with: 0 verified, 1 refused, see exit codes.', last?.exitCode),
      gauge('model_gate_last_check_duration_seconds', 'How long the last check took.', last && last.ms / 1000),
      gauge('model_gate_last_check_hashed_bytes', 'Bytes that the last check read and hashed.', last && this.#lastBytes),
      { name: 'model_gate_checks_total', type: 'counter', help: 'Checks, by what caused them and what they came to.', samples: [...this.#checks.values()] },
      {
        name: 'model_gate_failures_total',
        type: 'counter',
        help: 'Checks that failed, by reason code.',
        samples: [...this.#failures].map(([reason, value]) => ({ labels: { reason }, value })),
      },
      {
        name: 'model_gate_failure_info',
        type: 'gauge',
        help: 'Why the last check failed; absent when it did not.',
        samples: last?.reason === undefined ? [] : [{ labels: { reason: last.reason }, value: 1 }],
      },
      {
        name: 'model_gate_waived_findings',
        type: 'gauge',
        help: 'What the last check found and a policy in warn mode let through, by reason code.',
        samples: [...countOf(last?.waived ?? [])].map(([reason, value]) => ({ labels: { reason }, value })),
      },
      { name: 'model_gate_hashed_bytes_total', type: 'counter', help: 'Bytes that were read and hashed.', samples: [{ value: this.#bytes }] },
      gauge('model_gate_model_files', 'Signed files of the model.', model?.files),
      gauge('model_gate_model_bytes', 'Length of them together.', model?.bytes),
      {
        name: 'model_gate_signer_info',
        type: 'gauge',
        help: 'Who signed the model that was last verified, and its root digest.',
        samples: model === undefined ? [] : [{ labels: { method: model.method, signer: model.signer, digest: model.digest }, value: 1 }],
      },
      gauge('process_resident_memory_bytes', 'Memory of this process.', process.memoryUsage.rss()),
      { name: 'process_cpu_seconds_total', type: 'counter', help: 'CPU time of this process.', samples: [{ value: (user + system) / 1e6 }] },
      gauge('process_start_time_seconds', 'When this process started.', this.#startedAt),
    ];
  }
}

function seconds(date: Date | undefined): number | undefined {
  return date && date.getTime() / 1000;
}

function countOf(codes: readonly ErrorCode[]): ReadonlyMap<ErrorCode, number> {
  const counts = new Map<ErrorCode, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return counts;
}
