import * as z from "zod";
import type { Model } from "../../src/index.ts";
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

function refuseTooMany({ length }: number[], param: string, { MAX_REQUEST_TOKENS: most }: Config): void {
  if (length > most)
    throw invalidField(
      param,
      `There are ${length} tokens; this server takes at most ${most} in one request. Split it.`,
    );
}

/**
 * A text may be longer than the context: whoever cuts it to size has to count first.
 *
 * @throws HttpError 400 for more tokens than one request may cost
 */
export function tokenize(model: Model, request: z.infer<typeof tokenizeRequest>, config: Config) {
  if (!model.tokenizer) throw invalidField("prompt", "This model has no tokenizer.");
  const tokens = model.tokenizer.encode(request.prompt ?? request.content ?? "", encodeOptions(request));
  refuseTooMany(tokens, "prompt", config);
  return { tokens, count: tokens.length, max_model_len: model.context };
}

/** @throws HttpError 400 */
export function detokenize(model: Model, { tokens }: z.infer<typeof detokenizeRequest>, config: Config) {
  const { tokenizer } = model;
  if (!tokenizer) throw invalidField("tokens", "This model has no tokenizer.");
  refuseTooMany(tokens, "tokens", config);
  const vocabulary = model.manifest.recipe.vocabSize;
  if (tokens.some((id) => id >= vocabulary))
    throw invalidField("tokens", `Token ids go from 0 to ${vocabulary - 1}.`);
  // The answer has the text twice.
  const bytes = 2 * tokens.reduce((sum, id) => sum + tokenizer.bytes(id).length, 0);
  if (bytes > config.MAX_BODY_BYTES)
    throw invalidField(
      "tokens",
      `The answer would have ${bytes} bytes, more than ${config.MAX_BODY_BYTES}; split the tokens.`,
    );
  const text = tokenizer.decode(tokens);
  return { prompt: text, content: text };
}
