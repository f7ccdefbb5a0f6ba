// SPDX-License-Identifier: Apache-2.0

type Item =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly (readonly [from: string, to: string])[] };

/**
 * A matcher for Python's fnmatch on whole names, which KServe's patterns are written for: `*` and `?` match slashes and leading dots too,
 * `[!…]` negates, and there is no escape. Not by way of a regular expression: patterns with many stars would take for ever on long names.
 */
export function fnmatch(pattern: string): (name: string) => boolean {
  const items = parse([...pattern]);
  return (name) => matches(items, [...name]);
}

function parse(pattern: readonly string[]): readonly Item[] {
  const items: Item[] = [];
  for (let i = 0; i < pattern.length; ) {
    const text = pattern[i] ?? '';
    const close = text === '[' ? closingBracket(pattern, i) : -1;
    if (close > 0) items.push(parseSet(pattern.slice(i + 1, close)));
    else items.push(text === '*' ? { kind: 'star' } : text === '?' ? { kind: 'any' } : { kind: 'literal', text });
    i = close > 0 ? close + 1 : i + 1;
  }
  return items;
}

/** A bracket right after the opening one, or after its `!`, is a member. Without an end the opening bracket is an ordinary letter. */
function closingBracket(pattern: readonly string[], open: number): number {
  const first = pattern[open + 1] === '!' ? open + 2 : open + 1;
  return pattern.indexOf(']', pattern[first] === ']' ? first + 1 : first);
}

function parseSet(members: readonly string[]): Item {
  const negated = members[0] === '!';
  const rest = negated ? members.slice(1) : members;
  const ranges: [string, string][] = [];
  for (let i = 0; i < rest.length; ) {
    const from = rest[i] ?? '';
    const to = rest[i + 1] === '-' ? rest[i + 2] : undefined;
    ranges.push([from, to ?? from]);
    i += to === undefined ? 1 : 3;
  }
  return { kind: 'set', negated, ranges };
}

/** On a mismatch only the last star can take one letter more: an earlier one could gain nothing that the last cannot. */
function matches(items: readonly Item[], name: readonly string[]): boolean {
  let at = 0;
  let star: { readonly item: number; at: number } | undefined;
  for (let item = 0; at < name.length || item < items.length; ) {
    const wanted = items[item];
    if (wanted?.kind === 'star') {
      star = { item, at };
      item++;
    } else if (wanted !== undefined && at < name.length && fits(wanted, name[at] ?? '')) {
      item++;
      at++;
    } else if (star !== undefined && star.at < name.length) {
      star.at++;
      at = star.at;
      item = star.item + 1;
    } else return false;
  }
  return true;
}

function fits(item: Item, letter: string): boolean {
  switch (item.kind) {
    case 'star':
    case 'any':
      return true;
    case 'literal':
      return item.text === letter;
    case 'set': {
      const point = letter.codePointAt(0) ?? 0;
      return item.negated !== item.ranges.some(([from, to]) => (from.codePointAt(0) ?? 0) <= point && point <= (to.codePointAt(0) ?? 0));
    }
  }
}
