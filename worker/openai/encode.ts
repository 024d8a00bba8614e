import * as z from "zod";
import { EdgeformerError, type EncodeOptions, type InParts, type Model } from "../../src/index.ts";
import { HttpError, invalidField } from "../errors.ts";

/** What a request gets that does not fit the context. `needs` says how many tokens it would take. */
export function contextExceeded(model: Model, needs: string): HttpError {
  return new HttpError(
    400,
    `This model's context holds ${model.context} tokens, but the request needs ${needs}. Shorten the prompt or lower max_tokens.`,
    { param: "prompt", code: "context_length_exceeded" },
  );
}

/**
 * Refuses a text that cannot fit the context, before the time and memory of tokenizing it are spent.
 *
 * @param characters its length in UTF-16 units, each of which is a byte of UTF-8 at least
 * @throws HttpError 400
 */
export function refuseTooLong(model: Model, characters: number): void {
  const longest = model.tokenizer?.longestToken ?? Number.POSITIVE_INFINITY;
  if (characters > model.context * longest) throw contextExceeded(model, "more in its prompt alone");
}

/**
 * Reads a prompt for the context of a model.
 *
 * @throws HttpError 400 for one of too many tokens
 */
export function* withinContext(model: Model, reading: InParts<number[]>): InParts<number[]> {
  try {
    return yield* reading;
  } catch (error) {
    if (!(error instanceof EdgeformerError) || error.code !== "context_length_exceeded") throw error;
    throw contextExceeded(model, "more in its prompt alone");
  }
}

/** How a request wants its text to be read. */
export interface TextFields {
  add_special_tokens?: boolean | undefined;
  allow_special_tokens?: boolean | undefined;
}

/** The schema of the two. */
export const textFields = {
  add_special_tokens: z.boolean().optional().meta({
    description: "Put the tokens around a text that its tokenizer wants there, such as BOS. [true]",
  }),
  allow_special_tokens: z.boolean().optional().meta({
    description: "Take the spelling of a special token in a text for that token. [false: it is text]",
  }),
};

/** The same for the library. */
export function encodeOptions({ add_special_tokens, allow_special_tokens }: TextFields): EncodeOptions {
  return { addSpecialTokens: add_special_tokens ?? true, allowSpecial: allow_special_tokens ?? false };
}

/**
 * The token ids of a prompt, where an empty text is the beginning of a new one. A text that cannot fit the context is
 * refused without tokenizing it, or once it has too many tokens.
 *
 * @throws HttpError 400
 */
export function* encodePrompt(model: Model, text: string, options?: EncodeOptions): InParts<number[]> {
  if (!model.tokenizer)
    throw invalidField("prompt", "This model has no tokenizer: give the prompt as token ids.");
  refuseTooLong(model, text.length);
  return yield* withinContext(
    model,
    model.encodePromptInParts(text, { ...options, maxTokens: model.context }),
  );
}
