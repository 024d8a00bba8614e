import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convert } from "../src/convert/convert.ts";
import { loadManifest } from "../src/loading/load.ts";
import { directorySource } from "../src/node/index.ts";
import { RandomBytes } from "./peers/random.ts";
import { CONTEXT, type Shape } from "./shapes.ts";

/** Where models are made and kept; git ignores it. */
export const CACHE = fileURLToPath(new URL(".cache/", import.meta.url));

type Tensor = [name: string, shape: number[]];

/** Hugging Face's names and shapes of a GPT-2 checkpoint; Conv1D weights are [inputs, outputs]. */
function gpt2Tensors({ layers, width, inner, vocabulary }: Shape): Tensor[] {
  const list: Tensor[] = [
    ["wte.weight", [vocabulary, width]],
    ["wpe.weight", [CONTEXT, width]],
  ];
  const pair = (name: string, weight: number[], bias: number) =>
    list.push([`${name}.weight`, weight], [`${name}.bias`, [bias]]);
  for (let i = 0; i < layers; i++) {
    pair(`h.${i}.ln_1`, [width], width);
    pair(`h.${i}.attn.c_attn`, [width, 3 * width], 3 * width);
    pair(`h.${i}.attn.c_proj`, [width, width], width);
    pair(`h.${i}.ln_2`, [width], width);
    pair(`h.${i}.mlp.c_fc`, [width, inner], inner);
    pair(`h.${i}.mlp.c_proj`, [inner, width], width);
  }
  pair("ln_f", [width], width);
  return list;
}

/** The same of a Llama checkpoint. */
function llamaTensors({ layers, width, heads, keyValueHeads, inner, vocabulary }: Shape): Tensor[] {
  const keys = (keyValueHeads * width) / heads;
  const list: Tensor[] = [
    ["model.embed_tokens.weight", [vocabulary, width]],
    ["model.norm.weight", [width]],
  ];
  for (let i = 0; i < layers; i++)
    for (const [name, shape] of [
      ["input_layernorm", [width]],
      ["self_attn.q_proj", [width, width]],
      ["self_attn.k_proj", [keys, width]],
      ["self_attn.v_proj", [keys, width]],
      ["self_attn.o_proj", [width, width]],
      ["post_attention_layernorm", [width]],
      ["mlp.gate_proj", [inner, width]],
      ["mlp.up_proj", [inner, width]],
      ["mlp.down_proj", [width, inner]],
    ] as const)
      list.push([`model.layers.${i}.${name}.weight`, [...shape]]);
  return list;
}

function configOf(shape: Shape): object {
  const { family, layers, width, heads, keyValueHeads, inner, vocabulary } = shape;
  const common = { model_type: family, vocab_size: vocabulary, bos_token_id: 1, eos_token_id: 2 };
  return family === "gpt2"
    ? { ...common, n_embd: width, n_head: heads, n_layer: layers, n_positions: CONTEXT, n_inner: inner }
    : {
        ...common,
        hidden_size: width,
        num_attention_heads: heads,
        num_key_value_heads: keyValueHeads,
        num_hidden_layers: layers,
        intermediate_size: inner,
        max_position_embeddings: CONTEXT,
        rope_theta: 100_000,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
      };
}

/** Writes a Hugging Face directory with random weights of GPT-2's initial distribution. */
function writeCheckpoint(shape: Shape, directory: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "config.json"), JSON.stringify(configOf(shape)));
  const tensors = shape.family === "gpt2" ? gpt2Tensors(shape) : llamaTensors(shape);
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
    const isNorm = /(ln_\w+|norm)\.weight$/.test(name);
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
  const { bits, fit } = shape;
  await convert({
    source: checkpoint,
    out,
    force: true,
    ...(fit === undefined ? { bits } : { fit }),
    onWarning: (note) => console.error(note),
  });
  rmSync(checkpoint, { recursive: true });
  return out;
}
