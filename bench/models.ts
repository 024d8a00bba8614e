import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convert } from "../src/convert/convert.ts";
import { loadManifest } from "../src/loading/load.ts";
import { directorySource } from "../src/node/index.ts";
import { RandomBytes } from "./peers/random.ts";
import { CONTEXT, type Shape, VOCABULARY } from "./shapes.ts";

/** Where models are made and kept; git ignores it. */
export const CACHE = fileURLToPath(new URL(".cache/", import.meta.url));

/** Hugging Face's names and shapes of a GPT-2 checkpoint; Conv1D weights are [inputs, outputs]. */
function tensorShapes({ layers, width }: Shape): [name: string, shape: number[]][] {
  const list: [string, number[]][] = [
    ["wte.weight", [VOCABULARY, width]],
    ["wpe.weight", [CONTEXT, width]],
  ];
  const pair = (name: string, weight: number[], bias: number) =>
    list.push([`${name}.weight`, weight], [`${name}.bias`, [bias]]);
  for (let i = 0; i < layers; i++) {
    pair(`h.${i}.ln_1`, [width], width);
    pair(`h.${i}.attn.c_attn`, [width, 3 * width], 3 * width);
    pair(`h.${i}.attn.c_proj`, [width, width], width);
    pair(`h.${i}.ln_2`, [width], width);
    pair(`h.${i}.mlp.c_fc`, [width, 4 * width], 4 * width);
    pair(`h.${i}.mlp.c_proj`, [4 * width, width], width);
  }
  pair("ln_f", [width], width);
  return list;
}

/** Writes a Hugging Face directory with random weights of GPT-2's initial distribution. */
function writeCheckpoint(shape: Shape, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const { layers, width, heads } = shape;
  writeFileSync(
    join(directory, "config.json"),
    JSON.stringify({
      model_type: "gpt2",
      n_embd: width,
      n_head: heads,
      n_layer: layers,
      n_positions: CONTEXT,
      vocab_size: VOCABULARY,
      activation_function: "gelu_new",
      layer_norm_epsilon: 1e-5,
      bos_token_id: VOCABULARY - 1,
      eos_token_id: VOCABULARY - 1,
    }),
  );
  const tensors = tensorShapes(shape);
  const elements = (dims: number[]) => dims.reduce((a, b) => a * b, 1);
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, dims] of tensors) {
    const end = offset + 4 * elements(dims);
    header[name] = { dtype: "F32", shape: dims, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(directory, "model.safetensors"), "w");
  writeSync(file, size);
  writeSync(file, json);
  const random = new RandomBytes(3);
  for (const [name, dims] of tensors) {
    const isNorm = /ln_\w+\.weight$/.test(name);
    const values = random.float32(elements(dims), 0.02);
    writeSync(file, new Uint8Array((isNorm ? values.fill(1) : values).buffer));
  }
  closeSync(file);
}

/** Whether `directory` holds a model in the format of today. */
async function isCurrent(directory: string): Promise<boolean> {
  try {
    await loadManifest(directorySource(directory));
    return true;
  } catch {
    return false;
  }
}

/** The model directory of a shape, made once: a random checkpoint through the real converter. */
export async function modelDirectory(shape: Shape): Promise<string> {
  const out = join(CACHE, shape.name);
  if (await isCurrent(out)) return out;
  console.error(`making ${shape.name}: ${shape.layers} layers of ${shape.width}`);
  const checkpoint = join(CACHE, `${shape.name}.checkpoint`);
  writeCheckpoint(shape, checkpoint);
  await convert({ source: checkpoint, out, force: true });
  rmSync(checkpoint, { recursive: true });
  return out;
}
