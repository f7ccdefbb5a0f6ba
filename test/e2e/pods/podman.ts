// SPDX-License-Identifier: Apache-2.0
import { writeFile } from 'node:fs/promises';
import { must, run } from './process.ts';

/** What podman knows about a pod that was played. `volumes` maps mount paths of the init container to folders of the host. */
export type Played = {
  readonly code: number;
  readonly error: string;
  readonly gate: { readonly exitCode: number; readonly log: string };
  readonly server: string;
  readonly volumes: ReadonlyMap<string, string>;
};

/** The pod's containers that matter, by the names the manifest gives them. */
export type Containers = { readonly gate: string; readonly server: string };

/** Plays the manifest; returns when the init container has ended and the server has started or was held back. */
export async function play(
  file: string,
  manifest: string,
  podName: string,
  containers: Containers = { gate: 'model-gate', server: 'server' },
): Promise<Played> {
  await writeFile(file, manifest);
  const played = await run('podman', ['kube', 'play', file]);
  const gate = await inspect(`${podName}-${containers.gate}`);
  const server = await inspect(`${podName}-${containers.server}`);
  const log = await run('podman', ['logs', `${podName}-${containers.gate}`]);
  return {
    code: played.code,
    error: played.stderr,
    gate: { exitCode: gate?.State.ExitCode ?? -1, log: log.stdout + log.stderr },
    server: server?.State.Status ?? 'absent',
    volumes: new Map((gate?.Mounts ?? []).map((mount) => [mount.Destination, mount.Source])),
  };
}

export async function removePod(podName: string): Promise<void> {
  await run('podman', ['pod', 'rm', '--force', '--time', '0', podName]);
}

/** Podman makes named volumes of emptyDirs and ConfigMaps; they outlive the pod, and the next one of that name would find its files. */
export async function removeVolumes(prefix: string): Promise<void> {
  const volumes = (await must('podman', ['volume', 'ls', '--format', '{{.Name}}'])).split('\n').filter((name) => name.startsWith(prefix));
  for (const name of volumes) await run('podman', ['volume', 'rm', '--force', name]);
}

/** A claim, as podman sees it: a named volume filled from a folder, or from one entry of it. */
export async function createClaim(name: string, folder: string, archive: string, entry = '.'): Promise<void> {
  await must('tar', ['--create', '--file', archive, '--directory', folder, entry]);
  await must('podman', ['volume', 'create', name]);
  await must('podman', ['volume', 'import', name, archive]);
}

/** A Secret, as podman's kube play wants it: made beforehand, a JSON object of base64 values. */
export async function createSecret(name: string, values: Readonly<Record<string, string>>, file: string): Promise<AsyncDisposable> {
  const encoded = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
  await writeFile(file, JSON.stringify(encoded), { mode: 0o600 });
  await run('podman', ['secret', 'rm', name]);
  await must('podman', ['secret', 'create', name, file]);
  return {
    async [Symbol.asyncDispose]() {
      await run('podman', ['secret', 'rm', name]);
    },
  };
}

type Inspected = {
  readonly State: { readonly ExitCode: number; readonly Status: string };
  readonly Mounts: readonly { readonly Source: string; readonly Destination: string }[];
};

async function inspect(container: string): Promise<Inspected | undefined> {
  const found = await run('podman', ['container', 'inspect', container]);
  if (found.code !== 0) return undefined;
  const list = JSON.parse(found.stdout) as readonly Inspected[];
  return list[0];
}
