import type { Recipe, TensorSpec } from "../../architectures/recipe.ts";

/** A tensor of a checkpoint, or a part of one, that becomes rows of a tensor of the recipe. */
export interface Source {
  /** The checkpoint's name for it, without what `Dialect.canonicalName` removes. */
  name: string;
  /** Rows that it gives. */
  rows: number;
  /** Stored [inputs, outputs], as GPT-2's `Conv1D` does. */
  transposed?: boolean;
  /** For formats that store rows in another order: which of the source's rows is row `row`. */
  rowOrder?: (row: number) => number;
}

/**
 * What one kind of checkpoint calls the tensors of one architecture, and how it stores them: Hugging Face's GPT-2,
 * Hugging Face's Llama, a GGUF file's names.
 */
export interface Dialect {
  /** transformers' `model_type`s whose checkpoints are written this way. */
  architectures: readonly string[];
  /** A tensor's name without prefixes that come and go, old names replaced by today's. */
  canonicalName(name: string): string;
  /** Tensors that checkpoints may have and that say nothing about the model. */
  ignored: RegExp;
  /** Where a tensor's values come from, stacked by rows. */
  values(tensor: TensorSpec, recipe: Recipe): Source[];
  /** Where a tensor's bias comes from, likewise; asked only for tensors that have one. */
  bias(tensor: TensorSpec, recipe: Recipe): Source[];
}

/** Names by role, with a placeholder for the layer. A list stands for matrices that are stacked by rows. */
export type NameTable = Partial<Record<TensorSpec["role"], string | readonly string[]>>;

/** The names of a tensor in a table, `{}` replaced by its layer. */
export function namesOf(table: NameTable, tensor: TensorSpec): string[] {
  return [table[tensor.role] ?? []].flat().map((name) => name.replace("{}", String(tensor.layer)));
}

/** Rows of each of the matrices that a tensor is stacked from: queries, keys and values, or gate and up. */
export function stackedRows(tensor: TensorSpec, recipe: Recipe, parts: number): number[] {
  if (parts === 1) return [tensor.rows];
  if (tensor.role === "queryKeyValue") {
    const keys = recipe.numKeyValueHeads * recipe.headSize;
    return [recipe.numHeads * recipe.headSize, keys, keys];
  }
  return new Array<number>(parts).fill(tensor.rows / parts);
}

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
