// SPDX-License-Identifier: Apache-2.0
// Caps that stand apart from the readers they are for: whoever only has to know the number must not load a YAML or certificate library for it.

/** Longest policy or configuration file, in bytes. One that people write has a few kilobytes. */
export const MAX_YAML_BYTES = 256 * 1024;

/** Longest DER certificate that is looked at, in bytes; real ones are below 4 KiB. */
export const MAX_CERTIFICATE_BYTES = 64 * 1024;

/** Longest RFC 3161 response that is looked at, in bytes; real ones are below 8 KiB. */
export const MAX_TIMESTAMP_BYTES = 64 * 1024;
