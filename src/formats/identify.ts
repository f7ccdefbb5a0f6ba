// SPDX-License-Identifier: Apache-2.0
import { archiveKind, isExpected } from './archive.ts';
import { type ByteSource, readHead, slice } from './byteSource.ts';
import { Defect, type Finding, type Format } from './finding.ts';
import { checkGguf } from './gguf.ts';
import { judgeHdf5, startOfHdf5 } from './hdf5.ts';
import { type Compression, type InflateBudget, inflate } from './inflate.ts';
import { byMagic } from './magic.ts';
import { readNpyHeader } from './numpy.ts';
import { externalData, recogniseProtobuf } from './onnx.ts';
import type { WalkBudget } from './pickle.ts';
import { judgePickle, searchPickles } from './pickleFile.ts';
import { checkSafetensors, looksLikeSafetensors } from './safetensors.ts';
import { looksLikeTar } from './tarHead.ts';
import { judgeGraph } from './tensorflow.ts';
import { judgeText } from './text.ts';

/** Containers in containers: `model.tar.gz` with an archive of PyTorch in it is three. */
const MAX_DEPTH = 3;
const MAX_FINDINGS = 10_000;
const HEAD_BYTES = 4096;
const END_OF_ZIP = Buffer.from('PK\x05\x06', 'latin1');
const ZIP_TAIL_BYTES = 65_557;

type Budget = WalkBudget & InflateBudget & { members: number; findings: number };

/**
 * Everything that a file is, judged by its content and, for its members, by theirs. The name only adds suspicion. Whatever the bytes, the answer
 * is findings, never an exception; only the source's own failures are thrown.
 */
export async function identify(source: ByteSource, name: string): Promise<readonly Finding[]> {
  const budget: Budget = { opcodes: 50_000_000, inflatedBytes: 512 * 1024 * 1024, members: 200_000, findings: MAX_FINDINGS };
  return judgeSource(source, name, 0, budget);
}

async function judgeSource(source: ByteSource, name: string, depth: number, budget: Budget): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const attempt = async (format: Format, judge: () => Promise<readonly Finding[]>): Promise<void> => {
    try {
      findings.push(...(await judge()));
    } catch (error) {
      if (!(error instanceof Defect)) throw error;
      findings.push({ kind: 'malformed', format, detail: error.message });
    }
  };
  if (source.sizeBytes === 0) {
    const empty = { kind: 'format', format: /\.pyw?$/i.test(name) ? 'python' : 'text', detail: 'empty' } as const;
    return [empty, ...missing(name, [empty])];
  }
  await attempt('pickle', () => judgePickle(source, name, budget));
  const main = findings.length > 0;
  await attempt('unknown', async () => (await judgeMain(source, name, depth, budget, main)) ?? []);
  await attempt('tar', () => judgeHiddenTar(source, depth, budget, findings));
  await attempt('hdf5', () => judgeHiddenHdf5(source, findings));
  await attempt('zip', () => judgeAppendedZip(source, depth, budget));
  if (findings.length === 0) {
    await attempt('unknown', async () => [{ kind: 'format', format: 'unknown' }, ...(await searchPickles(source, name, budget))]);
  }
  return [...findings, ...missing(name, findings)];
}

/** What the file is from its first byte on; undefined when nothing recognises it. `pickle`: it is already known to be one. */
async function judgeMain(source: ByteSource, name: string, depth: number, budget: Budget, pickle: boolean): Promise<readonly Finding[] | undefined> {
  const known = await judgeKnown(source, name, depth, budget);
  const text = await judgeText(source, name);
  if (known === undefined && !pickle) return text ?? judgeMessage(source, name);
  // Some first bytes are letters: what a program is by its text, it is besides.
  const besides = (text ?? []).filter((finding) => !(finding.kind === 'format' && (finding.format === 'text' || finding.format === 'json')));
  return known === undefined && besides.length === 0 ? undefined : [...(known ?? []), ...besides];
}

/** By first bytes, or a header. */
async function judgeKnown(source: ByteSource, name: string, depth: number, budget: Budget): Promise<readonly Finding[] | undefined> {
  const head = await readHead(source, HEAD_BYTES);
  if (await looksLikeSafetensors(source)) return checked('safetensors', () => checkSafetensors(source));
  if (head.toString('latin1', 0, 4) === 'GGUF') return checkedMembers('gguf', () => checkGguf(source));
  if (head.toString('latin1', 0, 6) === '\x93NUMPY') return judgeNumpy(source, budget);
  const magic = byMagic(head);
  if (magic?.format === 'hdf5') return judgeHdf5(source);
  if (magic !== undefined) return [{ kind: 'format', ...magic }];
  const compression = compressionOf(head);
  if (compression !== undefined) {
    const inside = await judgeCompressed(source, compression, name, depth, budget);
    if (inside !== undefined) return inside;
  }
  if (head.toString('latin1', 0, 4) === 'PK\x03\x04') return judgeZip(source, depth, budget);
  return (await looksLikeTar(source)) ? checkedMembers('tar', () => judgeTar(source, depth, budget)) : undefined;
}

/** By the shape of a protobuf message. */
async function judgeMessage(source: ByteSource, name: string): Promise<readonly Finding[] | undefined> {
  const message = await recogniseProtobuf(source);
  if (message === 'onnx' || /\.onnx$/i.test(name)) return judgeOnnx(source);
  if (message === 'tensorflow') return judgeGraph(source);
  return message === undefined ? undefined : [{ kind: 'format', format: message }];
}

/** A finding of the format, and of its defects. */
async function checked(format: Format, check: () => Promise<void>): Promise<readonly Finding[]> {
  return checkedMembers(format, async () => {
    await check();
    return [];
  });
}

async function checkedMembers(format: Format, judge: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return [{ kind: 'format', format }, ...(await judge())];
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return [
      { kind: 'format', format },
      { kind: 'malformed', format, detail: error.message },
    ];
  }
}

async function judgeNumpy(source: ByteSource, budget: Budget): Promise<readonly Finding[]> {
  return checkedMembers('npy', async () => {
    const { dataStart, content } = await readNpyHeader(source);
    const dataBytes = source.sizeBytes - dataStart;
    if (content.kind === 'objects') {
      const findings = await judgePickle(slice(source, dataStart, dataBytes), 'objects.pkl', budget);
      const broken: readonly Finding[] =
        findings.length > 0 ? [] : [{ kind: 'malformed', format: 'numpy-object', detail: 'holds objects, but no pickle of them' }];
      return [{ kind: 'format', format: 'numpy-object' }, ...findings.filter(({ kind }) => kind !== 'format'), ...broken];
    }
    if (content.sizeBytes !== dataBytes) throw new Defect(`the array has ${content.sizeBytes} bytes, the file has ${dataBytes} for it`);
    return [];
  });
}

async function judgeOnnx(source: ByteSource): Promise<readonly Finding[]> {
  return checkedMembers('onnx', async () => (await externalData(source)).map((location) => ({ kind: 'reference', format: 'onnx', location })));
}

function compressionOf(head: Buffer): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 8) return 'gzip';
  // Deflate with a window of up to 32 KiB, no dictionary, and the header's own check.
  if (head.length > 2 && ((head[0] ?? 0) & 0x8f) === 8 && head.readUInt16BE(0) % 31 === 0 && ((head[1] ?? 0) & 0x20) === 0) return 'zlib';
  return undefined;
}

/** What is compressed is judged like a file of its own. Undefined for what only looks like zlib, whose two bytes prove little. */
async function judgeCompressed(
  source: ByteSource,
  compression: Compression,
  name: string,
  depth: number,
  budget: Budget,
): Promise<readonly Finding[] | undefined> {
  const format: Finding = { kind: 'format', format: 'compressed', detail: compression };
  if (depth >= MAX_DEPTH) return [format, tooDeep('compressed')];
  try {
    const inner = await inflate(source, compression, budget);
    return [format, ...(await judgeSource(inner, name.replace(/\.(gz|gzip|z)$/i, ''), depth + 1, budget))];
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return compression === 'zlib' && error.message.startsWith('does not decompress')
      ? undefined
      : [format, { kind: 'malformed', format: 'compressed', detail: error.message }];
  }
}

/** Whether the file itself, not a member of it, is known to be one. */
function isFound(format: Format, found: readonly Finding[]): boolean {
  return found.some((finding) => finding.kind === 'format' && finding.format === format && finding.member === undefined);
}

/** A tar begins with the name of its first member, which may look like anything. */
async function judgeHiddenTar(source: ByteSource, depth: number, budget: Budget, found: readonly Finding[]): Promise<readonly Finding[]> {
  if (isFound('tar', found)) return [];
  return (await looksLikeTar(source)) ? checkedMembers('tar', () => judgeTar(source, depth, budget)) : [];
}

/** HDF5 may begin behind a block of anything, of 512 bytes and its doubles. */
async function judgeHiddenHdf5(source: ByteSource, found: readonly Finding[]): Promise<readonly Finding[]> {
  if (isFound('hdf5', found)) return [];
  return (await startOfHdf5(source)) === undefined ? [] : judgeHdf5(source);
}

/** An archive behind something else: readers of archives begin at the end. */
async function judgeAppendedZip(source: ByteSource, depth: number, budget: Budget): Promise<readonly Finding[]> {
  if (source.readableBytes !== undefined) return [];
  if ((await readHead(source, 4)).toString('latin1') === 'PK\x03\x04') return [];
  const size = Math.min(ZIP_TAIL_BYTES, source.sizeBytes);
  const tail = Buffer.from(await source.read(source.sizeBytes - size, size));
  for (let at = tail.lastIndexOf(END_OF_ZIP); at >= 0; at = at === 0 ? -1 : tail.lastIndexOf(END_OF_ZIP, at - 1)) {
    // Of one disk and not behind itself, or right behind a directory: four bytes alone also occur by chance.
    if (at + 22 > tail.length) continue;
    const [start, directory] = [tail.readUInt32LE(at + 16), tail.readUInt32LE(at + 12)];
    const plausible = tail.readUInt32LE(at + 4) === 0 && (start === 0xffffffff || start + directory <= source.sizeBytes);
    if (plausible || (await isDirectory(source, source.sizeBytes - size + at - directory)) || (await isDirectory(source, start)))
      return [{ kind: 'malformed', format: 'zip', detail: 'a zip archive stands behind something else' }, ...(await judgeZip(source, depth, budget))];
  }
  return [];
}

/** Whether an entry of an archive's directory begins there. */
async function isDirectory(source: ByteSource, position: number): Promise<boolean> {
  if (position < 0 || position + 4 > source.sizeBytes) return false;
  return Buffer.from(await source.read(position, 4)).toString('latin1') === 'PK\x01\x02';
}

async function judgeZip(source: ByteSource, depth: number, budget: Budget): Promise<readonly Finding[]> {
  if (depth >= MAX_DEPTH) return [{ kind: 'format', format: 'zip' }, tooDeep('zip')];
  let kind: ReturnType<typeof archiveKind> = 'zip';
  const findings: Finding[] = [];
  try {
    const { readZip } = await import('./zip.ts');
    const { members, problems } = await readZip(source, budget.members);
    kind = archiveKind(members.map((member) => member.name));
    for (const detail of problems) findings.push({ kind: 'malformed', format: kind, detail });
    for (const member of members) {
      const inside = await judgeMember(() => member.open(budget), member.name, depth, budget);
      const told = inside.filter((finding) => !isExpected(kind, member.name, finding));
      budget.findings -= told.length;
      findings.push(...told.map((finding) => inMember(finding, member.name)));
    }
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    findings.push({ kind: 'malformed', format: kind, detail: error.message });
  }
  return [{ kind: 'format', format: kind }, ...findings];
}

async function judgeTar(source: ByteSource, depth: number, budget: Budget): Promise<readonly Finding[]> {
  if (depth >= MAX_DEPTH) return [tooDeep('tar')];
  const { readTar } = await import('./tar.ts');
  const findings: Finding[] = [];
  try {
    for await (const { name, start, sizeBytes } of readTar(source)) {
      if (/^\/|(^|\/)\.\.(\/|$)/.test(name))
        findings.push({ kind: 'malformed', format: 'tar', detail: 'has a member that would be written outside', member: name });
      const inside = await judgeMember(async () => slice(source, start, sizeBytes), name, depth, budget);
      budget.findings -= inside.length;
      findings.push(...inside.map((finding) => inMember(finding, name)));
    }
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    findings.push({ kind: 'malformed', format: 'tar', detail: error.message });
  }
  return findings;
}

async function judgeMember(open: () => Promise<ByteSource>, name: string, depth: number, budget: Budget): Promise<readonly Finding[]> {
  budget.members -= 1;
  if (budget.members < 0 || budget.findings < 0) throw new Defect('has more in it than is judged');
  try {
    return await judgeSource(await open(), name, depth + 1, budget);
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return [{ kind: 'malformed', format: 'unknown', detail: error.message }];
  }
}

function inMember(finding: Finding, name: string): Finding {
  return { ...finding, member: finding.member === undefined ? name : `${name}!${finding.member}` };
}

function tooDeep(format: Format): Finding {
  return { kind: 'malformed', format, detail: `is packed in more than ${MAX_DEPTH} layers` };
}

/** A name that promises a format the content is not, whatever its members are. */
function missing(name: string, findings: readonly Finding[]): readonly Finding[] {
  const promised = PROMISES.find(([pattern]) => pattern.test(name))?.[1];
  if (promised === undefined || promised.some((format) => isFound(format, findings))) return [];
  return [{ kind: 'malformed', format: promised[0] ?? 'unknown', detail: 'its name says so, its content does not' }];
}

const PROMISES: readonly (readonly [RegExp, readonly Format[]])[] = [
  [/\.safetensors$/i, ['safetensors']],
  [/\.gguf$/i, ['gguf']],
  [/\.onnx$/i, ['onnx']],
  [/\.npy$/i, ['npy']],
  [/\.npz$/i, ['npz']],
  [/\.keras$/i, ['keras', 'hdf5']],
  [/\.(h5|hdf5)$/i, ['hdf5']],
  [/\.(pkl|pickle|joblib)$/i, ['pickle', 'joblib', 'pytorch', 'compressed']],
];
