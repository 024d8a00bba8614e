// `bun surprise.js TEXT`: the surprisal of each token of a text, in bits.
import { compileEngine, loadModel } from "edgeformer";

const text = Bun.argv[2];
if (!text) {
  console.error('Give a text: bun surprise.js "Once upon a time"');
  process.exit(2);
}

const packaged = (path) => Bun.file(new URL(import.meta.resolve(`edgeformer/${path}`)));
const model = await loadModel({
  module: await compileEngine(packaged("engine.wasm").arrayBuffer()),
  source: { name: "fable", open: async (file) => packaged(`models/fable/${file}`).stream() },
});

const { ids, tokenLogprobs, perplexity } = await model.score(text);
for (const [i, id] of ids.entries()) {
  const logprob = tokenLogprobs[i];
  const bits = logprob === null ? "" : (-logprob / Math.LN2).toFixed(2);
  console.log(bits.padStart(6), JSON.stringify(model.tokenizer.decode([id])));
}
console.log(`perplexity ${perplexity.toFixed(2)}`);
