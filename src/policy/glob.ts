// SPDX-License-Identifier: Apache-2.0

/** A glob over whole file names; one without a slash is tried on the last component. `*` crosses no slash. In time linear in name × glob. */
export function matchesName(glob: string, name: string): boolean {
  const [pattern, path] = [glob.split('/'), name.split('/')];
  return pattern.length === 1 && glob !== '**' ? matchesComponent(glob, path.at(-1) ?? '', '?') : matchesPath(pattern, path, '?');
}

/** `**` stands for any number of components. */
export function matchesPath(pattern: readonly string[], path: readonly string[], any?: '?'): boolean {
  return wildcard(pattern, path, '**', (wanted, found) => matchesComponent(wanted, found, any));
}

/** `*` stands for any letters; `any` for exactly one. */
export function matchesComponent(pattern: string, text: string, any?: '?'): boolean {
  return wildcard([...pattern], [...text], '*', (wanted, found) => wanted === found || (any !== undefined && wanted === any));
}

/** On a mismatch only the last star can take one item more: an earlier one could gain nothing that the last cannot. */
function wildcard(pattern: readonly string[], items: readonly string[], star: string, fits: (wanted: string, found: string) => boolean): boolean {
  let [at, item] = [0, 0];
  let last: { readonly at: number; item: number } | undefined;
  while (item < items.length) {
    const [wanted, found] = [pattern[at], items[item]];
    if (wanted === star) {
      last = { at, item };
      at++;
    } else if (wanted !== undefined && found !== undefined && fits(wanted, found)) {
      at++;
      item++;
    } else if (last !== undefined) {
      last.item++;
      at = last.at + 1;
      item = last.item;
    } else return false;
  }
  return pattern.slice(at).every((rest) => rest === star);
}
