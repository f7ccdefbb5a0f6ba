// SPDX-License-Identifier: Apache-2.0
import { CertificateChainValidationEngine, type GeneralSubtree, type NameConstraints } from 'pkijs';
import type { NonEmpty } from '../base/brands.ts';
import { printable } from '../base/redact.ts';
import { type Certificate, extendedKeyUsage, extensionsOf, hasKeyUsage, issuerOf, isValidAt, OID, pathLengthLimit, subjectOf } from './x509.ts';

/** Longest path, leaf and anchor included. */
const MAX_PATH = 8;
/** Certificates that share a name and a key multiply the paths: hostile bundles must not buy time with that. */
const MAX_LINKS = 128;
const MAX_CANDIDATES = 16;

/** Signature algorithms of a certificate; MD5, SHA-1 and everything unknown is refused. */
export const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2', // ecdsa-with-SHA256
  '1.2.840.10045.4.3.3', // ecdsa-with-SHA384
  '1.2.840.10045.4.3.4', // ecdsa-with-SHA512
  '1.2.840.113549.1.1.11', // sha256WithRSAEncryption
  '1.2.840.113549.1.1.12', // sha384WithRSAEncryption
  '1.2.840.113549.1.1.13', // sha512WithRSAEncryption
  '1.2.840.113549.1.1.10', // RSASSA-PSS
  '1.3.101.112', // Ed25519
]);
const MIN_RSA_BITS = 2048;

/** Extensions whose meaning this file or pkijs' engine applies: only these may be critical (RFC 5280 §4.2). */
const UNDERSTOOD = new Set([
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.nameConstraints,
  OID.extKeyUsage,
  '2.5.29.32', // certificatePolicies
  '2.5.29.33', // policyMappings
  '2.5.29.36', // policyConstraints
  '2.5.29.54', // inhibitAnyPolicy
]);

/** Name forms pkijs compares with constraints: e-mail, DNS, directory, URI, IP address. */
const COMPARED_NAME_FORMS = new Set([1, 2, 4, 6, 7]);
const OID_EMAIL_ADDRESS = '1.2.840.113549.1.9.1';

export type PathResult =
  | { readonly kind: 'valid'; readonly path: NonEmpty<Certificate> }
  /** `outdated` is not valid at that time; policies and name constraints were not looked at. */
  | { readonly kind: 'outdated'; readonly outdated: Certificate }
  | { readonly kind: 'invalid'; readonly problem: string };

/**
 * RFC 5280 path validation from `leaf` to one of `anchors`, at the time `at`. `helpers` may only complete the path.
 * pkijs' engine judges policies and name constraints. It is handed one finished path at a time, because its own search
 * neither ends on cross-signed cycles nor checks path lengths, names of self-issued certificates or extensions of the leaf.
 */
export async function validatePath(request: {
  readonly leaf: Certificate;
  readonly anchors: readonly Certificate[];
  readonly helpers: readonly Certificate[];
  readonly purpose: typeof OID.codeSigning | typeof OID.timeStamping;
  readonly at: Date;
}): Promise<PathResult> {
  const search = searchPaths(request.leaf, request.anchors, request.helpers);
  let result: PathResult = { kind: 'invalid', problem: search.problem };
  for (const path of search.paths) {
    const outdated = path.find((certificate) => !isValidAt(certificate, request.at));
    const problem = pathProblem(path, request.purpose) ?? (outdated === undefined ? await engineProblem(path, request.at) : undefined);
    // A path that is only outdated says more than one that is wrong.
    if (problem !== undefined) result = result.kind === 'outdated' ? result : { kind: 'invalid', problem };
    else if (outdated !== undefined) result = { kind: 'outdated', outdated };
    else return { kind: 'valid', path };
  }
  return result;
}

/** All paths whose names chain and whose signatures verify, depth first, up to the limits. */
function searchPaths(
  leaf: Certificate,
  anchors: readonly Certificate[],
  helpers: readonly Certificate[],
): { paths: readonly NonEmpty<Certificate>[]; problem: string } {
  const trusted = new Set(anchors.map((a) => a.fingerprint));
  const pool = [...new Map([...anchors, ...helpers].map((c) => [c.fingerprint, c])).values()];
  const paths: NonEmpty<Certificate>[] = [];
  let links = 0;
  let longest: NonEmpty<Certificate> = [leaf];

  const extend = (path: NonEmpty<Certificate>): void => {
    const last = path.at(-1) ?? path[0];
    if (path.length > longest.length) longest = path;
    if (trusted.has(last.fingerprint)) {
      paths.push(path);
      return;
    }
    if (path.length === MAX_PATH) return;
    for (const issuer of pool) {
      if (paths.length >= MAX_CANDIDATES || links >= MAX_LINKS) return;
      if (path.includes(issuer) || !last.x509.checkIssued(issuer.x509)) continue;
      links++;
      if (last.x509.verify(issuer.key)) extend([...path, issuer]);
    }
  };
  extend([leaf]);
  if (links >= MAX_LINKS) return { paths, problem: `there are too many ways to combine the certificates (more than ${MAX_LINKS})` };
  const end = longest.at(-1) ?? leaf;
  const own = end.x509.subject === end.x509.issuer && end.x509.verify(end.key);
  const why = own ? 'is self-signed, but is not one of the given anchors' : `was issued by '${show(issuerOf(end))}', and no given certificate vouches for that`;
  return { paths, problem: `'${show(subjectOf(end))}' ${why}` };
}

/** What OpenSSL's issuer check and pkijs leave out. */
function pathProblem(path: NonEmpty<Certificate>, purpose: string): string | undefined {
  const last = path.length - 1;
  for (const [i, certificate] of path.entries()) {
    const name = `'${show(subjectOf(certificate))}'`;
    const extension = extensionProblem(certificate);
    if (extension !== undefined) return `${name} ${extension}`;
    // The signature on the anchor itself proves nothing and is not relied upon.
    if (i < last && !SIGNATURE_ALGORITHMS.has(certificate.x509.signatureAlgorithmOid)) {
      return `${name} is signed with an algorithm that is not accepted (${certificate.x509.signatureAlgorithm})`;
    }
    if (i === 0) continue;
    if (!certificate.x509.ca) return `${name} issued a certificate, but is not a CA`;
    if (hasKeyUsage(certificate, 'keyCertSign') === false) return `${name} issued a certificate without the key usage keyCertSign`;
    const bits = certificate.key.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && bits < MIN_RSA_BITS) return `${name} has an RSA key of ${bits} bits, at least ${MIN_RSA_BITS} are needed`;
    const limit = pathLengthLimit(certificate);
    const below = path.slice(1, i).filter((c) => c.x509.subject !== c.x509.issuer).length;
    if (limit !== undefined && below > limit) return `${name} allows ${limit} intermediate certificates below it, there are ${below}`;
    const purposes = extendedKeyUsage(certificate)?.purposes;
    if (i < last && purposes !== undefined && !purposes.includes(purpose) && !purposes.includes(OID.anyExtendedKeyUsage)) {
      return `${name} is a CA for other purposes only`;
    }
  }
  return nameConstraintsProblem(path);
}

function extensionProblem(certificate: Certificate): string | undefined {
  const extensions = extensionsOf(certificate);
  const ids = extensions.map((e) => e.extnID);
  const repeated = ids.find((id, i) => ids.indexOf(id) !== i);
  if (repeated !== undefined) return `has the extension ${repeated} twice`;
  for (const extension of extensions) {
    if (!UNDERSTOOD.has(extension.extnID)) {
      if (extension.critical) return `has the unknown critical extension ${extension.extnID}`;
      continue;
    }
    // pkijs puts an empty default in the place of a value it cannot read: constraints would silently vanish.
    const value: object | undefined = extension.parsedValue;
    if (value === undefined || ('parsingError' in value && value.parsingError)) return `has an unreadable extension ${extension.extnID}`;
  }
  return undefined;
}

/**
 * pkijs takes the union of permitted subtrees where RFC 5280 §6.1.4(g) wants the intersection, ignores name forms it does
 * not know, and skips e-mail addresses in subjects when excluding. Paths that depend on any of it are refused.
 */
function nameConstraintsProblem(path: NonEmpty<Certificate>): string | undefined {
  const constrained = path.flatMap((certificate) => extensionsOf(certificate).filter((e) => e.extnID === OID.nameConstraints));
  if (constrained.length === 0) return undefined;
  if (constrained.length > 1) return 'more than one certificate of the path has name constraints, which is not supported';
  const subtrees = constrained.flatMap((e) => subtreesOf(e.parsedValue));
  if (subtrees.some((s) => !COMPARED_NAME_FORMS.has(s.base.type))) return 'the path has name constraints on a form of name that is not supported';
  const emailSubject = path.slice(0, -1).some((c) => c.asn1.subject.typesAndValues.some((t) => String(t.type) === OID_EMAIL_ADDRESS));
  if (emailSubject && subtrees.some((s) => s.base.type === 1))
    return 'the path has constraints on e-mail addresses and one in a subject, which is not supported';
  return undefined;
}

/** Policies and name constraints; the names of the anchor's own constraints count too, as OpenSSL has it. */
async function engineProblem(path: NonEmpty<Certificate>, at: Date): Promise<string | undefined> {
  const [leaf, ...issuers] = path;
  const anchor = issuers.at(-1);
  if (anchor === undefined) return undefined;
  const order = path.map((c) => c.asn1);
  const engine = new CertificateChainValidationEngine({
    trustedCerts: [anchor.asn1],
    certs: [...issuers.slice(0, -1).map((c) => c.asn1), leaf.asn1],
    checkDate: at,
    findIssuer: async (certificate) => order.slice(order.indexOf(certificate) + 1).slice(0, 1),
  });
  const own = extensionsOf(anchor).find((e) => e.extnID === OID.nameConstraints)?.parsedValue as NameConstraints | undefined;
  try {
    const result = await engine.verify({
      initialPermittedSubtreesSet: own?.permittedSubtrees ?? [],
      initialExcludedSubtreesSet: own?.excludedSubtrees ?? [],
    });
    return result.result ? undefined : printable(result.resultMessage, 200);
  } catch {
    return 'the path cannot be evaluated';
  }
}

function subtreesOf(value: NameConstraints | undefined): readonly GeneralSubtree[] {
  return [...(value?.permittedSubtrees ?? []), ...(value?.excludedSubtrees ?? [])];
}

function show(name: string): string {
  return printable(name, 200);
}
