import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import type { TensorSpec } from "../../src/architectures/recipe.ts";
import { PartWriter } from "../../src/convert/write/part-writer.ts";
import type { WeightKind } from "../../src/format/kinds.ts";
import { placeTensors, sectionsOf } from "../../src/format/layout.ts";
import { FORMAT_VERSION, MAX_PART_BYTES, type Manifest, manifestFile } from "../../src/format/manifest.ts";
import { CACHE } from "../models.ts";

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
  if (!existsSync(join(directory, "model.json"))) await writeShape(directory, name, shape);
  return directory;
}

/**
 * Writes a model directory of some shape without converting anything: four-bit matrices hold zeros, int8 ones a pattern,
 * and their scales are small. The engine's loops run over data that they do not look at, so time and memory are those of
 * a real model; its text is nonsense.
 */
async function writeShape(directory: string, name: string, { config, embedding }: ChainShape): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const fields = new ConfigFields(config, "config.");
  const recipe = recipeOf(fields);
  const { tensors } = placeTensors(recipe, (tensor) => kindOf(tensor, embedding));
  const writer = new PartWriter(directory, MAX_PART_BYTES);
  for (const [i, tensor] of recipe.tensors.entries()) {
    const placed = tensors[i]!;
    const bytes = new Uint8Array(placed.bytes);
    for (const section of sectionsOf(tensor, placed.kind).sections) {
      const part = bytes.subarray(section.offset, section.offset + section.bytes);
      if (section.name === "scales")
        new Float32Array(part.buffer, part.byteOffset, section.bytes / 4).fill(1e-3);
      else if (placed.kind === "float32" && section.name === "values")
        new Float32Array(part.buffer, part.byteOffset, section.bytes / 4).fill(1);
      else if (placed.kind === "int8" && section.name === "values")
        for (let at = 0; at < part.length; at++) part[at] = (at * 167 + i) & 0xff;
    }
    if (placed.kind === "four-bit") placed.amplitude = 4096;
    await writer.write(bytes);
  }
  const manifest: Manifest = {
    format: "edgeformer",
    version: FORMAT_VERSION,
    name,
    architecture: recipe.architecture,
    config: fields.resolved,
    recipe,
    tokenizer: null,
    tensors,
    parts: await writer.end(),
    provenance: { source: "a shape", revision: null, sha256: "0".repeat(64) },
  };
  writeFileSync(join(directory, "model.json"), JSON.stringify(manifestFile(manifest)));
}
