// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import { Cursor } from './cursor.ts';
import { Defect } from './finding.ts';
import { fileBeside } from './location.ts';
import { type Field, type FieldBudget, fieldsOf } from './protobuf.ts';

const MAX_FIELDS = 4_000_000;
const MAX_DEPTH = 24;
const MAX_LOCATIONS = 10_000;

/** What a protobuf message without a magic number is, told by the shape of its outermost fields. */
export async function recogniseProtobuf(source: ByteSource): Promise<'onnx' | 'tensorflow' | 'sentencepiece' | undefined> {
  const seen = new Map<number, Field>();
  let pieces = 0;
  try {
    for await (const field of fieldsOf(new Cursor(source), source.sizeBytes, { fields: 2_000_000 })) {
      if (!seen.has(field.number)) seen.set(field.number, field);
      if (field.number === 1 && field.wire === 2) pieces += 1;
      // Every message of interest has small field numbers; anything else is other bytes that happen to parse.
      if (field.number > 100) return undefined;
    }
    const wire = (number: number): number | undefined => seen.get(number)?.wire;
    if (wire(1) === 0 && (wire(7) === 2 || wire(8) === 2) && [...seen.keys()].every((number) => number <= 26)) return 'onnx';
    if (wire(1) === 0 && wire(2) === 2 && seen.size === 2) return 'tensorflow';
    if (pieces > 0 && [...seen.keys()].every((number) => number <= 5) && (await isPiece(source, seen.get(1)))) return 'sentencepiece';
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
  }
  return undefined;
}

/** A SentencePiece: its text, its score, its type. */
async function isPiece(source: ByteSource, field: Field | undefined): Promise<boolean> {
  if (field === undefined) return false;
  let text = false;
  for await (const { number, wire } of fieldsOf(new Cursor(source, field.start), field.start + field.sizeBytes, { fields: 16 })) {
    if (number === 1 && wire === 2) text = true;
    else if (!(number === 2 && wire === 5) && !(number === 3 && wire === 0)) return false;
  }
  return text;
}

/** Where messages lie in messages, by field number: the way from ModelProto to every TensorProto. */
const CHILDREN = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
  entry: {},
} as const satisfies Readonly<Record<string, Readonly<Record<number, string>>>>;

type Message = keyof typeof CHILDREN;

/**
 * The files that the tensors of an ONNX model take their data from, wherever they stand. Each has to be a plain relative name of a file of the
 * same model: loaders open it, so that any other would read the node's files into the model. @throws Defect
 */
export async function externalData(source: ByteSource): Promise<readonly string[]> {
  const budget: FieldBudget = { fields: MAX_FIELDS };
  const locations = new Set<string>();
  const cursor = new Cursor(source);
  const visit = async (kind: Message, end: number, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH) throw new Defect(`is nested deeper than ${MAX_DEPTH} levels`);
    if (kind === 'entry') {
      const location = await locationOf(cursor, end, budget);
      if (location !== undefined) locations.add(fileBeside(location));
      if (locations.size > MAX_LOCATIONS) throw new Defect(`takes data from more than ${MAX_LOCATIONS} files`);
      return;
    }
    const children: Readonly<Record<number, Message>> = CHILDREN[kind];
    for await (const field of fieldsOf(cursor, end, budget)) {
      const child = children[field.number];
      if (child !== undefined && field.wire === 2) await visit(child, field.start + field.sizeBytes, depth + 1);
    }
  };
  await visit('model', source.sizeBytes, 0);
  return [...locations];
}

async function locationOf(cursor: Cursor, end: number, budget: FieldBudget): Promise<string | undefined> {
  let key = '';
  let value = '';
  for await (const field of fieldsOf(cursor, end, budget)) {
    if (field.wire !== 2) continue;
    if (field.sizeBytes > 4096) throw new Defect('has a location longer than any path');
    if (!cursor.has(field.sizeBytes)) await cursor.buffer(field.sizeBytes);
    const text = cursor.take(field.sizeBytes).toString('utf8');
    if (field.number === 1) key = text;
    if (field.number === 2) value = text;
  }
  return key === 'location' ? value : undefined;
}
