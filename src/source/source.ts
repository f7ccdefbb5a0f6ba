// SPDX-License-Identifier: Apache-2.0
/** Which object of a source is meant. `self`: the URI as given; `beside`: the URI with a suffix (`model.bin` + `.sig`); `inside`: a name below the URI. */
export type ObjectRef = { readonly kind: 'self' } | { readonly kind: 'beside'; readonly suffix: string } | { readonly kind: 'inside'; readonly path: string };

/**
 * Where the bytes of one object are: plain data, so that it can cross to a worker thread.
 * `headers` may hold credentials: never log them. `root` and `path` of a file are kept apart because only `root` is trusted.
 */
export type Locator =
  | { readonly kind: 'http'; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'file'; readonly root: string; readonly path: string };

/** How to talk HTTP to a source. Plain data. */
export type HttpSettings = {
  /** PEM certificates trusted in addition to the system's. */
  readonly caPem?: string;
  readonly verifyTls: boolean;
  readonly connectTimeoutMs: number;
  /** Longest silence while waiting for headers or body bytes. */
  readonly stallTimeoutMs: number;
  /** `library`: also bodies of the plainest kind are read by the HTTP library, and not by our own reader. */
  readonly reader?: 'auto' | 'library';
  /** Values of HTTP_PROXY, HTTPS_PROXY and NO_PROXY; absent: connect directly. */
  readonly proxy?: { readonly http?: string; readonly https?: string; readonly none?: string };
};

/** Where things are, never what they are worth. Knows nothing of manifests, hashes or trust. */
export interface Source extends AsyncDisposable {
  readonly kind: 's3' | 'http' | 'hf' | 'file';
  /** For people: without credentials and query. */
  readonly displayUri: string;
  /** Last path component of the URI: the name of the file of a single-file model. */
  readonly basename: string;
  /** What the URI itself says: a trailing slash or a directory on disk, one object, or nothing. */
  readonly shape: 'directory' | 'object' | 'unknown';
  readonly http: HttpSettings;
  /** Called again before every retry: fresh signature, fresh credentials. @throws CREDENTIALS_MISSING, SOURCE_UNAVAILABLE */
  locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator>;
}

/** Everything about sources that flags, files and environment say. */
export type SourceSettings = {
  readonly http: {
    readonly connectTimeoutMs: number;
    readonly stallTimeoutMs: number;
    readonly reader?: HttpSettings['reader'];
    /** Extra headers for every request to the model's own origin. */
    readonly headers: Readonly<Record<string, string>>;
    readonly bearerTokenFile?: string;
    /** `user:password`. */
    readonly basicAuth?: string;
    readonly netrcFile?: string;
    /** File with PEM certificates trusted in addition to the system's. */
    readonly caBundle?: string;
    /** Never false for trust material. */
    readonly verifyTls: boolean;
  };
  readonly s3: {
    readonly region?: string;
    readonly endpoint?: string;
    readonly addressing: 'auto' | 'path' | 'virtual';
    readonly anonymous: boolean;
    readonly accelerate: boolean;
    /** The caller pays for the requests, not the bucket's owner. */
    readonly requesterPays: boolean;
    /** As for http; without it AWS_CA_BUNDLE and the cluster's bundle count. Either of `verifyTls` and S3_VERIFY_SSL can switch verification off. */
    readonly caBundle?: string;
    readonly verifyTls: boolean;
  };
  /** URL of the hub. */
  readonly hf: { readonly endpoint: string };
};

export type Environment = Readonly<Record<string, string | undefined>>;
