// SPDX-License-Identifier: Apache-2.0

/**
 * Where below `blobs/` a link of a Hugging Face cache leads, or undefined when it leads elsewhere. `path` is the link's name below
 * `snapshots/<commit>`, `target` its text. By names only: whoever opens the blob must not follow further links.
 */
export function blobOf(path: string, target: string): string | undefined {
  if (target.startsWith('/') || target.includes('\0')) return undefined;
  const at = ['snapshots', 'commit', ...path.split('/').slice(0, -1)];
  for (const component of target.split('/')) {
    if (component === '..') {
      if (at.pop() === undefined) return undefined;
    } else if (component !== '' && component !== '.') at.push(component);
  }
  const [top, ...blob] = at;
  return top === 'blobs' && blob.length > 0 ? blob.join('/') : undefined;
}
