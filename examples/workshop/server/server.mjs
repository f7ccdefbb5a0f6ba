// SPDX-License-Identifier: Apache-2.0
// A model server as small as one can be: loads config.json and model.onnx from the shared volume, and says what kind of file a text is.
//   GET /health            {"status": "ready", "files": ["config.json", …]}: what is in the folder
//   POST /predict  BYTES   {"label": "python", "score": 0.98}
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web';

const MAX_BODY_BYTES = 1 << 20;
const FOLDER = process.env.MODEL_PATH ?? '/data/bert-base-uncased';
const HOST = process.env.HOST ?? '0.0.0.0';
const PORT = Number(process.env.PORT ?? 8080);

ort.env.wasm.numThreads = 1; // a thread per core of the node is not what the pod's limit gives
const config = JSON.parse(await readFile(join(FOLDER, 'config.json'), 'utf8'));
const session = await ort.InferenceSession.create(await readFile(join(FOLDER, 'model.onnx')));

const server = createServer(async (request, response) => {
  const [status, answer] = await handle(request).catch((error) => [500, { error: String(error) }]);
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`);
});
server.listen(PORT, HOST, () => console.log(`serving ${FOLDER} on ${HOST}:${PORT}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0)); // PID 1 has no default action

async function handle(request) {
  if (request.method === 'GET' && request.url === '/health') return [200, { status: 'ready', files: (await readdir(FOLDER)).sort() }];
  if (request.method !== 'POST' || request.url !== '/predict') return [404, { error: 'POST /predict' }];
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return [413, { error: `more than ${MAX_BODY_BYTES} bytes` }];
    chunks.push(chunk);
  }
  return [200, await predict(Buffer.concat(chunks))];
}

/** The model sees the first and the last kilobyte without the white space around them, one number a byte. */
async function predict(content) {
  const { beg_size, end_size, block_size, padding_token, target_labels_space } = config;
  const features = new Int32Array(beg_size + end_size).fill(padding_token);
  features.set(trim(content.subarray(0, block_size), 'start').subarray(0, beg_size));
  const end = trim(content.subarray(Math.max(0, content.length - block_size)), 'end').subarray(-end_size);
  features.set(end, features.length - end.length);
  const input = new ort.Tensor('int32', features, [1, features.length]);
  const output = await session.run({ [session.inputNames[0]]: input });
  const scores = output[session.outputNames[0]].data;
  const best = scores.reduce((top, score, index) => (score > scores[top] ? index : top), 0);
  return { label: target_labels_space[best], score: Number(scores[best].toFixed(3)) };
}

function trim(bytes, side) {
  const white = (byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
  let from = 0;
  let to = bytes.length;
  if (side === 'start') while (from < to && white(bytes[from])) from++;
  else while (to > from && white(bytes[to - 1])) to--;
  return bytes.subarray(from, to);
}
