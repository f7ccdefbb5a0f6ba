// SPDX-License-Identifier: Apache-2.0
// Run by ssrf.test.ts in a network namespace: an agent that hands out credentials at 169.254.170.2, as on ECS, and a pull that needs them.
import { createServer } from 'node:http';
import { startS3Server } from '../servers/s3Server.ts';
import { SMALL_MODEL, scratch, signed, treeOf } from '../support/model.ts';
import { pullHere } from '../support/run.ts';

const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's3cr3t', sessionToken: 'token' };
const asked: string[] = [];
const agent = createServer((request, response) => {
  asked.push(request.url ?? '');
  const { accessKeyId, secretAccessKey, sessionToken } = keys;
  const body = { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration: '2099-01-01T00:00:00Z' };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
await new Promise<void>((resolve) => agent.listen(80, '169.254.170.2', resolve));

const objects = Object.fromEntries(Object.entries(signed(SMALL_MODEL)).map(([name, body]) => [`v1/${name}`, body]));
await using server = await startS3Server({ buckets: { models: objects }, keys });
using tmp = scratch();
process.env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] = '/credentials';
const { reason } = await pullHere(['s3://models/v1/', tmp.at('models')], { env: { AWS_ENDPOINT_URL: server.origin, AWS_REGION: 'us-east-1' } });
process.stdout.write(JSON.stringify({ reason, asked, published: Object.keys(treeOf(tmp.at('models'))) }));
agent.close();
agent.closeAllConnections();
