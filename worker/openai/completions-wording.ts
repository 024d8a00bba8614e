import type { ChoiceShape } from "./wire/answers.ts";
import type { Delta } from "./wire/choice.ts";
import type { Wording } from "./wording.ts";

function choiceShape(index: number, { text, logprobs, tokenIds, finishReason }: Delta): ChoiceShape {
  return {
    index,
    text,
    logprobs,
    finish_reason: finishReason,
    ...(tokenIds === undefined ? {} : { token_ids: tokenIds }),
  };
}

/** OpenAI's completions. */
export const completionsWording: Wording = {
  prefix: "cmpl-",
  object: "text_completion",
  chunk: "text_completion",
  choice: (_, index, delta) => choiceShape(index, delta),
  pieces: (_, index, delta) => [choiceShape(index, delta)],
};
