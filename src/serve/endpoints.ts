// SPDX-License-Identifier: Apache-2.0

/** What the endpoints tell; asked for with every request, as time alone can change it. */
export type View = {
  readonly startup: boolean;
  readonly ready: boolean;
  /** One word of why not; a reason code, or what is still awaited. */
  readonly why: string;
  metrics(): string;
  page(): Promise<string>;
};

export type Answer = { readonly status: number; readonly type: string; readonly body: string; readonly headers?: Readonly<Record<string, string>> };

const TEXT = 'text/plain; charset=utf-8';

/** Reads only: no method but GET and HEAD, no body, no path but these. */
export async function answer(method: string | undefined, target: string, view: View): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: TEXT, body: 'only GET and HEAD\n', headers: { allow: 'GET, HEAD' } };
  switch (target.split('?', 1)[0]) {
    case '/startup':
      return probe(view.startup, 'started', `not started: ${view.why}`);
    case '/ready':
      return probe(view.ready, 'ready', `not ready: ${view.why}`);
    case '/healthz':
      return probe(true, 'ok', '');
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: view.metrics() };
    case '/':
      return { status: 200, type: 'text/html; charset=utf-8', body: await view.page() };
    default:
      return { status: 404, type: TEXT, body: 'not found\n' };
  }
}

function probe(good: boolean, yes: string, no: string): Answer {
  return good ? { status: 200, type: TEXT, body: `${yes}\n` } : { status: 503, type: TEXT, body: `${no}\n` };
}
