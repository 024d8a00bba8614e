import * as z from "zod";
import type { InParts, Model } from "../../src/index.ts";
import type { Config } from "../config.ts";
import { invalidField } from "../errors.ts";
import { areTokenIds, modelName, tokenIdsMeta } from "./common-schema.ts";
import { encodeOptions, textFields } from "./encode.ts";

export const tokenizeRequest = z
  .strictObject({
    model: modelName.optional(),
    prompt: z.string().optional(),
    content: z.string().optional().meta({ description: "Another name for prompt." }),
    ...textFields,
  })
  .superRefine((request, context) => {
    if ((request.prompt === undefined) === (request.content === undefined))
      context.addIssue({ code: "custom", path: ["prompt"], message: "give either prompt or content" });
  });

export const detokenizeRequest = z.strictObject({
  model: modelName.optional(),
  tokens: z.custom<number[]>(areTokenIds, { error: "must be a list of token ids" }).meta(tokenIdsMeta),
});

/**
 * A text may be longer than the context: whoever cuts it to size has to count first.
 *
 * @throws EdgeformerError `context_length_exceeded` for more tokens than one request may cost
 */
export function* tokenize(
  model: Model,
  request: z.infer<typeof tokenizeRequest>,
  config: Config,
): InParts<{ tokens: number[]; count: number; max_model_len: number }> {
  if (!model.tokenizer) throw invalidField("prompt", "This model has no tokenizer.");
  const text = request.prompt ?? request.content ?? "";
  const tokens = yield* model.tokenizer.encodeInParts(text, {
    ...encodeOptions(request),
    maxTokens: config.MAX_REQUEST_TOKENS,
  });
  return { tokens, count: tokens.length, max_model_len: model.context };
}

/** @throws HttpError 400 */
export function detokenize(model: Model, { tokens }: z.infer<typeof detokenizeRequest>, config: Config) {
  const { tokenizer } = model;
  if (!tokenizer) throw invalidField("tokens", "This model has no tokenizer.");
  const { MAX_REQUEST_TOKENS: most } = config;
  if (tokens.length > most)
    throw invalidField(
      "tokens",
      `There are ${tokens.length} tokens; this server takes at most ${most} in one request. Split it.`,
    );
  const vocabulary = model.manifest.recipe.vocabSize;
  if (tokens.some((id) => id >= vocabulary))
    throw invalidField("tokens", `Token ids go from 0 to ${vocabulary - 1}.`);
  // The answer has the text twice.
  const refuseLonger = (bytes: number) => {
    if (2 * bytes > config.MAX_BODY_BYTES)
      throw invalidField(
        "tokens",
        `The answer would have more than ${config.MAX_BODY_BYTES} bytes; split the tokens.`,
      );
  };
  let bytes = 0;
  for (const id of tokens) refuseLonger((bytes += tokenizer.bytes(id).length));
  const text = tokenizer.decode(tokens);
  // In JSON a control character has six bytes, a quotation mark two.
  refuseLonger(new TextEncoder().encode(JSON.stringify(text)).length);
  return { prompt: text, content: text };
}
