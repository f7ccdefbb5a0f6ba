// SPDX-License-Identifier: Apache-2.0
// The good model under signatures other than the publisher's key. Needs dist/.
import { appendFile, cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeToken, startSigstoreServer } from '../../servers/sigstoreServer.ts';
import { CODE_SIGNING, email, issue, keyPair, pem, root } from '../../trust/pki.ts';
import { must } from './process.ts';

const PROGRAM = new URL('../../../dist/main.js', import.meta.url).pathname;

export type Anchors = { readonly ca: string; readonly trustedRoot: string };

/** Puts `certified` and `keyless` on the shelf, and each of them with a changed file. The names are those that the trust components ask for. */
export async function signOtherwise(shelf: string, folder: string): Promise<Anchors> {
  return { ca: await certify(shelf, folder), trustedRoot: await signKeyless(shelf, folder) };
}

/** A copy of the good model under another kind of signature, and one of which a file was changed afterwards. */
async function sign(shelf: string, name: string, args: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const model = join(shelf, name);
  await cp(join(shelf, 'good'), model, { recursive: true });
  await rm(join(model, 'model.sig'));
  await must(process.execPath, [PROGRAM, 'sign', args[0] ?? '', model, ...args.slice(1)], { env });
  await cp(model, `${model}-changed`, { recursive: true });
  await appendFile(join(`${model}-changed`, 'config.json'), 'BACKDOOR INJECTION\n');
}

async function certify(shelf: string, folder: string): Promise<string> {
  const ca = await root();
  const from = new Date(Date.now() - 60_000);
  const to = new Date(Date.now() + 3_600_000);
  const signer = await issue({
    issuer: ca,
    ca: false,
    keyUsage: ['digitalSignature'],
    purposes: [CODE_SIGNING],
    names: [email('release@example.com')],
    key: keyPair('P-256'),
    from,
    to,
  });
  const [key, certificate] = [join(folder, 'certified.key'), join(folder, 'certified.pem')];
  await writeFile(key, signer.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(certificate, pem(signer));
  await sign(shelf, 'certified', ['certificate', '--private-key', key, '--signing-certificate', certificate]);
  return pem(ca);
}

async function signKeyless(shelf: string, folder: string): Promise<string> {
  await using sigstore = await startSigstoreServer();
  const config = join(folder, 'trust-config.json');
  await writeFile(config, JSON.stringify(sigstore.trustConfig()));
  const SIGSTORE_ID_TOKEN = makeToken({ iss: 'https://dex.example.com', email: 'release@example.com', email_verified: true });
  await sign(shelf, 'keyless', ['sigstore', '--trust-config', config], { SIGSTORE_ID_TOKEN });
  return JSON.stringify(sigstore.instance.trustedRoot);
}
