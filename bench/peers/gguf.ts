// Writes a GGUF of a shape with random weights, for llama.cpp and wllama.
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import ranks from "gpt-tokenizer/bpeRanks/r50k_base";
import { CONTEXT, type Shape } from "../shapes.ts";
import { RandomBytes } from "./random.ts";

const U32 = 4;
const I32 = 5;
const F32 = 6;
const STRING = 8;
const ARRAY = 9;
const TYPE_F32 = 0;
const ALIGNMENT = 32;
/** 1/32 as a float16: what a step of a weight is worth. */
const BLOCK_SCALE = 0x2800;

/** ggml's number of a block type, the bytes of a block of 32 weights, and `general.file_type`. */
const BLOCKS = {
  Q4_0: { type: 2, bytes: 18, file: 2 },
  Q4_1: { type: 3, bytes: 20, file: 3 },
  Q8_0: { type: 8, bytes: 34, file: 7 },
};
/** How the matrices are stored. */
export type BlockName = keyof typeof BLOCKS;

class Writer {
  readonly #chunks: Buffer[] = [];
  u32(value: number) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    this.#chunks.push(bytes);
  }
  u64(value: number) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    this.#chunks.push(bytes);
  }
  f32(value: number) {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    this.#chunks.push(bytes);
  }
  string(value: string) {
    const bytes = Buffer.from(value);
    this.u64(bytes.length);
    this.#chunks.push(bytes);
  }
  bytes() {
    return Buffer.concat(this.#chunks);
  }
}

/** GPT-2's printable stand-in for each byte, as its encoder.py defines it. */
function byteAlphabet(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

/** The vocabulary and the merges that produce it: each token's last merge, found by replaying the others. */
function vocabulary(): { tokens: string[]; merges: string[] } {
  const alphabet = byteAlphabet();
  const pieces = ranks.map((piece) => Buffer.from(piece as string | number[]).toString("latin1"));
  const rankOf = new Map(pieces.map((piece, rank) => [piece, rank]));
  const spell = (piece: string) => Array.from(piece, (c) => alphabet[c.charCodeAt(0)]).join("");
  const merges: string[] = [];
  pieces.forEach((piece, rank) => {
    const parts = Array.from(piece);
    while (parts.length > 2) {
      let best = rank;
      let at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const merged = rankOf.get(parts[i]! + parts[i + 1]!);
        if (merged !== undefined && merged < best) [best, at] = [merged, i];
      }
      if (at < 0) return;
      parts.splice(at, 2, parts[at]! + parts[at + 1]!);
    }
    if (parts.length === 2) merges.push(`${spell(parts[0]!)} ${spell(parts[1]!)}`);
  });
  return { tokens: [...pieces.map(spell), "<|endoftext|>"], merges };
}

/** As many tokens as the shape has: GPT-2's, cut or filled up. */
function tokensOf({ vocabulary: size }: Shape): { tokens: string[]; merges: string[] } {
  const { tokens, merges } = vocabulary();
  while (tokens.length < size) tokens.push(`<|${tokens.length}|>`);
  const kept = tokens.slice(0, size);
  const known = new Set(kept);
  return { tokens: kept, merges: merges.filter((merge) => known.has(merge.replace(" ", ""))) };
}

function metadata(shape: Shape, blocks: BlockName): { bytes: Buffer; count: number } {
  const { family, layers, width, heads, keyValueHeads, inner } = shape;
  const out = new Writer();
  let count = 0;
  const entry = (key: string, type: number) => {
    count++;
    out.string(key);
    out.u32(type);
  };
  const text = (key: string, value: string) => {
    entry(key, STRING);
    out.string(value);
  };
  const u32 = (key: string, value: number) => {
    entry(key, U32);
    out.u32(value);
  };
  const f32 = (key: string, value: number) => {
    entry(key, F32);
    out.f32(value);
  };
  const array = (key: string, type: number, length: number) => {
    entry(key, ARRAY);
    out.u32(type);
    out.u64(length);
  };
  text("general.architecture", family);
  text("general.name", "bench");
  u32("general.file_type", BLOCKS[blocks].file);
  u32(`${family}.context_length`, CONTEXT);
  u32(`${family}.embedding_length`, width);
  u32(`${family}.feed_forward_length`, inner);
  u32(`${family}.block_count`, layers);
  u32(`${family}.attention.head_count`, heads);
  if (family === "gpt2") f32("gpt2.attention.layer_norm_epsilon", 1e-5);
  else {
    u32("llama.attention.head_count_kv", keyValueHeads);
    f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    f32("llama.rope.freq_base", 100_000);
    u32("llama.rope.dimension_count", width / heads);
    u32("llama.vocab_size", shape.vocabulary);
  }
  const { tokens, merges } = tokensOf(shape);
  text("tokenizer.ggml.model", "gpt2");
  text("tokenizer.ggml.pre", "gpt-2");
  array("tokenizer.ggml.tokens", STRING, tokens.length);
  for (const token of tokens) out.string(token);
  array("tokenizer.ggml.token_type", I32, tokens.length);
  // 1 is a normal token, 3 a control token.
  tokens.forEach((_, id) => void out.u32(id === tokens.length - 1 ? 3 : 1));
  array("tokenizer.ggml.merges", STRING, merges.length);
  for (const merge of merges) out.string(merge);
  u32("tokenizer.ggml.bos_token_id", tokens.length - 1);
  u32("tokenizer.ggml.eos_token_id", tokens.length - 1);
  return { bytes: out.bytes(), count };
}

interface GgufTensor {
  name: string;
  dims: number[];
  type: number;
  bytes: number;
  make: () => Uint8Array;
}

function tensors(shape: Shape, blocks: BlockName): GgufTensor[] {
  const { family, layers, width, heads, keyValueHeads, inner, vocabulary: rows } = shape;
  const random = new RandomBytes(1);
  const list: GgufTensor[] = [];
  const matrix = (name: string, outputs: number, inputs: number, kind: BlockName = blocks) => {
    const { type, bytes: blockBytes } = BLOCKS[kind];
    const count = (outputs * inputs) / 32;
    const make = () => {
      const bytes = Buffer.from(random.int8(count * blockBytes).buffer);
      for (let i = 0; i < count; i++) {
        bytes.writeUInt16LE(BLOCK_SCALE, i * blockBytes);
        // The minimum of a Q4_1 block: -8 steps.
        if (kind === "Q4_1") bytes.writeUInt16LE(0xb400, i * blockBytes + 2);
      }
      return bytes;
    };
    list.push({ name: `${name}.weight`, dims: [inputs, outputs], type, bytes: count * blockBytes, make });
  };
  const floats = (name: string, dims: number[], center = 0) => {
    const count = dims.reduce((a, b) => a * b, 1);
    const make = () => new Uint8Array(random.float32(count, 0.02).map((value) => value + center).buffer);
    list.push({ name, dims, type: TYPE_F32, bytes: 4 * count, make });
  };
  const hasBias = family === "gpt2";
  const norm = (name: string) => {
    floats(`${name}.weight`, [width], 1);
    if (hasBias) floats(`${name}.bias`, [width]);
  };
  const linear = (name: string, outputs: number, inputs: number) => {
    matrix(name, outputs, inputs);
    if (hasBias) floats(`${name}.bias`, [outputs]);
  };
  // llama.cpp keeps the embedding of a four-bit file in eight bits, and so do we.
  matrix("token_embd", rows, width, "Q8_0");
  if (family === "gpt2") floats("position_embd.weight", [width, CONTEXT]);
  const keys = (keyValueHeads * width) / heads;
  for (let i = 0; i < layers; i++) {
    norm(`blk.${i}.attn_norm`);
    if (family === "gpt2") linear(`blk.${i}.attn_qkv`, 3 * width, width);
    else {
      linear(`blk.${i}.attn_q`, width, width);
      linear(`blk.${i}.attn_k`, keys, width);
      linear(`blk.${i}.attn_v`, keys, width);
    }
    linear(`blk.${i}.attn_output`, width, width);
    norm(`blk.${i}.ffn_norm`);
    if (family === "llama") linear(`blk.${i}.ffn_gate`, inner, width);
    linear(`blk.${i}.ffn_up`, inner, width);
    linear(`blk.${i}.ffn_down`, width, inner);
  }
  norm("output_norm");
  return list;
}

/** Writes the file. Tensors are made one at a time: memory stays at the largest. */
export async function writeGguf(shape: Shape, path: string, blocks: BlockName = "Q8_0"): Promise<void> {
  const list = tensors(shape, blocks);
  const { bytes, count } = metadata(shape, blocks);
  const header = new Writer();
  header.u32(0x46554747); // "GGUF"
  header.u32(3);
  header.u64(list.length);
  header.u64(count);
  const directory = new Writer();
  let offset = 0;
  for (const tensor of list) {
    directory.string(tensor.name);
    directory.u32(tensor.dims.length);
    for (const dim of tensor.dims) directory.u64(dim);
    directory.u32(tensor.type);
    directory.u64(offset);
    offset += Math.ceil(tensor.bytes / ALIGNMENT) * ALIGNMENT;
  }
  const file = createWriteStream(path);
  const padded = async (part: Uint8Array) => {
    file.write(part);
    if (!file.write(Buffer.alloc(-part.length & (ALIGNMENT - 1)))) await once(file, "drain");
  };
  await padded(Buffer.concat([header.bytes(), bytes, directory.bytes()]));
  for (const tensor of list) await padded(tensor.make());
  file.end();
  await once(file, "finish");
}
