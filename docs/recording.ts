// SPDX-License-Identifier: Apache-2.0
// `npm run recording`: runs the demo and draws what it printed as docs/images/demo.svg. A test draws it again and compares.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const COLUMNS = 112;
const [CHARACTER, LINE, MARGIN] = [7.3, 17, 16];

/** What the demo prints, as it is. @throws when it does not end well */
export function recordDemo(): string {
  const demo = new URL('../examples/demo/demo.ts', import.meta.url).pathname;
  const ended = spawnSync(process.execPath, [demo], { encoding: 'utf8', env: { PATH: process.env['PATH'], NO_COLOR: '1' } });
  if (ended.status !== 0) throw new Error(ended.stdout + ended.stderr);
  return ended.stdout;
}

/** Output → picture. Ports, keys, times and temporary paths, which differ from run to run, become those of one run. */
export function drawTerminal(command: string, output: string): string {
  const lines = [`$ ${command}`, ...normalised(output).trimEnd().split('\n')].map((line) =>
    [...line].length > COLUMNS ? `${[...line].slice(0, COLUMNS - 1).join('')}…` : line,
  );
  const [width, height] = [Math.ceil(COLUMNS * CHARACTER + 2 * MARGIN), lines.length * LINE + 2 * MARGIN];
  const texts = lines.map((line, i) =>
    line.trim() === '' ? '' : `<text x="${MARGIN}" y="${MARGIN + 13 + i * LINE}"${classOf(line)}>${escaped(line)}</text>\n`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(command)}: a signed model is served; changed, swapped and unsigned ones are blocked">
<style>
rect{fill:#f6f8fa;stroke:#d0d7de}text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;fill:#1f2328}
.b{font-weight:bold}.d{fill:#59636e}.g{fill:#116329}.r{fill:#b31d28}
@media(prefers-color-scheme:dark){rect{fill:#0d1117;stroke:#30363d}text{fill:#e6edf3}.d{fill:#9198a1}.g{fill:#4ac26b}.r{fill:#ff8182}}
</style>
<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
${texts.join('')}</svg>
`;
}

function normalised(output: string): string {
  return output
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:8080')
    .replace(/\S*\/model-gate-demo-[^/\s]+/g, '…')
    .replace(/key [0-9a-f]{16}…/g, 'key 85e7b9c899fb8f58…')
    .replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1…')
    .replace(/ in \d+\.\d s/g, ' in 0.1 s');
}

function classOf(line: string): string {
  if (/^(?:\$|\d |What |model-gate demo)/.test(line)) return ' class="b"';
  if (/✓|^ {2}server starts/.test(line)) return ' class="g"';
  if (/✗|^ {2}server never/.test(line)) return ' class="r"';
  return /^ {3}\S/.test(line) && !/^ {3}(?:▸|!)/.test(line) ? ' class="d"' : '';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(new URL('images/demo.svg', import.meta.url), drawTerminal('npm run demo', recordDemo()));
}
