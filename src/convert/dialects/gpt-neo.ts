import { type Dialect, tableDialect } from "./dialect.ts";
import { GPT_IGNORED, gptCanonicalName } from "./gpt2.ts";

/** GPT-Neo as transformers saves it (modeling_gpt_neo.py): queries, keys and values apart. */
export const gptNeoDialect: Dialect = tableDialect(
  {
    embedding: "wte",
    positions: "wpe",
    finalNorm: "ln_f",
    head: "lm_head",
    inputNorm: "h.{}.ln_1",
    queryKeyValue: ["q_proj", "k_proj", "v_proj"].map((name) => `h.{}.attn.attention.${name}`),
    attentionOutput: "h.{}.attn.attention.out_proj",
    mlpNorm: "h.{}.ln_2",
    mlpInput: "h.{}.mlp.c_fc",
    mlpOutput: "h.{}.mlp.c_proj",
  },
  { architectures: ["gpt_neo"], canonicalName: gptCanonicalName, ignored: GPT_IGNORED },
);
