// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
};

/** A page in a real browser. `requests` are the addresses it has asked for so far, its own included. */
export type Page = AsyncDisposable & {
  readonly requests: readonly string[];
  open(url: string, view: { readonly width: number; readonly height: number; readonly scheme: 'light' | 'dark' }): Promise<void>;
  /** The value of an expression in the page, which the page's own policy does not bind. */
  evaluate<T>(expression: string): Promise<T>;
  screenshot(height: number): Promise<Buffer>;
};

/** Starts chromium without a window, and talks to it as its developer tools do. */
export async function startBrowser(): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), 'model-gate-browser-'));
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--hide-scrollbars',
    '--disable-lcd-text',
    '--no-first-run',
    '--remote-debugging-port=0',
  ];
  const child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const origin = new URL(await debuggerOf(child));
  const targets = (await (await fetch(`http://${origin.host}/json/list`)).json()) as { type: string; webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(targets.find(({ type }) => type === 'page')?.webSocketDebuggerUrl ?? '');
  await once(socket, 'open');
  const waiting = new Map<number, (message: Message) => void>();
  const requests: string[] = [];
  let loaded = Promise.withResolvers<void>();
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    if (message.method === 'Network.requestWillBeSent') requests.push(String((message.params?.['request'] as { url?: string } | undefined)?.url));
    if (message.method === 'Page.loadEventFired') loaded.resolve();
  });
  let count = 0;
  const call = async (method: string, params: object = {}): Promise<Record<string, unknown>> => {
    const id = ++count;
    const answer = new Promise<Message>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  };
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = await call('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  };
  for (const domain of ['Page', 'Network']) await call(`${domain}.enable`);
  return {
    requests,
    async open(url, { width, height, scheme }) {
      loaded = Promise.withResolvers<void>();
      await call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
      await call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
      await call('Page.navigate', { url });
      await loaded.promise;
    },
    evaluate,
    async screenshot(height) {
      const width = await evaluate<number>('innerWidth');
      const { data } = await call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 } });
      return Buffer.from(String(data), 'base64');
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function debuggerOf(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stderr ?? []) {
    text += String(chunk);
    const [, url] = /DevTools listening on (ws:\S+)/.exec(text) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`chromium did not start: ${text}`);
}
