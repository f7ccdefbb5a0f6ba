// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEYS, type Scratch, scratch, signed, writeTree } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { type Page, startBrowser } from './browser.ts';

// MODEL_GATE_IMAGES=docs/images npm run e2e -- htmlReport: writes the pictures of the docs.

const IMAGES = process.env['MODEL_GATE_IMAGES'];
/** A name of one component that would run, and ask a server, were it not escaped. */
const ATTACK = '<img src="x:y" onerror="document.title=1"><script>document.title=2';
const FILES = {
  'config.json': '{"model_type": "llama"}',
  'model-00001-of-00002.safetensors': Buffer.alloc(40_000_000, 'one'),
  'model-00002-of-00002.safetensors': Buffer.alloc(21_000_000, 'two'),
};
const LIGHT = { width: 1100, height: 900, scheme: 'light' } as const;

let tmp: Scratch;
let browser: Page;
let pages: { readonly verified: string; readonly refused: string };

beforeAll(async () => {
  tmp = scratch();
  browser = await startBrowser();
  const makePage = async (name: string, argv: readonly string[], code: number): Promise<string> => {
    const json = tmp.at(`${name}.json`);
    const ended = await runGate([...argv, '--report', json], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
    expect(ended.code).toBe(code);
    const shown = await runGate(['report', json, '--html', '--output', tmp.at(`${name}.html`)]);
    expect(shown).toMatchObject({ code: 0, stdout: '' });
    return pathToFileURL(tmp.at(`${name}.html`)).href;
  };
  const model = tmp.at('llama-3');
  writeTree(model, signed(FILES));
  const hostile = tmp.at('hostile');
  writeTree(hostile, signed({ ...FILES, [ATTACK]: 'x' }));
  const verified = await makePage('verified', ['pull', model, tmp.at('models')], 0);
  appendFileSync(`${hostile}/${ATTACK}`, 'changed');
  pages = { verified, refused: await makePage('refused', ['verify', hostile], 1) };
});
afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

/** What can be seen: unlike the source, without what a style hides. */
const visible = (): Promise<string> => browser.evaluate<string>('document.body.innerText');

describe('the page of a report, in a browser', () => {
  it('shows what was verified', async () => {
    await browser.open(pages.verified, LIGHT);
    const text = await visible();
    for (const fact of ['Verified', 'Who signed', 'What was checked', 'Timeline', 'To verify again', 'model-00002-of-00002.safetensors', '20.0 MiB'])
      expect(text).toContain(fact);
  });

  it('shows what was refused, and why', async () => {
    await browser.open(pages.refused, LIGHT);
    const text = await visible();
    for (const fact of ['Refused', 'DIGEST_MISMATCH', 'ended here with', 'What now']) expect(text).toContain(fact);
    expect(text).toContain(ATTACK);
  });

  it('runs no script and asks nobody for anything', async () => {
    await browser.open(pages.refused, LIGHT);
    expect(await browser.evaluate('document.title')).toBe('model-gate: refused');
    expect(await browser.evaluate("document.querySelectorAll('script, img, link, iframe, object, [onerror], [href], [src]').length")).toBe(0);
    expect(browser.requests.filter((url) => !url.startsWith('file://'))).toEqual([]);
    expect(browser.requests.at(-1)).toBe(pages.refused);
  });

  it('would not do so even if something were not escaped', async () => {
    const page = readFileSync(new URL(pages.refused), 'utf8');
    const control = tmp.at('control.html');
    writeFileSync(control, page.replace('<main>', `<main>${ATTACK}`));
    await browser.open(pathToFileURL(control).href, LIGHT);
    expect(await browser.evaluate("document.querySelectorAll('img').length")).toBe(1);
    expect(await browser.evaluate('document.title')).toBe('model-gate: refused');
    // Without its policy it does: the browser is one that runs scripts.
    writeFileSync(control, page.replace('<main>', `<main>${ATTACK}`).replace(/<meta http-equiv[^>]*>/, ''));
    await browser.open(pathToFileURL(control).href, LIGHT);
    await expect.poll(() => browser.evaluate('document.title')).toBe('1');
  });

  it.each([
    [360, 'light'],
    [1100, 'light'],
    [1100, 'dark'],
  ] as const)('fits a window of %d pixels and can be read in %s colours', async (width, scheme) => {
    for (const url of [pages.verified, pages.refused]) {
      await browser.open(url, { width, height: 900, scheme });
      expect(await browser.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      expect(await browser.evaluate<number>(LOWEST_CONTRAST)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('has headings in order, and tables with captions and heads', async () => {
    await browser.open(pages.verified, LIGHT);
    const levels = await browser.evaluate<number[]>("[...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]))");
    expect(levels[0]).toBe(1);
    expect(levels.every((level, i) => level - (levels[i - 1] ?? 0) <= 1)).toBe(true);
    expect(
      await browser.evaluate("[...document.querySelectorAll('table')].every((table) => table.caption && table.tHead && table.querySelector('th[scope]'))"),
    ).toBe(true);
    expect(await browser.evaluate('document.documentElement.lang')).toBe('en');
  });

  it.runIf(IMAGES !== undefined)('has its picture taken', async () => {
    await browser.open(pages.verified, { ...LIGHT, width: 960 });
    const height = await browser.evaluate<number>("Math.ceil(document.querySelector('table').closest('section').getBoundingClientRect().bottom) + 16");
    writeFileSync(`${IMAGES}/report.png`, await browser.screenshot(height));
  });
});

/** WCAG 2.2: the lowest ratio of any text's colour to the nearest background behind it that is a colour. */
const LOWEST_CONTRAST = `(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratios = [...document.body.querySelectorAll('*')]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''))
    .map((element) => [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))].sort((a, b) => b - a))
    .map(([light, dark]) => (light + 0.05) / (dark + 0.05));
  return Math.min(...ratios);
})()`;
