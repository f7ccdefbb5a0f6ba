// SPDX-License-Identifier: Apache-2.0
import { startHttpServer, type TestServer } from '../servers/httpServer.ts';
import type { Files } from './model.ts';

export type ModelServer = TestServer & {
  /** With a slash at its end. */
  readonly url: string;
  /** The path under which the server knows a file. */
  pathOf(name: string): string;
  /** Names that were asked for, in order, the bundle's candidates included. */
  asked(): readonly string[];
};

/** A model below /models/m/ of a web server on loopback. */
export async function serveModel(files: Files, tls?: Parameters<typeof startHttpServer>[0]): Promise<ModelServer> {
  const pathOf = (name: string): string => `/models/m/${name.split('/').map(encodeURIComponent).join('/')}`;
  const server = await startHttpServer({ ...tls, files: Object.fromEntries(Object.entries(files).map(([name, body]) => [pathOf(name), body])) });
  return {
    ...server,
    url: `${server.origin}/models/m/`,
    pathOf,
    asked: () => server.seen.map(({ url }) => decodeURIComponent(url.replace(/\?.*$/, '').slice('/models/m/'.length))),
  };
}
