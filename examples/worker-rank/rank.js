// `POST / {"text": …, "candidates": […]}`: the candidates, ordered by how likely they follow the text.
import { EdgeformerError, fetchSource, loadModel } from "edgeformer";
import engine from "edgeformer/engine.wasm";

let model;

/** The isolate's model. A promise may not be shared between requests, so only the finished model is. */
async function ready(env) {
  if (model) return model;
  const loaded = await loadModel({
    module: engine,
    source: fetchSource("https://assets.invalid/", (url) => env.ASSETS.fetch(url)),
    pause: () => scheduler.wait(0),
  });
  if (model) loaded.dispose();
  else model = loaded;
  return model;
}

async function rank(model, text, candidates) {
  const beginning = model.tokenizer.encode(text);
  const ranked = [];
  for (const candidate of candidates) {
    const ending = model.tokenizer.encode(candidate);
    const { tokenLogprobs } = await model.score([...beginning, ...ending]);
    const logprob = tokenLogprobs.slice(beginning.length).reduce((sum, each) => sum + each, 0);
    ranked.push({ candidate, logprob, mean: logprob / ending.length });
  }
  return ranked.sort((a, b) => b.mean - a.mean);
}

const bad = (error) => Response.json({ error }, { status: 400 });

export default {
  async fetch(request, env) {
    const body = await request.json().catch(() => undefined);
    const { text, candidates } = body ?? {};
    const strings = [text, ...(Array.isArray(candidates) ? candidates : [])];
    if (strings.length < 2 || !strings.every((each) => typeof each === "string" && each !== ""))
      return bad('send {"text": "a beginning", "candidates": ["one ending", "another"]}');
    try {
      return Response.json({ ranked: await rank(await ready(env), text, candidates) });
    } catch (error) {
      if (error instanceof EdgeformerError && error.code !== "invalid_model") return bad(error.message);
      throw error;
    }
  },
};
