import { type Dialect, type NameTable, tableDialect } from "./dialect.ts";

/** Names without `.weight` and `.bias`. */
const NAMES: NameTable = {
  embedding: "wte",
  positions: "wpe",
  finalNorm: "ln_f",
  head: "lm_head",
  inputNorm: "h.{}.ln_1",
  queryKeyValue: "h.{}.attn.c_attn",
  attentionOutput: "h.{}.attn.c_proj",
  mlpNorm: "h.{}.ln_2",
  mlpInput: "h.{}.mlp.c_fc",
  mlpOutput: "h.{}.mlp.c_proj",
};

/** A tensor's name without `transformer.`, LayerNorm's parameters under today's names. */
export function gptCanonicalName(name: string): string {
  const bare = name.startsWith("transformer.") ? name.slice("transformer.".length) : name;
  return bare.replace(/(^|\.)(ln_\w+)\.gamma$/, "$1$2.weight").replace(/(^|\.)(ln_\w+)\.beta$/, "$1$2.bias");
}

/** Causal masks that older versions of transformers saved with the weights, and heads for other tasks. */
export const GPT_IGNORED = /^h\.\d+\.attn\.(attention\.)?(bias|masked_bias)$|^multiple_choice_head\./;

/** GPT-2 as transformers saves it (modeling_gpt2.py): the blocks' matrices are stored [inputs, outputs]. */
export const gpt2Dialect: Dialect = tableDialect(NAMES, {
  architectures: ["gpt2"],
  canonicalName: gptCanonicalName,
  ignored: GPT_IGNORED,
  transposed: ({ form, layer }) => form === "matrix" && layer !== undefined,
});
