// SPDX-License-Identifier: Apache-2.0
// The bill of materials of the bundle (CycloneDX). `npm sbom` knows what is installed; of that, only what was bundled is in the program.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BundledPackage } from './packages.ts';

type Component = { readonly 'bom-ref': string; readonly name: string; readonly version: string };
type Sbom = {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
};

/** @throws when npm does not know of a package that is in the bundle. */
export function sbomOf(packages: readonly BundledPackage[], root: string): string {
  // From the lock file, which has the hashes and no registry's address; installed trees have both.
  // Not with --omit=dev: that leaves out what a development dependency needs as well (yaml, @sigstore/core …).
  const arguments_ = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only'];
  const { metadata, components, dependencies, ...head } = JSON.parse(execFileSync('npm', arguments_, { cwd: root, encoding: 'utf8' })) as Sbom;
  const wanted = new Set(packages.map(({ name, version }) => `${name}@${version}`));
  const kept = components.filter(({ name, version }) => wanted.has(`${name}@${version}`));
  const missing = [...wanted].filter((id) => !kept.some(({ name, version }) => `${name}@${version}` === id));
  if (missing.length > 0) throw new Error(`npm sbom does not list ${missing.join(', ')}`);
  const self = metadata.component['bom-ref'];
  const refs = new Set([self, ...kept.map((component) => component['bom-ref'])]);
  const edges = dependencies.filter(({ ref }) => refs.has(ref)).map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((to) => refs.has(to)) }));
  const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string };
  // npm names the program after the folder. Time, serial number and npm's version would make every build another one.
  const component = { ...metadata.component, name };
  const body = { ...head, serialNumber: undefined, metadata: { tools: [{ vendor: 'npm', name: 'cli' }], component }, components: kept, dependencies: edges };
  return `${JSON.stringify(body, null, 2)}\n`;
}
