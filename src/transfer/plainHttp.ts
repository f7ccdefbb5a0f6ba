// SPDX-License-Identifier: Apache-2.0
import { isIP, type LookupFunction, type NetConnectOpts, connect as netConnect, type Socket } from 'node:net';
import type { ConnectionOptions, SecureContext } from 'node:tls';
import { AppError } from '../base/errors.ts';
import type { HttpSettings } from '../source/source.ts';
import { type Answer, DISCARD_BYTES, type Taker } from './answer.ts';
import { type Phase, timeoutError } from './httpErrors.ts';
import { copyBuffer, PIECE_BYTES } from './memory.ts';
import { parseHead, type ResponseHead } from './responseHead.ts';

export type PlainRequest = { readonly url: URL; readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal };

/**
 * The transport of model bytes: GET over HTTP/1.1 and nothing else, reading from the socket into one buffer that is used again and again,
 * from which the caller hashes and writes. A general HTTP library spends most of its time on copies, streams and garbage, which is twice
 * what hashing costs (docs/performance.md). Whatever is not of the plainest kind is left to that library.
 */
export type PlainHttp = {
  /** `unusual`: the answer is not of the kind read here; the request has to be made again in another way. @throws SOURCE_TIMEOUT, errors of the socket */
  request(request: PlainRequest): Promise<Answer | 'unusual'>;
  /** Drops all connections, running requests included. */
  close(): void;
};

export type TlsSettings = { readonly rejectUnauthorized: boolean; readonly secureContext?: SecureContext };

const MAX_HEAD_BYTES = 32 * 1024;
const MAX_EARLY_BYTES = 1024 * 1024;
/** A TLS record: less free space than this would cut one in two. */
const LEAST_FREE_BYTES = 16 * 1024;
const LAST_CHUNK = '0\r\n\r\n';
/** Servers drop idle connections after 5 s and more; a request on a dropped one would only fail. */
const IDLE_MS = 4000;

export function createPlainHttp(settings: HttpSettings, tls: () => Promise<TlsSettings>, lookup?: LookupFunction): PlainHttp {
  const idle = new Map<string, Connection[]>();
  const sessions = new Map<string, Buffer>();
  const all = new Set<Connection>();

  async function open(url: URL, signal: AbortSignal): Promise<Connection> {
    const connection = await connect(url, settings, tls, sessions, lookup, signal);
    all.add(connection);
    connection.socket.once('close', () => all.delete(connection));
    return connection;
  }

  function reusable(origin: string): Connection | undefined {
    const connections = idle.get(origin) ?? [];
    for (let connection = connections.pop(); connection !== undefined; connection = connections.pop()) {
      if (connection.isIdle() && performance.now() - connection.idleSince < IDLE_MS) return connection;
      connection.socket.destroy();
    }
    return undefined;
  }

  function keep(origin: string, connection: Connection): void {
    const connections = idle.get(origin) ?? [];
    connections.push(connection);
    idle.set(origin, connections);
  }

  async function exchange(connection: Connection, request: PlainRequest): Promise<Answer | 'unusual'> {
    const head = await connection.ask(request);
    if (head === 'unusual') {
      connection.socket.destroy();
      return 'unusual';
    }
    const { origin } = request.url;
    const done = (): void => (head.keepAlive ? keep(origin, connection) : void connection.socket.destroy());
    let body: 'waiting' | 'begun' | 'over' = 'waiting';
    return {
      status: head.status,
      headers: head.headers,
      async read(taker) {
        body = 'begun';
        await connection.receive(taker);
        body = 'over';
        done();
      },
      async discard() {
        // The connection may be another request's by now.
        if (body === 'over' || connection.isIdle()) return;
        if (body === 'begun' || head.bodyBytes === 'open' || head.bodyBytes > DISCARD_BYTES) return void connection.socket.destroy();
        body = 'over';
        await connection.receive({ take() {} }).then(done, () => {});
      },
    };
  }

  return {
    async request(request) {
      request.signal.throwIfAborted();
      const used = reusable(request.url.origin);
      if (used !== undefined) {
        try {
          return await exchange(used, request);
        } catch (error) {
          // The server may have dropped it just now; without a byte of an answer, nothing has happened yet.
          if (request.signal.aborted || used.heard() || error instanceof AppError) throw error;
        }
      }
      return exchange(await open(request.url, request.signal), request);
    },
    close() {
      for (const connection of all) connection.socket.destroy();
    },
  };
}

type Connection = {
  readonly socket: Socket;
  readonly idleSince: number;
  /** Open, and no request under way. */
  isIdle(): boolean;
  /** Whether any byte of the current answer has arrived. */
  heard(): boolean;
  /** Sends a request; the head of its answer. */
  ask(request: PlainRequest): Promise<ResponseHead | 'unusual'>;
  /** The body that follows the head. */
  receive(taker: Taker): Promise<void>;
};

/** Where in its life a connection is, with who waits for what comes next. */
type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'head'; bytes: number; settle(head: ResponseHead | 'unusual' | Error): void }
  /** The head was read, and some of the body before anybody wanted it. */
  | { readonly kind: 'announced'; readonly early: Buffer[]; earlyBytes: number; readonly bodyBytes: ResponseHead['bodyBytes'] }
  | { readonly kind: 'body'; left: number; filled: number; buffer: Buffer; readonly own: Buffer; readonly taker: Taker; settle(error?: unknown): void }
  /** A body of unknown length, of which nobody needs more than its beginning; as it comes, chunk sizes included. */
  | { readonly kind: 'open'; tail: string; readonly taker: Taker; settle(error?: unknown): void }
  | { readonly kind: 'dead'; readonly error: Error };

async function connect(
  url: URL,
  settings: HttpSettings,
  tls: () => Promise<TlsSettings>,
  sessions: Map<string, Buffer>,
  lookup: LookupFunction | undefined,
  signal: AbortSignal,
): Promise<Connection> {
  const scratch = Buffer.allocUnsafeSlow(MAX_HEAD_BYTES);
  let own: Buffer | undefined;
  let state: State = { kind: 'idle' };
  let idleSince = performance.now();
  let heard = false;
  let lastByteAt = 0;
  let ended = false;
  let awaited: Phase | undefined;
  let timer: NodeJS.Timeout | undefined;
  let followed: AbortSignal | undefined;

  const die = (error: Error): void => {
    const before = state;
    if (before.kind === 'dead') return;
    state = { kind: 'dead', error };
    socket.destroy();
    if (before.kind === 'head') before.settle(error);
    if (before.kind === 'body') before.settle(takeRest(before) ?? error);
    if (before.kind === 'open') before.settle(error instanceof AppError ? error : undefined);
  };

  /** What has arrived need not be sent again. */
  const takeRest = ({ taker, buffer, filled }: Extract<State, { kind: 'body' }>): unknown => {
    try {
      if (filled > 0) taker.take(buffer.subarray(0, filled));
    } catch (error) {
      return error;
    }
    return undefined;
  };

  /** Memory for what the socket reads next. */
  const room = (): Buffer => {
    switch (state.kind) {
      case 'head':
        return scratch.subarray(state.bytes);
      case 'body':
        return state.buffer.subarray(state.filled, Math.min(state.buffer.length, state.filled + state.left));
      default:
        return scratch;
    }
  };

  const onHead = (current: Extract<State, { kind: 'head' }>, count: number): void => {
    current.bytes += count;
    const bytes = scratch.subarray(0, current.bytes);
    const head = parseHead(bytes);
    if (head === undefined && current.bytes < scratch.length) return;
    if (head === undefined || head === 'unusual') {
      state = { kind: 'idle' };
      current.settle('unusual');
      return;
    }
    state = { kind: 'announced', early: [], earlyBytes: 0, bodyBytes: head.bodyBytes };
    // However long the caller takes now is not the server's silence.
    awaited = undefined;
    socket.pause();
    onEarly(state, bytes.subarray(head.headBytes));
    current.settle(head);
  };

  /** A paused socket reads nothing more; a TLS record that is decrypted already still arrives. */
  const onEarly = (current: Extract<State, { kind: 'announced' }>, bytes: Buffer): void => {
    current.earlyBytes += bytes.length;
    const most = current.bodyBytes === 'open' ? MAX_EARLY_BYTES : Math.min(current.bodyBytes, MAX_EARLY_BYTES);
    if (current.earlyBytes > most) die(protocolError('more bytes than announced'));
    else if (bytes.length > 0) current.early.push(Buffer.from(bytes));
  };

  const onBody = (current: Extract<State, { kind: 'body' }>, count: number): void => {
    current.left -= count;
    current.filled += count;
    if (current.left > 0 && current.buffer.length - current.filled >= LEAST_FREE_BYTES) return;
    try {
      const bytes = current.buffer.subarray(0, current.filled);
      current.filled = 0;
      if (bytes.length > 0) current.taker.take(bytes);
    } catch (error) {
      state = { kind: 'idle' };
      current.settle(error);
      die(protocolError('given up'));
      return;
    }
    if (current.left > 0) {
      current.buffer = current.taker.lend?.() ?? current.own;
      return;
    }
    state = { kind: 'idle' };
    idleSince = performance.now();
    awaited = undefined;
    current.settle();
  };

  const onOpen = (current: Extract<State, { kind: 'open' }>, bytes: Buffer): void => {
    try {
      current.taker.take(bytes);
    } catch (error) {
      state = { kind: 'idle' };
      current.settle(error);
      die(protocolError('given up'));
      return;
    }
    current.tail = (current.tail + bytes.toString('latin1', Math.max(0, bytes.length - LAST_CHUNK.length))).slice(-LAST_CHUNK.length);
    if (current.tail === LAST_CHUNK) die(protocolError('the body has ended'));
  };

  /** Bytes of the body that lie elsewhere than in its buffer. */
  const fill = (current: Extract<State, { kind: 'body' }>, bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) {
      if (state !== current) {
        die(protocolError('more bytes than announced'));
        return;
      }
      const count = bytes.copy(room(), 0, at);
      at += count;
      onBody(current, count);
    }
  };

  const onread = {
    buffer: room,
    callback(count: number, into: Uint8Array): boolean {
      heard = true;
      if (state.kind === 'head') onHead(state, count);
      // The socket was told where to put its next bytes when it was last read: before anybody wanted this body.
      else if (state.kind === 'body' && into.buffer === scratch.buffer) fill(state, scratch.subarray(0, count));
      else if (state.kind === 'body') onBody(state, count);
      else if (state.kind === 'open') onOpen(state, scratch.subarray(0, count));
      else if (state.kind === 'announced') onEarly(state, scratch.subarray(0, count));
      // Bytes that nobody asked for: whatever they are, they must not be taken for the next answer.
      else die(protocolError('bytes without a request'));
      lastByteAt = performance.now();
      return true;
    },
  };

  const socket = await openSocket(url, settings, tls, sessions, onread, lookup, signal);
  socket.on('error', die);
  const onEnd = (): void => {
    ended = true;
    // The body may be there already, as a whole, before anybody wanted it.
    const whole = state.kind === 'announced' && (state.bodyBytes === 'open' || state.bodyBytes === state.earlyBytes);
    if (!whole) die(protocolError('the connection was closed'));
  };
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  if (socket.destroyed) onEnd();

  const onAbort = (): void => die(followed?.reason instanceof Error ? followed.reason : protocolError('aborted'));
  /** Silence is counted from the last byte, not from what a busy thread got round to. */
  const checkSilence = (): void => {
    timer = undefined;
    if (awaited === undefined) return;
    const silence = performance.now() - lastByteAt;
    if (silence >= settings.stallTimeoutMs) die(timeoutError(awaited, url, settings));
    else timer = setTimeout(checkSilence, settings.stallTimeoutMs - silence + 1).unref();
  };
  /** A timer and a listener for the connection rather than for each request: for small files, they would cost more than the request. */
  const watch = (phase: Phase): void => {
    awaited = phase;
    lastByteAt = performance.now();
    timer ??= setTimeout(checkSilence, settings.stallTimeoutMs).unref();
  };
  const follow = (signal: AbortSignal): void => {
    if (signal === followed) return;
    followed?.removeEventListener('abort', onAbort);
    followed = signal;
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  };
  socket.on('close', () => {
    clearTimeout(timer);
    followed?.removeEventListener('abort', onAbort);
  });

  return {
    socket,
    get idleSince() {
      return idleSince;
    },
    isIdle: () => state.kind === 'idle' && !ended,
    heard: () => heard,
    ask(request) {
      return new Promise((resolve, reject) => {
        if (state.kind === 'dead') return reject(state.error);
        heard = false;
        state = { kind: 'head', bytes: 0, settle: (head) => (head instanceof Error ? reject(head) : resolve(head)) };
        follow(request.signal);
        watch('head');
        socket.write(requestBytes(request), 'latin1');
      });
    },
    receive(taker) {
      return new Promise((resolve, reject) => {
        const current = state;
        if (current.kind === 'dead') return reject(current.error);
        if (current.kind !== 'announced') return reject(protocolError('no body to read'));
        if (current.bodyBytes === 'open') {
          const open: State = { kind: 'open', tail: '', taker, settle: (error) => (error === undefined ? resolve() : reject(error)) };
          state = open;
          watch('body');
          for (const bytes of current.early) if (state === open) onOpen(open, bytes);
          if (ended) die(protocolError('the connection was closed'));
          socket.resume();
          return;
        }
        own ??= copyBuffer(PIECE_BYTES);
        const buffer = taker.lend?.() ?? own;
        const body: State = {
          kind: 'body',
          left: current.bodyBytes,
          filled: 0,
          buffer,
          own,
          taker,
          settle: (error) => (error === undefined ? resolve() : reject(error)),
        };
        state = body;
        watch('body');
        for (const bytes of current.early) fill(body, bytes);
        if (body.left === 0 && state === body) onBody(body, 0);
        socket.resume();
      });
    },
  };
}

type OnRead = NonNullable<NetConnectOpts['onread']>;

async function openSocket(
  url: URL,
  settings: HttpSettings,
  tls: () => Promise<TlsSettings>,
  sessions: Map<string, Buffer>,
  onread: OnRead,
  lookup: LookupFunction | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  const common = { host, port, onread, autoSelectFamily: true, noDelay: true, ...(lookup !== undefined && { lookup }) } as const;
  let socket: Socket;
  if (url.protocol === 'https:') {
    const { connect: tlsConnect } = await import('node:tls');
    const session = sessions.get(url.origin);
    const options: ConnectionOptions & { readonly onread: OnRead } = {
      ...common,
      ...(await tls()),
      ALPNProtocols: ['http/1.1'],
      ...(isIP(host) === 0 && { servername: host }),
      ...(session !== undefined && { session }),
    };
    const secure = tlsConnect(options);
    secure.on('session', (fresh) => sessions.set(url.origin, fresh));
    socket = secure;
  } else socket = netConnect(common);

  const ready = url.protocol === 'https:' ? 'secureConnect' : 'connect';
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off(ready, settle).off('error', settle).off('close', onClose);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => settle(signal.reason);
    const onClose = (): void => settle(protocolError('the connection was closed'));
    const timer = setTimeout(() => settle(timeoutError('connect', url, settings)), settings.connectTimeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket
      .once(ready, () => settle())
      .once('error', settle)
      .once('close', onClose);
    if (signal.aborted) onAbort();
  });
  return socket;
}

/** Characters that could end a line would let a header carry another request. */
const TARGET = /^\/[\x21-\x7e]*$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** What says something of the connection or the body, or where the request goes. */
const RESERVED = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'upgrade', 'keep-alive', 'te', 'trailer', 'expect', 'proxy-connection']);

/** Whether a request can be written here as it is. */
export function isPlain({ url, headers }: Pick<PlainRequest, 'url' | 'headers'>): boolean {
  return (
    TARGET.test(url.pathname + url.search) &&
    Object.entries(headers).every(([name, value]) => HEADER_NAME.test(name) && HEADER_VALUE.test(value) && !RESERVED.has(name.toLowerCase()))
  );
}

function requestBytes({ url, headers }: PlainRequest): string {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: keep-alive\r\n${fields.join('')}\r\n`;
}

/** With a code as of the system, so that it counts among failures of connections. */
function protocolError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
