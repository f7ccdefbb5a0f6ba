// SPDX-License-Identifier: Apache-2.0

const HTML = Symbol('html');

/** Text that is markup already. Only `html` makes it: the symbol keeps everything that was read from a file out. */
export type Html = { readonly [HTML]: string };

/** What may stand in a template. Texts and numbers become text, whatever is in them. */
type Content = string | number | Html | readonly Html[] | undefined;

/** Longest text of outside origin that is shown, in characters. */
const MAX_TEXT = 600;

/** Markup with everything put into it escaped, and unusual characters shown by their number. Never put a text of outside origin into an attribute. */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return { [HTML]: strings.map((string, i) => (i === 0 ? '' : markupOf(contents[i - 1])) + string).join('') };
}

export function textOf(markup: Html): string {
  return markup[HTML];
}

/** Whether a text looks like what it is: nothing in it is invisible, turns the direction of writing, or piles up on its neighbours. */
export function isPlain(text: string): boolean {
  return text.search(ODD) < 0;
}

function markupOf(content: Content): string {
  if (content === undefined) return '';
  if (typeof content === 'number') return String(content);
  if (typeof content === 'string') return visible(cut(content));
  return 'map' in content ? content.map(textOf).join('') : content[HTML];
}

function cut(text: string): string {
  // Code units first: nobody takes a text of megabytes apart to show 600 characters of it.
  const points = [...text.slice(0, 2 * MAX_TEXT + 2)];
  return points.length > MAX_TEXT ? `${points.slice(0, MAX_TEXT).join('')}…` : text;
}

/** Controls, formats (bidirectional overrides, zero width), unassigned and private characters, lone surrogates, blanks that are no space, piles of accents. */
const ODD = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/u;
const ODD_OR_MARKUP = new RegExp(`${ODD.source}|[&<>"'\`]`, 'gu');

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '`': '&#96;' };

function visible(text: string): string {
  return text.replace(ODD_OR_MARKUP, (character) => {
    const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return ENTITIES[character] ?? `<span class="odd">U+${number}</span>`;
  });
}
