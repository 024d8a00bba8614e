// What every runtime computes, with each of the models: the token ids and log-probabilities of prompts × sampling
// settings, as two digests. Web standards only.
import { compileConstraint } from "edgeformer/constrain";

/**
 * The bundled model, and one without a tokenizer: Qwen3's layers with random weights, grouped queries, norms on queries
 * and keys, and a window in every other layer.
 */
export const MODELS = ["fable", "grouped"];

const PROMPTS = [
  "Once upon a time",
  "The little robot looked at the moon and",
  '"Who are you?" asked the fox.',
  "Lily had a red ball. She",
  "a",
  " ",
  "\n\n\n",
  "Once upon a time ".repeat(20),
  "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
  "古池や蛙飛び込む水の音",
  "👩‍👩‍👧‍👦 went to the zoo 🐘🐘",
  "naïve café \u0301\u0301",
  "<|endoftext|> is only text",
  "for (let i = 0; i < 10; i++) {\n\tconsole.log(i);\n}",
  "1 + 1 = 2, 2 + 2 = 4, 4 + 4 =",
  "THE END",
  "Tom and Tom and Tom and Tom and",
  "It was raining, so they stayed inside and",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "She opened the old wooden box. Inside, there was a",
];

const SETTINGS = [
  { temperature: 0 },
  { temperature: 1 },
  { temperature: 0.8, topK: 40 },
  { temperature: 1, topP: 0.9 },
  { temperature: 1.3, minP: 0.05 },
  {
    temperature: 0.9,
    repetitionPenalty: 1.3,
    presencePenalty: 0.5,
    frequencyPenalty: 0.4,
    logitBias: { 257: 2, 262: -3 },
  },
];

/** Answers that may only be such. */
const CONSTRAINTS = [
  { choice: ["the fox", "the moon", "the little robot"] },
  { regex: "[A-Z][a-z]{2,8}( [a-z]{1,9}){3}\\." },
  { regex: "\\d{1,3}(,\\d{1,3}){2}|none" },
];

const MAX_TOKENS = 16;

async function digest(numbers) {
  const bytes = new Uint8Array(Float64Array.from(numbers).buffer);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A prompt as text; as ids for a model that has no tokenizer. */
function promptFor({ tokenizer, manifest, context }, text) {
  if (tokenizer) return text;
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => byte % manifest.recipe.vocabSize);
  return bytes.slice(0, context - MAX_TOKENS);
}

/** Settings whose tokens the model has. */
function settingFor({ manifest }, { logitBias, ...setting }) {
  if (!logitBias) return setting;
  const biases = Object.entries(logitBias).map(([id, bias]) => [id % manifest.recipe.vocabSize, bias]);
  return { ...setting, logitBias: Object.fromEntries(biases) };
}

/** @param {import("edgeformer").Model} model */
async function results(model) {
  const ids = [];
  const logprobs = [];
  let completed = 0;
  for (const [i, text] of PROMPTS.entries()) {
    const prompt = promptFor(model, text);
    const settings = SETTINGS.map((setting) => settingFor(model, setting));
    if (model.tokenizer)
      for (const source of CONSTRAINTS) settings.push({ constraint: compileConstraint(source) });
    const completions = await Promise.all(
      settings.map((setting, j) =>
        model.complete(prompt, { ...setting, seed: 1000 * i + j, maxTokens: MAX_TOKENS, logprobs: 5 }),
      ),
    );
    for (const completion of completions) {
      ids.push(completion.ids.length, ...completion.ids);
      for (const token of completion.logprobs)
        logprobs.push(token.logprob, ...token.top.flatMap(({ id, logprob }) => [id, logprob]));
    }
    completed += completions.length;
    const score = await model.score(prompt, { topLogprobs: 3 });
    ids.push(...score.ids);
    logprobs.push(...score.tokenLogprobs.slice(1));
    for (const top of score.topLogprobs.slice(1))
      logprobs.push(...top.flatMap(({ id, logprob }) => [id, logprob]));
  }
  return {
    completions: completed,
    tokens: ids.length,
    logprobs: logprobs.length,
    idsDigest: await digest(ids),
    logprobsDigest: await digest(logprobs),
  };
}

/**
 * The results with each model.
 *
 * @param {(name: string) => Promise<import("edgeformer").Model>} open a model by its directory's name
 */
export async function conformance(open) {
  const all = {};
  for (const name of MODELS) {
    const model = await open(name);
    all[name] = await results(model);
    model.dispose();
  }
  return all;
}
