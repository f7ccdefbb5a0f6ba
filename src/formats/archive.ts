// SPDX-License-Identifier: Apache-2.0
import type { Finding, Format } from './finding.ts';

/** What a zip is, by the names of its members. */
export type ArchiveKind = 'pytorch' | 'torchscript' | 'npz' | 'keras' | 'zip';

export function archiveKind(names: readonly string[]): ArchiveKind {
  if (names.length === 0) return 'zip';
  const some = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  // PyTorch looks members up whatever their case.
  if (some(/(^|\/)data\.pkl$/i)) return some(/(^|\/)code\/|(^|\/)constants\.pkl$/i) ? 'torchscript' : 'pytorch';
  if (names.every((name) => name.endsWith('.npy'))) return 'npz';
  if (names.includes('config.json') && names.includes('metadata.json')) return 'keras';
  return 'zip';
}

/** Members of a PyTorch archive that are bytes of numbers: nothing reads more into them. */
const TENSOR = /(^|\/)(data|tensors|constants)\/\d+$/;
const TORCH_NOTES = /(^|\/)(version|byteorder|\.format_version|\.storage_alignment|\.data\/serialization_id)$/;
const ACTIVE: readonly Format[] = ['executable', 'script', 'zip', 'pickle', 'joblib'];

/** Whether a finding in a member says no more than that the archive is what it is. */
export function isExpected(kind: ArchiveKind, member: string, finding: Finding): boolean {
  switch (kind) {
    case 'pytorch':
    case 'torchscript':
      if (TENSOR.test(member))
        return finding.kind === 'import' ? finding.import.verdict === 'allowed' : !('format' in finding && ACTIVE.includes(finding.format));
      if (finding.kind !== 'format') return false;
      if (TORCH_NOTES.test(member)) return finding.format === 'text' || finding.format === 'json';
      if (kind === 'torchscript' && /(^|\/)code\//.test(member)) return true;
      return member.endsWith('.pkl') && finding.format === 'pickle';
    case 'npz':
      return finding.kind === 'format' && finding.format === 'npy';
    case 'keras':
      return (
        finding.kind === 'format' &&
        ((/^(config|metadata)\.json$/.test(member) && finding.format === 'json') || (member.endsWith('.weights.h5') && finding.format === 'hdf5'))
      );
    case 'zip':
      return false;
  }
}
