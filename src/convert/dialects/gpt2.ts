import type { TensorSpec } from "../../architectures/recipe.ts";
import { type Dialect, type NameTable, namesOf, stackedRows } from "./dialect.ts";

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

/** A dialect whose tensors are called by a table, with `.weight` and `.bias` behind. */
export function tableDialect(
  table: NameTable,
  options: Pick<Dialect, "architectures" | "canonicalName" | "ignored"> & {
    transposed?: (tensor: TensorSpec) => boolean;
  },
): Dialect {
  return {
    architectures: options.architectures,
    canonicalName: options.canonicalName,
    ignored: options.ignored,
    values: (tensor, recipe) => {
      const names = namesOf(table, tensor);
      const rows = stackedRows(tensor, recipe, names.length);
      const transposed = options.transposed?.(tensor) ?? false;
      return names.map((name, i) => ({ name: `${name}.weight`, rows: rows[i]!, transposed }));
    },
    bias: (tensor, recipe) => {
      const names = namesOf(table, tensor);
      const rows = stackedRows(tensor, recipe, names.length);
      return names.map((name, i) => ({ name: `${name}.bias`, rows: rows[i]! }));
    },
  };
}

/** GPT-2 as transformers saves it (modeling_gpt2.py): the blocks' matrices are stored [inputs, outputs]. */
export const gpt2Dialect: Dialect = tableDialect(NAMES, {
  architectures: ["gpt2"],
  canonicalName: gptCanonicalName,
  ignored: GPT_IGNORED,
  transposed: ({ form, layer }) => form === "matrix" && layer !== undefined,
});
