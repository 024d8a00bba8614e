// node llama.mjs MODEL.gguf: native llama.cpp as node-llama-cpp brings it, one thread
import { getLlama } from "node-llama-cpp";
import { serve } from "./serve.mjs";

const start = performance.now();
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: "error" });
const model = await llama.loadModel({ modelPath: process.argv[2] });
const context = await model.createContext({ contextSize: 1024, threads: 1, batchSize: 512 });
const sequence = context.getSequence();

await serve(performance.now() - start, {
  async run(ids, decodeTokens) {
    await sequence.clearHistory();
    const start = performance.now();
    let decoding = start;
    let tokens = 0;
    for await (const _ of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      if (tokens === 0) decoding = performance.now();
      if (tokens++ === decodeTokens) break;
    }
    if (tokens <= decodeTokens) throw new Error(`stopped after ${tokens} tokens`);
    return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
  },
});
process.exit(0);
