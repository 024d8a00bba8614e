import type { InParts, Model, TokenConstraint } from "../../src/index.ts";
import { resolveOptions } from "../../src/options.ts";
import type { Config } from "../config.ts";
import { invalidField } from "../errors.ts";
import type { CompletionRequest, Prompt } from "./completions-schema.ts";
import { contextExceeded, encodeOptions, encodePrompt } from "./encode.ts";
import { generateOptions } from "./wire/generate-options.ts";

/** UTF-16 units of prompts, or token ids, that are read in one go. */
const PART_UNITS = 8192;

interface PlannedPrompt {
  ids: number[];
  /** Where it is to be echoed. */
  text: string;
}

/** The fields that are still read once a request is planned. Any other may be a megabyte, and a request may wait long. */
const KEPT = [
  ...([
    "max_tokens",
    "min_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "stop_token_ids",
  ] as const),
  ...([
    "ignore_eos",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "seed",
  ] as const),
  ...(["n", "stream", "stream_options", "logprobs", "echo"] as const),
] satisfies (keyof CompletionRequest)[];

/** What a request is held to. */
export interface HeldTo {
  constraint: TokenConstraint;
  /** Memory of what it was made from, which it keeps. */
  bytes: number;
}

/** A request, checked against the model and the configured caps; nothing has been computed yet. */
export interface Plan {
  request: Pick<CompletionRequest, (typeof KEPT)[number]>;
  prompts: PlannedPrompt[];
  /** Completions to compute for each prompt: `best_of`. */
  candidates: number;
  /** What each of them is held to. */
  heldTo: HeldTo | undefined;
}

/** The prompts of a request, each a text or token ids. */
function promptsOf(prompt: Prompt): (string | number[])[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as string[] | number[][]);
}

function* planPrompt(
  model: Model,
  prompt: string | number[],
  request: CompletionRequest,
): InParts<PlannedPrompt> {
  const maxTokens = request.max_tokens;
  const ids =
    typeof prompt === "string" ? yield* encodePrompt(model, prompt, encodeOptions(request)) : prompt;
  if (ids.length === 0) throw invalidField("prompt", "The prompt is empty; give at least one token.");
  const vocabulary = model.manifest.recipe.vocabSize;
  const stranger = ids.find((id) => id >= vocabulary);
  if (stranger !== undefined)
    throw invalidField(
      "prompt",
      `The prompt has the token id ${stranger}; ids go from 0 to ${vocabulary - 1}.`,
    );
  if (ids.length + maxTokens > model.context)
    throw contextExceeded(
      model,
      `${ids.length + maxTokens}: ${ids.length} in its prompt and ${maxTokens} for the completion`,
    );
  // Decoded even if the prompt was a text, since the tokenizer reads a lone surrogate as U+FFFD.
  return { ids, text: request.echo ? (model.tokenizer?.decode(ids) ?? "") : "" };
}

/**
 * Checks everything that can be wrong with a request once the model is known, before the first step.
 *
 * @throws HttpError 400 naming the field; EdgeformerError from the tokenizer
 */
export function* planCompletion(
  model: Model,
  request: CompletionRequest,
  config: Config,
  heldTo?: HeldTo,
): InParts<Plan> {
  // The core would refuse these at its first step, when an echo may already have been sent.
  resolveOptions(generateOptions(request), model.manifest.recipe.vocabSize, model.manifest.generation);
  // An empty text or list asks for nothing.
  if (!model.tokenizer && request.stop?.length)
    throw invalidField("stop", "This model has no tokenizer: use stop_token_ids.");
  const candidates = request.best_of ?? request.n;
  if (candidates > config.MAX_CHOICES)
    throw invalidField(
      request.best_of === undefined ? "n" : "best_of",
      `This server computes at most ${config.MAX_CHOICES} completions of a prompt.`,
    );
  if (config.MAX_TOKENS !== undefined && request.max_tokens > config.MAX_TOKENS)
    throw invalidField("max_tokens", `This server generates at most ${config.MAX_TOKENS} tokens per choice.`);
  const list = promptsOf(request.prompt);
  if (list.length > config.MAX_PROMPTS)
    throw invalidField("prompt", `This server takes at most ${config.MAX_PROMPTS} prompts in one request.`);
  let total = 0;
  const prompts: PlannedPrompt[] = [];
  let units = 0;
  for (const one of list) {
    const planned = yield* planPrompt(model, one, request);
    prompts.push(planned);
    if ((units += one.length) > PART_UNITS) {
      units = 0;
      yield;
    }
    total += planned.ids.length * (request.echo ? candidates : 1) + candidates * request.max_tokens;
    if (total > config.MAX_REQUEST_TOKENS)
      throw invalidField(
        "prompt",
        `This server computes at most ${config.MAX_REQUEST_TOKENS} tokens for one request, all prompts and choices together; split it.`,
      );
  }
  const kept = Object.fromEntries(KEPT.map((field) => [field, request[field]])) as Plan["request"];
  return { request: kept, prompts, candidates, heldTo };
}
