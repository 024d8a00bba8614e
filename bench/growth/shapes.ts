import { existsSync } from "node:fs";
import { join } from "node:path";
import type { WeightKind } from "../../src/format/kinds.ts";
import { bundledModel } from "../../src/node/index.ts";
import { CACHE, modelDirectory } from "../models.ts";
import { writeShape } from "../shape-model.ts";
import { SHAPES } from "../shapes.ts";

/** Positions that the Llama shapes have. */
const POSITIONS = 8192;

type Bits = "int8" | "four-bit";

/** Llama's shapes: SmolLM2's two sizes, and two that lie between fable and them. */
const LLAMAS: Readonly<
  Record<string, [layers: number, width: number, heads: number, keyValueHeads: number, inner: number]>
> = {
  "llama-21m": [12, 256, 4, 2, 704],
  "llama-44m": [16, 384, 6, 2, 1024],
  "smollm2-135m": [30, 576, 9, 3, 1536],
  "smollm2-360m": [32, 960, 15, 5, 2560],
};

/** Names of the Llama shapes. */
export const SIZES = Object.keys(LLAMAS).flatMap((name) => [`${name}-int8`, `${name}-four-bit`]);

async function llamaDirectory(name: string, bits: Bits): Promise<string> {
  const directory = join(CACHE, `growth-${name}-${bits}`);
  if (existsSync(join(directory, "model.json"))) return directory;
  const [num_hidden_layers, hidden_size, num_attention_heads, num_key_value_heads, intermediate_size] =
    LLAMAS[name]!;
  const config = {
    model_type: "llama",
    ...{ num_hidden_layers, hidden_size, num_attention_heads, num_key_value_heads, intermediate_size },
    ...{
      vocab_size: 49152,
      max_position_embeddings: POSITIONS,
      tie_word_embeddings: true,
      rms_norm_eps: 1e-5,
    },
  };
  await writeShape(directory, name, config, ({ form, layer }): WeightKind => {
    if (form === "vector") return "float32";
    if (bits === "int8") return "int8";
    return layer === undefined ? "int8-steps" : "four-bit";
  });
  return directory;
}

/**
 * The directory of a model by its name in the results: `fable`, the real SmolLM2-135M in four bits, or a shape.
 *
 * @param real the directory of `smollm2-135m-four-bit`
 */
export async function growthDirectory(name: string, real: string): Promise<string> {
  if (name === "fable") return bundledModel();
  if (name === "distilgpt2-int8") return modelDirectory(SHAPES.distilgpt2!);
  const [, shape, bits] = /^(.*)-(int8|four-bit)$/.exec(name)!;
  if (name === "smollm2-135m-four-bit") return real;
  return llamaDirectory(shape!, bits as Bits);
}
