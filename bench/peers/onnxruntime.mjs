// node onnxruntime.mjs web|node MODEL.onnx LAYERS HEADS HEAD_DIM
import { readFileSync } from "node:fs";
import { serveRounds } from "./rounds.mjs";

const [, , build, file, layers, heads, headDim] = process.argv;
const ort = await import(build === "web" ? "onnxruntime-web" : "onnxruntime-node");
if (build === "web") ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(
  build === "web" ? new Uint8Array(readFileSync(file)) : file,
  {
    graphOptimizationLevel: "all",
    ...(build === "web" ? { executionProviders: ["wasm"] } : { intraOpNumThreads: 1, interOpNumThreads: 1 }),
  },
);

const caches = Array.from({ length: Number(layers) }, (_, i) => [`k${i}`, `v${i}`]).flat();
let past;

function reset() {
  past = Object.fromEntries(
    caches.map((name) => [
      `past_${name}`,
      new ort.Tensor("float32", new Float32Array(0), [1, Number(heads), 0, Number(headDim)]),
    ]),
  );
}

/** Runs `ids` from `position` on; returns the likeliest next token. */
async function step(ids, position) {
  const tokens = ids.length;
  const total = position + tokens;
  const mask = new Float32Array(tokens * total);
  for (let i = 0; i < tokens; i++) mask.fill(-1e9, i * total + position + i + 1, (i + 1) * total);
  const int64 = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, tokens]);
  const out = await session.run({
    input_ids: int64(ids),
    position_ids: int64(ids.map((_, i) => position + i)),
    mask: new ort.Tensor("float32", mask, [1, 1, tokens, total]),
    ...past,
  });
  for (const name of caches) past[`past_${name}`] = out[`present_${name}`];
  const logits = out.logits.data;
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

await serveRounds(async (round, promptTokens, decodeTokens) => {
  reset();
  const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 7919 + round) % 50257);
  const start = performance.now();
  let token = await step(prompt, 0);
  const decoding = performance.now();
  for (let i = 0; i < decodeTokens; i++) token = await step([token], promptTokens + i);
  return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
});
