// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { listen, type SeenRequest, serveFile } from './httpServer.ts';

export type HubOptions = {
  /** owner/name, revision (branch, tag or commit), then files by name. */
  readonly repositories: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Buffer | string>>>>>>;
  /** Files of at least so many bytes are kept elsewhere, as with Git LFS. */
  readonly largeFrom?: number;
  /** Absent: everybody may read. */
  readonly token?: string;
  /** Repositories whose terms the token's owner has not accepted. */
  readonly gated?: readonly string[];
};

export interface HubServer extends AsyncDisposable {
  readonly origin: string;
  readonly seen: SeenRequest[];
  /** Requests to the store of large files, which is another origin. */
  readonly storeSeen: SeenRequest[];
}

/** The commit that the server reports for a revision. */
export function commitOf(revision: string): string {
  return createHash('sha1').update(revision).digest('hex');
}

/**
 * The resolve URLs of a Hugging Face hub: small files by a redirect within the hub, large ones by a redirect to a store that, as object
 * stores do, refuses signed URLs that come with an authorization header.
 */
export async function startHub(options: HubOptions): Promise<HubServer> {
  const storeSeen: SeenRequest[] = [];
  const blobs = new Map<string, Buffer>();
  const store = await listen((request, response) => {
    storeSeen.push(seenOf(request));
    if (request.headers.authorization !== undefined) response.writeHead(400).end();
    else serveFile(blobs.get((request.url ?? '').replace(/\?.*$/, '')), undefined, request, response);
  });
  const seen: SeenRequest[] = [];
  const hub = await listen((request, response) => {
    seen.push(seenOf(request));
    answer(request, response, options, (content) => {
      const path = `/blobs/${sha256(content)}`;
      blobs.set(path, content);
      return `${store.origin}${path}?Signature=secret`;
    });
  });
  return {
    origin: hub.origin,
    seen,
    storeSeen,
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, options: HubOptions, storeUrl: (content: Buffer) => string): void {
  const url = request.url ?? '';
  const [, cached, repository = '', revision = '', path = ''] = /^\/(cache\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url) ?? [];
  const files = options.repositories[repository]?.[decodeURIComponent(revision)];
  const file = files?.[path.split('/').map(decodeURIComponent).join('/')];
  const refusal = refusalOf(request, options, repository, files !== undefined);
  if (refusal !== undefined || file === undefined) {
    const [status, code] = refusal ?? [404, 'EntryNotFound'];
    response.writeHead(status, { 'x-error-code': code }).end(code);
    return;
  }
  const content = Buffer.from(file);
  const commit = commitOf(decodeURIComponent(revision));
  response.setHeader('x-repo-commit', commit);
  if (content.length >= (options.largeFrom ?? Number.POSITIVE_INFINITY)) {
    const linked = { 'x-linked-etag': `"${sha256(content)}"`, 'x-linked-size': content.length };
    response.writeHead(302, { ...linked, location: storeUrl(content) }).end();
  } else if (cached === undefined) response.writeHead(307, { location: `/cache${url}` }).end();
  else serveFile(content, undefined, request, response);
}

/** The hub does not tell strangers whether a repository exists. */
function refusalOf(
  request: IncomingMessage,
  options: HubOptions,
  repository: string,
  hasRevision: boolean,
): readonly [status: number, code: string] | undefined {
  if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`) return [401, 'RepoNotFound'];
  if (options.repositories[repository] === undefined) return [404, 'RepoNotFound'];
  if (options.gated?.includes(repository)) return [403, 'GatedRepo'];
  return hasRevision ? undefined : [404, 'RevisionNotFound'];
}

function seenOf(request: IncomingMessage): SeenRequest {
  return { method: request.method ?? '', url: request.url ?? '', headers: request.headers };
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
