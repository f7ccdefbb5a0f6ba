// SPDX-License-Identifier: Apache-2.0
import { html } from './markup.ts';

/** The page's one style sheet: system fonts, both colour schemes, paper. Nothing is told by colour alone. Text has a contrast of at least 4.5 : 1. */
export const STYLE = html`<style>
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #55606e; --line: #d9dee5; --stripe: #f6f8fa;
  --good: #146c39; --good-back: #e5f5eb; --bad: #ab1f1c; --bad-back: #fdecea; --warn: #7a4f00; --warn-back: #fff4d9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161d; --card: #1a212b; --ink: #e5e9ef; --soft: #a6b0bd; --line: #323c49; --stripe: #1f2733;
    --good: #6fd79a; --good-back: #16301f; --bad: #ff9f98; --bad-back: #3a1c1c; --warn: #f1c56b; --warn-back: #33290f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
main { padding-top: 1.5rem; }
h1, h2, h3 { line-height: 1.25; margin: 0; }
h1 { font-size: 1.7rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .75rem; overflow-wrap: anywhere; }
h3, .card > h2 { font-size: 1rem; margin: 0 0 .6rem; }
p { margin: .35rem 0; overflow-wrap: anywhere; }
.kind { display: block; font-size: .75rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); }
.card, .banner { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem; margin: 0 0 1rem; }
.banner { display: flex; gap: 1.1rem; align-items: flex-start; border-left-width: 8px; }
.banner .mark { font-size: 2.1rem; line-height: 1.1; font-weight: 700; flex: none; width: 2.3rem; text-align: center; }
.banner p { max-width: 52rem; }
.good { border-color: var(--good); background: var(--good-back); }
.bad { border-color: var(--bad); background: var(--bad-back); }
.warn { border-color: var(--warn); background: var(--warn-back); }
.good > .mark, .good h1, .is-good { color: var(--good); }
.bad > .mark, .bad h1, .is-bad { color: var(--bad); }
.warn > .mark, .warn h1, .is-warn { color: var(--warn); }
.is-good, .is-bad, .is-warn { font-weight: 600; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; margin-bottom: 1rem; }
.columns > .card { margin: 0; min-width: 0; }
.columns > div { min-width: 0; }
.columns > div > .card:last-child { margin: 0; }
dl { display: grid; grid-template-columns: minmax(6.5rem, max-content) minmax(0, 1fr); gap: .35rem 1rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .86em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; unicode-bidi: isolate; }
dd, td, h2, li { unicode-bidi: isolate; }
ul, ol { margin: 0; padding-left: 1.25rem; }
li { margin: .2rem 0; overflow-wrap: anywhere; }
.steps { list-style: none; padding: 0; }
.steps li { display: grid; grid-template-columns: 1.6rem minmax(0, 1fr); }
.steps .mark { font-weight: 700; }
.note { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 600; border-top: 0; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--stripe); }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.digest { width: 21rem; }
pre { margin: .6rem 0; padding: .75rem .9rem; border: 1px solid var(--line); border-radius: 6px; background: var(--stripe); white-space: pre-wrap; overflow-wrap: anywhere; }
.odd { border: 1px solid currentColor; border-radius: 3px; padding: 0 .2em; font-size: .8em; white-space: nowrap; color: var(--bad); }
footer { padding-bottom: 2rem; color: var(--soft); font-size: .88rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; }
  .banner { flex-direction: column; gap: .3rem; }
  .files thead { position: absolute; clip-path: inset(50%); }
  .files tr, .files td, .files th { display: block; border: 0; padding: .1rem 0; }
  .files tbody tr { border-top: 1px solid var(--line); padding: .4rem 0; }
  .number { text-align: left; }
  .digest { width: auto; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --card: #fff; --ink: #000; --soft: #333; --line: #999; --stripe: #fff;
    --good: #0b4a26; --good-back: #fff; --bad: #7a1512; --bad-back: #fff; --warn: #553700; --warn-back: #fff;
  }
  body { font-size: 10pt; }
  main, footer { max-width: none; padding: 0; }
  .card, tr, li { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
}
</style>`;
