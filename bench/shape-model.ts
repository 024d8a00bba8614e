// Models of a shape, without a checkpoint.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigFields } from "../src/architectures/config-fields.ts";
import { recipeOf } from "../src/architectures/index.ts";
import type { TensorSpec } from "../src/architectures/recipe.ts";
import { PartWriter } from "../src/convert/write/part-writer.ts";
import { KINDS, type WeightKind } from "../src/format/kinds.ts";
import { placeTensors, sectionsOf } from "../src/format/layout.ts";
import { FORMAT_VERSION, MAX_PART_BYTES, type Manifest, manifestFile } from "../src/format/manifest.ts";

/** Of the activations that matrices with steps are multiplied with: as of real models. */
const AMPLITUDE = 4096;

/**
 * Writes a model directory of some shape without converting anything: four-bit matrices hold zeros, int8 ones a pattern,
 * and their scales are small. The engine's loops run over data that they do not look at, so time and memory are those of
 * a real model; its text is nonsense.
 */
export async function writeShape(
  directory: string,
  name: string,
  config: { model_type: string },
  kindOf: (tensor: TensorSpec) => WeightKind,
): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const fields = new ConfigFields(config, "config.");
  const recipe = recipeOf(fields);
  const { tensors } = placeTensors(recipe, kindOf);
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
      else if (placed.kind.startsWith("int8") && section.name === "values")
        for (let at = 0; at < part.length; at++) part[at] = (at * 167 + i) & 0xff;
      else if (section.name === "steps") part.fill(1);
    }
    if (KINDS[placed.kind].amplitude === undefined) placed.amplitude = AMPLITUDE;
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
