// node onnxruntime.mjs web|node MODEL.onnx LAYERS KEY_VALUE_HEADS HEAD_SIZE, of onnx-gpt2.ts or onnx-llama.ts
import { readFileSync } from "node:fs";
import { likeliest, logprobsOf, serve } from "./serve.mjs";

const [, , build, file, ...sizes] = process.argv;
const [layers, keyValueHeads, headSize] = sizes.map(Number);
const start = performance.now();
const ort = await import(build === "web" ? "onnxruntime-web" : "onnxruntime-node");
if (build === "web") ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(
  build === "web" ? new Uint8Array(readFileSync(file)) : file,
  {
    graphOptimizationLevel: "all",
    ...(build === "web" ? { executionProviders: ["wasm"] } : { intraOpNumThreads: 1, interOpNumThreads: 1 }),
  },
);

const caches = Array.from({ length: layers }, (_, i) => [`k${i}`, `v${i}`]).flat();
let past;

function reset() {
  past = Object.fromEntries(
    caches.map((name) => [
      `past_${name}`,
      new ort.Tensor("float32", new Float32Array(0), [1, keyValueHeads, 0, headSize]),
    ]),
  );
}

const int32 = (values, dims) => new ort.Tensor("int32", Int32Array.from(values), dims);
const int64 = (values, dims) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);

/** What either graph may want to know beside the past. */
const inputs = {
  input_ids: (ids) => int64(ids, [1, ids.length]),
  position_ids: (ids, position) =>
    int64(
      ids.map((_, i) => position + i),
      [1, ids.length],
    ),
  mask(ids, position) {
    const total = position + ids.length;
    const mask = new Float32Array(ids.length * total);
    ids.forEach((_, i) => void mask.fill(-1e9, i * total + position + i + 1, (i + 1) * total));
    return new ort.Tensor("float32", mask, [1, 1, ids.length, total]);
  },
  last_position: (ids, position) => int32([position + ids.length - 1], [1]),
  total: (ids, position) => int32([position + ids.length], []),
  rows: (ids, _, all) =>
    all
      ? int64(
          ids.map((_, i) => i),
          [ids.length],
        )
      : int64([ids.length - 1], [1]),
};

/** Runs `ids` from `position` on; the logits of the last one, or of all. */
async function step(ids, position, all = false) {
  const fed = Object.entries(inputs).filter(([name]) => session.inputNames.includes(name));
  const out = await session.run({
    ...Object.fromEntries(fed.map(([name, make]) => [name, make(ids, position, all)])),
    ...past,
  });
  for (const name of caches) past[`past_${name}`] = out[`present_${name}`];
  return out.logits.data;
}

await serve(performance.now() - start, {
  async run(ids, decodeTokens) {
    reset();
    const start = performance.now();
    let token = likeliest(await step(ids, 0));
    const decoding = performance.now();
    for (let i = 0; i < decodeTokens; i++) token = likeliest(await step([token], ids.length + i));
    return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
  },
  async score(ids, asked) {
    reset();
    const logits = await step(ids, 0, true);
    const vocabulary = logits.length / ids.length;
    const positions = ids.map((_, i) =>
      logprobsOf(logits.subarray(i * vocabulary, (i + 1) * vocabulary), asked[i]),
    );
    return {
      logprobs: positions.flatMap(({ logprobs }) => logprobs),
      best: positions.map(({ best }) => best),
    };
  },
});
process.exit(0);
