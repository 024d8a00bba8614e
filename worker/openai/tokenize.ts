import * as z from "zod";
import type { Model } from "../../src/index.ts";
import { invalidField } from "../errors.ts";
import { areTokenIds, modelName, tokenIdsMeta } from "./common-schema.ts";
import { encodeOptions, encodeText, textFields } from "./encode.ts";

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

/** @throws HttpError 400 */
export function tokenize(model: Model, request: z.infer<typeof tokenizeRequest>) {
  const tokens = encodeText(model, request.prompt ?? request.content ?? "", encodeOptions(request));
  return { tokens, count: tokens.length, max_model_len: model.context };
}

/** @throws HttpError 400 */
export function detokenize(model: Model, { tokens }: z.infer<typeof detokenizeRequest>) {
  if (!model.tokenizer) throw invalidField("tokens", "This model has no tokenizer.");
  const vocabulary = model.manifest.recipe.vocabSize;
  if (tokens.some((id) => id >= vocabulary))
    throw invalidField("tokens", `Token ids go from 0 to ${vocabulary - 1}.`);
  const text = model.tokenizer.decode(tokens);
  return { prompt: text, content: text };
}
