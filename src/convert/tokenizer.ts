import type { TokenizerInfo } from "../manifest.ts";
import type { CheckpointSource } from "./source.ts";

/** Ids of GPT-2's vocabulary. */
export const GPT2_VOCABULARY = 50257;

export interface DetectedTokenizer {
  tokenizer: TokenizerInfo;
  chatTemplate?: string;
  warnings: string[];
}

/** Which tokenizer the checkpoint was trained with. */
export async function detectTokenizer(
  _source: CheckpointSource,
  vocabSize: number,
): Promise<DetectedTokenizer> {
  if (vocabSize >= GPT2_VOCABULARY)
    return { tokenizer: { type: "r50k_base", added_tokens: {} }, warnings: [] };
  return {
    tokenizer: { type: "none" },
    warnings: ["the vocabulary is not GPT-2's: the model takes and gives token ids only"],
  };
}
