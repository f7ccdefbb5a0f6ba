// SPDX-License-Identifier: Apache-2.0
import { plural } from './facts.ts';
import { type Html, html, textOf } from './markup.ts';

/** Characters that are left for what comes in numbers. */
export type Room = { left: number };

/** As many items as there is room for, up to `max`. */
export function shownOf<T>(
  room: Room,
  items: readonly T[],
  max: number,
  render: (item: T) => Html,
): { readonly shown: readonly Html[]; readonly rest: number } {
  const shown: Html[] = [];
  for (const item of items.slice(0, max)) {
    if (room.left <= 0) break;
    const markup = render(item);
    room.left -= textOf(markup).length;
    shown.push(markup);
  }
  return { shown, rest: items.length - shown.length };
}

export function listOf(room: Room, texts: readonly string[], max: number): Html {
  const { shown, rest } = shownOf(room, texts, max, (text) => html`<li>${text}</li>`);
  return html`<ul>${shown}${rest === 0 ? undefined : html`<li class="note">and ${rest} more: see the JSON report</li>`}</ul>`;
}

/** Names with what is known of them; what is not is left out. */
export function dl(rows: readonly (readonly [string, string | number | Html | undefined])[]): Html {
  return html`<dl>${rows.flatMap(([name, value]) => (value === undefined ? [] : [html`<dt>${name}</dt><dd>${value}</dd>`]))}</dl>`;
}

/** A table of which the first rows are shown, and how many there are. */
export function tableOf<T>(
  room: Room,
  { caption, heads, items, max, noun, row }: { caption: string; heads: Html; items: readonly T[]; max: number; noun: string; row: (item: T) => Html },
): Html {
  const { shown, rest } = shownOf(room, items, max, row);
  return html`<section class="card">
<table class="files">
<caption>${caption}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${shown}</tbody>
</table>
${rest === 0 ? undefined : html`<p class="note">The first ${shown.length} of ${items.length}; ${plural(rest, `more ${noun}`)} in the JSON report.</p>`}
</section>`;
}
