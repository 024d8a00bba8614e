// node llama.mjs MODEL.gguf: native llama.cpp, one thread
import { getLlama } from "node-llama-cpp";
import { serveRounds } from "./rounds.mjs";

const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: "error" });
const model = await llama.loadModel({ modelPath: process.argv[2] });
const context = await model.createContext({ contextSize: 1024, threads: 1, batchSize: 512 });
const sequence = context.getSequence();

await serveRounds(async (round, promptTokens, decodeTokens) => {
  await sequence.clearHistory();
  const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 7919 + round) % 50256);
  const start = performance.now();
  let decoding = start;
  let tokens = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (tokens === 0) decoding = performance.now();
    if (tokens++ === decodeTokens) break;
  }
  if (tokens <= decodeTokens) throw new Error(`stopped after ${tokens} tokens`);
  return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
});
process.exit(0);
