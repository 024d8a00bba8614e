// Writes a GPT-2-shaped GGUF with random Q8_0 weights, for llama.cpp and wllama.
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import ranks from "gpt-tokenizer/bpeRanks/r50k_base";
import { CONTEXT, type Shape, VOCABULARY } from "../shapes.ts";
import { RandomBytes } from "./random.ts";

const U32 = 4;
const I32 = 5;
const F32 = 6;
const STRING = 8;
const ARRAY = 9;
const TYPE_F32 = 0;
const TYPE_Q8_0 = 8;
const ALIGNMENT = 32;
/** 1/32 as a float16: what a step of an int8 weight is worth. */
const BLOCK_SCALE = 0x2800;

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

function metadata({ layers, width, heads }: Shape): { bytes: Buffer; count: number } {
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
  const array = (key: string, type: number, length: number) => {
    entry(key, ARRAY);
    out.u32(type);
    out.u64(length);
  };
  text("general.architecture", "gpt2");
  text("general.name", "bench");
  u32("general.file_type", 7);
  u32("gpt2.context_length", CONTEXT);
  u32("gpt2.embedding_length", width);
  u32("gpt2.feed_forward_length", 4 * width);
  u32("gpt2.block_count", layers);
  u32("gpt2.attention.head_count", heads);
  entry("gpt2.attention.layer_norm_epsilon", F32);
  out.f32(1e-5);
  const { tokens, merges } = vocabulary();
  text("tokenizer.ggml.model", "gpt2");
  text("tokenizer.ggml.pre", "gpt-2");
  array("tokenizer.ggml.tokens", STRING, tokens.length);
  for (const token of tokens) out.string(token);
  array("tokenizer.ggml.token_type", I32, tokens.length);
  // 1 is a normal token, 3 a control token.
  tokens.forEach((_, id) => void out.u32(id === VOCABULARY - 1 ? 3 : 1));
  array("tokenizer.ggml.merges", STRING, merges.length);
  for (const merge of merges) out.string(merge);
  u32("tokenizer.ggml.bos_token_id", VOCABULARY - 1);
  u32("tokenizer.ggml.eos_token_id", VOCABULARY - 1);
  return { bytes: out.bytes(), count };
}

interface GgufTensor {
  name: string;
  dims: number[];
  type: number;
  make: () => Uint8Array;
}

function tensors({ layers, width }: Shape): GgufTensor[] {
  const random = new RandomBytes(1);
  const list: GgufTensor[] = [];
  const matrix = (name: string, rows: number, columns: number) =>
    list.push({
      name,
      dims: [columns, rows],
      type: TYPE_Q8_0,
      make: () => {
        const blocks = (rows * columns) / 32;
        const bytes = Buffer.from(random.int8(blocks * 34).buffer);
        for (let i = 0; i < blocks; i++) bytes.writeUInt16LE(BLOCK_SCALE, i * 34);
        return bytes;
      },
    });
  const floats = (name: string, dims: number[], center = 0) =>
    list.push({
      name,
      dims,
      type: TYPE_F32,
      make: () => {
        const values = random.float32(
          dims.reduce((a, b) => a * b, 1),
          0.02,
        );
        return new Uint8Array(values.map((value) => value + center).buffer);
      },
    });
  const norm = (name: string) => {
    floats(`${name}.weight`, [width], 1);
    floats(`${name}.bias`, [width]);
  };
  const linear = (name: string, outputs: number, inputs: number) => {
    matrix(`${name}.weight`, outputs, inputs);
    floats(`${name}.bias`, [outputs]);
  };
  matrix("token_embd.weight", VOCABULARY, width);
  floats("position_embd.weight", [width, CONTEXT]);
  for (let i = 0; i < layers; i++) {
    norm(`blk.${i}.attn_norm`);
    linear(`blk.${i}.attn_qkv`, 3 * width, width);
    linear(`blk.${i}.attn_output`, width, width);
    norm(`blk.${i}.ffn_norm`);
    linear(`blk.${i}.ffn_up`, 4 * width, width);
    linear(`blk.${i}.ffn_down`, width, 4 * width);
  }
  norm("output_norm");
  return list;
}

function tensorBytes({ dims, type }: GgufTensor): number {
  const elements = dims.reduce((a, b) => a * b, 1);
  return type === TYPE_Q8_0 ? (elements / 32) * 34 : elements * 4;
}

/** Writes the file. Tensors are made one at a time: memory stays at the largest. */
export async function writeGguf(shape: Shape, path: string): Promise<void> {
  const list = tensors(shape);
  const { bytes, count } = metadata(shape);
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
    offset += Math.ceil(tensorBytes(tensor) / ALIGNMENT) * ALIGNMENT;
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
