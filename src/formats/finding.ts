// SPDX-License-Identifier: Apache-2.0

/** The closed list of formats that content can be recognised as. docs/formats.md tells what is checked in each. */
export const FORMATS = [
  'safetensors',
  'gguf',
  'onnx',
  'npy',
  'npz',
  'numpy-object',
  'pickle',
  'joblib',
  'pytorch',
  'torchscript',
  'keras',
  'hdf5',
  'tensorflow',
  'tflite',
  'sentencepiece',
  'parquet',
  'json',
  'text',
  'markup',
  'image',
  'pdf',
  'python',
  'script',
  'executable',
  'remote-code',
  'zip',
  'tar',
  'compressed',
  'unknown',
] as const;

export type Format = (typeof FORMATS)[number];

/** One thing that a file is or does. A file can be several things: each is a finding of its own, and each has to be acceptable. */
export type Finding =
  | { readonly kind: 'format'; readonly format: Format; readonly member?: string; readonly detail?: string }
  /** Not what the format demands, or beyond what can be judged within the limits: refused whatever is allowed. */
  | { readonly kind: 'malformed'; readonly format: Format; readonly member?: string; readonly detail: string }
  | { readonly kind: 'import'; readonly import: PickleImport; readonly member?: string }
  /** A file of the same model that this one takes data from; the caller checks that it is one. */
  | { readonly kind: 'reference'; readonly format: Format; readonly location: string; readonly member?: string };

/** What loading a pickle imports. `computed`: the name is made while loading, or by a registry, so nobody can judge it beforehand. */
export type PickleImport = { readonly module: string; readonly name: string; readonly verdict: 'allowed' | 'dangerous' | 'computed' };

/** Thrown by the readers of one format, caught by `identify`: becomes a `malformed` finding, never an error of the program. */
export class Defect extends Error {
  override readonly name: string = 'Defect';
}

/** Reading stopped at a limit of ours, where a loader would have gone on: what lies behind is not known. */
export class BeyondLimits extends Defect {
  override readonly name = 'BeyondLimits';
}
