import type { FinishReason, GenerateOptions, Model, Score, Usage } from "../src/index.ts";
import { resolveOptions } from "../src/options.ts";
import { Choice, type Delta } from "./choice.ts";
import type { Config } from "./config.ts";
import { HttpError, invalidField } from "./errors.ts";
import type { CompletionRequest, Prompt, UsageShape } from "./schema.ts";

interface PlannedPrompt {
  ids: number[];
  text: string;
}

/** A request, checked against the model and the configured caps; nothing has been computed yet. */
export interface Plan {
  request: CompletionRequest;
  prompts: PlannedPrompt[];
  /** Completions to compute for each prompt: `best_of`. */
  candidates: number;
}

function tooLong(model: Model, requested: string): HttpError {
  return new HttpError(
    400,
    `This model's context holds ${model.context} tokens, but the request needs ${requested}. Shorten the prompt or lower max_tokens.`,
    { param: "prompt", code: "context_length_exceeded" },
  );
}

/**
 * Refuses a text that is too long for the context whatever its tokens are, before anything is made of it.
 *
 * @param characters its length in UTF-16 units
 * @throws HttpError 400
 */
export function refuseTooLong(model: Model, characters: number): void {
  const longest = model.tokenizer?.longestToken ?? Number.POSITIVE_INFINITY;
  if (characters > model.context * longest) throw tooLong(model, "more in its prompt alone");
}

/**
 * A text's token ids, without tokenizing a text that is too long in any case.
 *
 * @throws HttpError 400
 */
export function encodeText(model: Model, text: string): number[] {
  if (!model.tokenizer)
    throw invalidField("prompt", "This model has no tokenizer: give the prompt as token ids.");
  refuseTooLong(model, text.length);
  return model.tokenizer.encode(text);
}

function isTexts(prompt: Prompt): prompt is string | string[] {
  return typeof prompt === "string" || typeof prompt[0] === "string";
}

function planPrompt(model: Model, prompt: string | number[], maxTokens: number): PlannedPrompt {
  const ids = typeof prompt === "string" ? encodeText(model, prompt) : prompt;
  if (ids.length === 0) throw invalidField("prompt", "The prompt is empty; give at least one token.");
  const vocabulary = model.manifest.recipe.vocabSize;
  const stranger = ids.find((id) => id >= vocabulary);
  if (stranger !== undefined)
    throw invalidField(
      "prompt",
      `The prompt has the token id ${stranger}; ids go from 0 to ${vocabulary - 1}.`,
    );
  if (ids.length + maxTokens > model.context)
    throw tooLong(
      model,
      `${ids.length + maxTokens}: ${ids.length} in its prompt and ${maxTokens} for the completion`,
    );
  // Decoded even where it came as text: a lone surrogate has become U+FFFD.
  return { ids, text: model.tokenizer?.decode(ids) ?? "" };
}

/**
 * Everything that can be wrong with a request once the model is known, found before the first step.
 *
 * @throws HttpError 400 naming the field; EdgeformerError from the tokenizer
 */
export function planCompletion(model: Model, request: CompletionRequest, config: Config): Plan {
  // What the core would refuse at its first step, before an echo is on its way.
  resolveOptions(generateOptions(request, 0), model.manifest.recipe.vocabSize);
  if (!model.tokenizer && request.stop !== undefined)
    throw invalidField("stop", "This model has no tokenizer: use stop_token_ids.");
  const candidates = request.best_of ?? request.n;
  if (candidates > config.MAX_CHOICES)
    throw invalidField(
      request.best_of === undefined ? "n" : "best_of",
      `This server computes at most ${config.MAX_CHOICES} completions of a prompt.`,
    );
  if (config.MAX_TOKENS !== undefined && request.max_tokens > config.MAX_TOKENS)
    throw invalidField("max_tokens", `This server generates at most ${config.MAX_TOKENS} tokens per choice.`);
  const { prompt } = request;
  const list: (string | number[])[] = isTexts(prompt)
    ? typeof prompt === "string"
      ? [prompt]
      : prompt
    : typeof prompt[0] === "number"
      ? [prompt as number[]]
      : (prompt as number[][]);
  if (list.length > config.MAX_PROMPTS)
    throw invalidField("prompt", `This server takes at most ${config.MAX_PROMPTS} prompts in one request.`);
  let total = 0;
  const prompts: PlannedPrompt[] = [];
  for (const one of list) {
    const planned = planPrompt(model, one, request.max_tokens);
    prompts.push(planned);
    total += planned.ids.length + candidates * request.max_tokens;
    if (total > config.MAX_REQUEST_TOKENS)
      throw invalidField(
        "prompt",
        `This server computes at most ${config.MAX_REQUEST_TOKENS} tokens for one request, all prompts and choices together; split it.`,
      );
  }
  return { request, prompts, candidates };
}

function generateOptions(request: CompletionRequest, candidate: number): GenerateOptions {
  return {
    maxTokens: request.max_tokens,
    minTokens: request.min_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k === -1 ? 0 : request.top_k,
    minP: request.min_p,
    stop: request.stop === "" ? undefined : request.stop,
    stopTokenIds: request.stop_token_ids,
    ignoreEos: request.ignore_eos,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    repetitionPenalty: request.repetition_penalty,
    logitBias: request.logit_bias,
    seed: request.seed === undefined ? undefined : seedOf(request.seed, candidate),
  };
}

/** Seeds of neighbouring candidates differ; OpenAI allows negative ones, the core counts from 0 to 2^53 − 1. */
function seedOf(seed: number, candidate: number): number {
  const shifted = seed < 0 ? seed + 2 ** 53 : seed;
  return shifted <= Number.MAX_SAFE_INTEGER - candidate
    ? shifted + candidate
    : shifted - Number.MAX_SAFE_INTEGER + candidate - 1;
}

export interface FinishedChoice {
  prompt: number;
  candidate: number;
  finishReason: FinishReason;
  usage: Usage;
  /** Mean log-probability of the generated tokens; what `best_of` compares. */
  meanLogprob: number;
}

/** Sequences that one request keeps running at a time; its others wait, so that other requests get in. */
const WIDTH = 8;

/**
 * Computes every completion of a plan, several at a time.
 *
 * @param emit takes each delta in order within its choice; generation waits for it, and ends if it rejects
 * @throws what the model or `emit` threw first, once everything has stopped
 */
export async function runPlan(
  model: Model,
  plan: Plan,
  controller: AbortController,
  emit: (prompt: number, candidate: number, delta: Delta) => Promise<void> | void,
): Promise<FinishedChoice[]> {
  const { request, prompts, candidates } = plan;
  const finished: FinishedChoice[] = [];
  const ranks = candidates > request.n;
  const asked = request.logprobs ?? (ranks ? 0 : undefined);
  const scores: (Score | undefined)[] = [];

  const run = async (promptIndex: number, candidate: number): Promise<void> => {
    const prompt = prompts[promptIndex]!;
    const choice = new Choice(model.tokenizer, request.logprobs !== undefined);
    if (request.echo)
      await emit(promptIndex, candidate, choice.echo(prompt.ids, prompt.text, scores[promptIndex]));
    let usage: Usage = { promptTokens: prompt.ids.length, completionTokens: 0, cachedTokens: 0 };
    let finishReason: FinishReason = "length";
    let sum = 0;
    if (request.max_tokens === 0)
      await emit(promptIndex, candidate, choice.add({ text: "", ids: [], finishReason }));
    else {
      const options = {
        ...generateOptions(request, candidate),
        logprobs: asked,
        signal: controller.signal,
      };
      for await (const chunk of model.generate(prompt.ids, options)) {
        for (const entry of chunk.logprobs ?? []) sum += entry.logprob;
        finishReason = chunk.finishReason ?? finishReason;
        usage = chunk.usage ?? usage;
        await emit(promptIndex, candidate, choice.add(chunk));
      }
    }
    const meanLogprob = sum / Math.max(1, usage.completionTokens);
    finished.push({ prompt: promptIndex, candidate, finishReason, usage, meanLogprob });
  };

  if (request.echo && request.logprobs !== undefined)
    for (const prompt of prompts)
      scores.push(
        await model.score(prompt.ids, { topLogprobs: request.logprobs, signal: controller.signal }),
      );
  const jobs = prompts.flatMap((_, prompt) =>
    Array.from({ length: candidates }, (_, i) => [prompt, i] as const),
  );
  const worker = async () => {
    for (let job = jobs.shift(); job && !controller.signal.aborted; job = jobs.shift()) await run(...job);
  };
  const stopOthers = (error: unknown) => {
    controller.abort();
    throw error;
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(WIDTH, jobs.length) }, () => worker().catch(stopOthers)),
  );
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  // The others were stopped by the first failure: their own "aborted" explains nothing.
  if (failures.length > 0) throw failures.find((error) => error?.code !== "aborted") ?? failures[0];
  return finished.sort((a, b) => a.prompt - b.prompt || a.candidate - b.candidate);
}

/** The candidates to return: the `n` whose tokens are likeliest on average, in each prompt's own order. */
export function bestOf(plan: Plan, finished: FinishedChoice[]): FinishedChoice[] {
  if (plan.candidates === plan.request.n) return finished;
  return plan.prompts.flatMap((_, prompt) =>
    finished
      .filter((choice) => choice.prompt === prompt)
      .sort((a, b) => b.meanLogprob - a.meanLogprob || a.candidate - b.candidate)
      .slice(0, plan.request.n),
  );
}

/** Prompts are counted once, whatever `n`; their cached tokens as the first candidate found them. */
export function usageOf(plan: Plan, finished: FinishedChoice[]): UsageShape {
  const promptTokens = plan.prompts.reduce((sum, prompt) => sum + prompt.ids.length, 0);
  const completionTokens = finished.reduce((sum, choice) => sum + choice.usage.completionTokens, 0);
  const cachedTokens = finished.reduce(
    (sum, choice) => sum + (choice.candidate === 0 ? choice.usage.cachedTokens : 0),
    0,
  );
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
