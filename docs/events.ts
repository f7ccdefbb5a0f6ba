// SPDX-License-Identifier: Apache-2.0
import type { Event } from '../src/base/events.ts';

/** What a line of the JSON log is about, by its member `event`. The type asks for every kind of event that there is. */
export const EVENTS: Readonly<Record<Exclude<Event['kind'], 'bytes' | 'sizeKnown'>, string>> = {
  modelStart: 'A model begins: `source`, and for `pull` `destination`.',
  bundleFound: 'Its bundle was read: `uri`, `sizeBytes`. Nothing is verified yet.',
  signatureVerified: 'The signature holds: `signer` in words, `method`.',
  manifestRead: 'The signed manifest: `files`, `totalBytes` where it is known, `rootDigest`, `predicateType`.',
  ruleDecided: 'A layer of the policy chose its `rule` (absent: none matches), with its `mode`.',
  unpacking: 'An archive is unpacked: `archive`, `sizeBytes`, `files`.',
  treeRead: 'sign, digest, scan: what is there (`files`, `totalBytes`).',
  fileRetried: 'A file is tried again: `path`, `attempt`, `error`.',
  fileDone: 'A file is verified: `path`, `sizeBytes`, `origin`. Only with `--verbose`.',
  published: 'The verified files have their final names: `destination`, `files`.',
  modelDone: 'A model is done: `source`, `files`, `totalBytes`, `ms`, `rootDigest`.',
  modelSigned: 'A model is signed: as modelDone, with `bundle` and `signer`.',
  listening: 'watch: its endpoints answer, at `port`.',
  ready: 'watch: `/ready` answers 200 from now on.',
  warning: '`message` says what somebody should look at.',
  waived: 'A policy in mode warn let through what it would have refused: `code`, `message`, `rule`.',
  failed: 'The end of a run that went wrong: `code`, `message`, `hint`, `context`, `exitCode`.',
};
