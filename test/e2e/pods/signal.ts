// SPDX-License-Identifier: Apache-2.0
import { createServer } from 'node:http';
import { type Row, since } from './observe.ts';
import { must, run } from './process.ts';

/** The gate as PID 1 has no default action for SIGTERM: it has to end by itself, long before the kubelet would kill it. */
export async function stopsOnSigterm(image: string, name: string, publicKey: string): Promise<Row> {
  const started = Date.now();
  const asked = Promise.withResolvers<void>();
  const silent = createServer(() => asked.resolve()); // takes every request and never answers
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const source = `http://127.0.0.1:${port}/models/good/`;
    const trust = `MODEL_GATE_PUBLIC_KEY=${publicKey}`;
    await must('podman', [
      'run',
      '--detach',
      '--name',
      name,
      '--network',
      'host',
      '--tmpfs',
      '/mnt/models:mode=1777',
      '--env',
      trust,
      image,
      source,
      '/mnt/models',
    ]);
    await Promise.race([asked.promise, must('podman', ['wait', name])]);
    const signalled = Date.now();
    await run('podman', ['kill', '--signal', 'TERM', name]); // fails when it has ended by itself, which the exit code shows
    const exitCode = Number(await must('podman', ['wait', '--interval', '50ms', name], { timeoutMs: 30_000 }));
    const seconds = since(signalled);
    const problems = [...(exitCode === 143 ? [] : [`exit code ${exitCode}, not 143`]), ...(seconds <= 2 ? [] : [`took ${seconds} s to stop`])];
    const log = await run('podman', ['logs', name]);
    return {
      source: 'http',
      trust: 'key',
      title: 'SIGTERM as PID 1 while the source hangs',
      exitCode,
      reason: '',
      server: '',
      seconds: since(started),
      problems,
      log: log.stdout + log.stderr,
    };
  } finally {
    await run('podman', ['rm', '--force', '--time', '0', name]);
    silent.closeAllConnections();
    silent.close();
  }
}
