import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TensorSpec } from "../../src/architectures/recipe.ts";
import type { WeightKind } from "../../src/format/kinds.ts";
import { CACHE } from "../models.ts";
import { writeShape } from "../shape-model.ts";

/** Blocks in four bits, and the embedding in the bits that are said. */
interface ChainShape {
  config: { model_type: string };
  embedding: 4 | 8;
}

/** Models that no isolate can hold. */
const SHAPES: Readonly<Record<string, ChainShape>> = {
  "gpt2-medium": {
    config: {
      ...{ model_type: "gpt2", n_embd: 1024, n_head: 16, n_layer: 24, n_inner: 4096 },
      ...{ n_positions: 1024, vocab_size: 50257 },
    },
    embedding: 8,
  },
  "smollm2-360m": {
    config: {
      ...{ model_type: "llama", hidden_size: 960, intermediate_size: 2560, num_hidden_layers: 32 },
      ...{ num_attention_heads: 15, num_key_value_heads: 5, vocab_size: 49152, tie_word_embeddings: true },
      ...{ max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
    },
    embedding: 8,
  },
  // Its embedding has 155.6 MB in eight bits: more than an isolate.
  "qwen3-0.6b": {
    config: {
      ...{ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28 },
      ...{ num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128, vocab_size: 151936 },
      ...{ tie_word_embeddings: true, max_position_embeddings: 2048, rms_norm_eps: 1e-6 },
    },
    embedding: 4,
  },
};

function kindOf({ form, layer, role }: TensorSpec, embedding: 4 | 8): WeightKind {
  if (form === "vector") return "float32";
  return layer !== undefined || (role === "embedding" && embedding === 4) ? "four-bit" : "int8";
}

/** The directory of a shape that is known by name, written where it is not there yet; or what `name` is itself. */
export async function modelDirectory(name: string): Promise<string> {
  const shape = SHAPES[name];
  if (shape === undefined) return name;
  const directory = join(CACHE, `chain-${name}`);
  if (!existsSync(join(directory, "model.json")))
    await writeShape(directory, name, shape.config, (tensor) => kindOf(tensor, shape.embedding));
  return directory;
}
