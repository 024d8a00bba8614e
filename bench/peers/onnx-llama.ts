// Writes a GGUF file of the Llama family as an ONNX decoder for onnxruntime, in the operators that its own exporters
// choose: GroupQueryAttention with rotary embedding and a float32 KV cache, RMSNorm in one operator, and matrices in
// four bits (MatMulNBits, blocks of 32) or in int8 with dynamically quantized activations.
import { type CheckpointTensor, elements } from "../../src/convert/formats/checkpoint.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { fileSource } from "../../src/convert/inputs/bytes.ts";
import { CONTEXT, type Shape } from "../shapes.ts";
import { attribute, CONTRIB, FLOAT, Graph, INT32, INT64 } from "./onnx-graph.ts";
import { type Blocks, quantizeBlocks, quantizeRows } from "./onnx-quantize.ts";

/** How the matrices of the blocks are stored. The head has eight bits in both. */
export type OnnxKind = "four-bit" | "int8";

const EPSILON = 1e-5;
const ROPE_BASE = 100_000;

/** Cosines or sines of every position's rotary angles. */
function rotaryTable(headSize: number, of: (angle: number) => number): Float32Array {
  const half = headSize / 2;
  return Float32Array.from({ length: CONTEXT * half }, (_, i) =>
    of(Math.floor(i / half) / ROPE_BASE ** ((2 * (i % half)) / headSize)),
  );
}

/** Matrices with a step per row and activations with a step per call, as onnxruntime's quantizer writes them. */
function int8Linear(graph: Graph, x: string, name: string, weights: Float32Array, rows: number): string {
  const columns = weights.length / rows;
  const { codes, steps } = quantizeRows(weights, columns);
  const transposed = new Int8Array(codes.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      transposed[column * rows + row] = codes[row * columns + column]!;
  const [quantized, scale, zero] = graph.node("DynamicQuantizeLinear", [x], 3) as [string, string, string];
  const sums = graph.op("MatMulInteger", [
    quantized,
    graph.int8(name, [columns, rows], transposed),
    zero,
    graph.int8(`${name}.zero`, [rows], new Int8Array(rows)),
  ]);
  const factor = graph.op("Mul", [scale, graph.float32(`${name}.steps`, [rows], steps)]);
  return graph.op("Mul", [graph.op("Cast", [sums], [attribute.int("to", FLOAT)]), factor]);
}

function blockLinear(
  graph: Graph,
  x: string,
  name: string,
  { bits, codes, steps, zeros }: Blocks,
  rows: number,
  columns: number,
) {
  const blocks = columns / 32;
  return graph.op(
    "MatMulNBits",
    [
      x,
      graph.uint8(name, [rows, blocks, 4 * bits], codes),
      graph.float32(`${name}.steps`, [rows * blocks], steps),
      graph.uint8(`${name}.zeros`, [zeros.length], zeros),
    ],
    [
      attribute.int("K", columns),
      attribute.int("N", rows),
      attribute.int("bits", bits),
      attribute.int("block_size", 32),
      attribute.int("accuracy_level", 4),
    ],
    CONTRIB,
  );
}

/**
 * The decoder: input_ids, the rows whose logits are asked for, the lengths that GroupQueryAttention wants, and past
 * keys and values in; logits of those rows out.
 */
export async function writeLlamaOnnx(
  { layers, width, heads, keyValueHeads, inner, vocabulary }: Shape,
  gguf: string,
  kind: OnnxKind,
  path: string,
): Promise<void> {
  const file = await openGguf(await fileSource(gguf));
  const read = async (name: string): Promise<Float32Array> => {
    const tensor = file.tensors.get(name) as CheckpointTensor;
    return tensor.read(0, elements(tensor.shape));
  };
  const graph = new Graph();
  const headSize = width / heads;
  const linear = async (x: string, names: string[], columns: number) => {
    const parts = await Promise.all(names.map(read));
    const rows = parts.reduce((sum, part) => sum + part.length, 0) / columns;
    const weights = new Float32Array(rows * columns);
    parts.reduce((at, part) => {
      weights.set(part, at);
      return at + part.length;
    }, 0);
    const name = names.join("+");
    if (kind === "int8") return int8Linear(graph, x, name, weights, rows);
    const bits = names.includes("token_embd.weight") ? 8 : 4;
    return blockLinear(graph, x, name, quantizeBlocks(weights, columns, bits), rows, columns);
  };
  const norm = async (x: string, name: string) =>
    graph.op(
      "SimplifiedLayerNormalization",
      [x, graph.float32(name, [width], await read(name))],
      [attribute.int("axis", -1), attribute.float("epsilon", EPSILON)],
    );

  graph.input("input_ids", INT64, ["batch", "tokens"]);
  graph.input("rows", INT64, ["asked"]);
  graph.input("last_position", INT32, ["batch"]);
  graph.input("total", INT32, []);
  graph.output("logits", FLOAT, ["batch", "asked", vocabulary]);
  const tables = [
    graph.float32("cos", [CONTEXT, headSize / 2], rotaryTable(headSize, Math.cos)),
    graph.float32("sin", [CONTEXT, headSize / 2], rotaryTable(headSize, Math.sin)),
  ];
  const embedding = graph.float32("embedding", [vocabulary, width], await read("token_embd.weight"));
  let x = graph.op("Gather", [embedding, "input_ids"]);
  for (let i = 0; i < layers; i++) {
    const name = (part: string) => `blk.${i}.${part}.weight`;
    for (const letter of ["k", "v"]) {
      graph.input(`past_${letter}${i}`, FLOAT, ["batch", keyValueHeads, "past", headSize]);
      graph.output(`present_${letter}${i}`, FLOAT, ["batch", keyValueHeads, "total", headSize]);
    }
    const queryKeyValue = await linear(
      await norm(x, name("attn_norm")),
      ["attn_q", "attn_k", "attn_v"].map(name),
      width,
    );
    const [mixed] = graph.node(
      "GroupQueryAttention",
      [queryKeyValue, "", "", `past_k${i}`, `past_v${i}`, "last_position", "total", ...tables],
      [`mixed_${i}`, `present_k${i}`, `present_v${i}`],
      [
        attribute.int("num_heads", heads),
        attribute.int("kv_num_heads", keyValueHeads),
        attribute.int("do_rotary", 1),
        // GGUF's rows of queries and keys are in the order of interleaved pairs.
        attribute.int("rotary_interleaved", 1),
      ],
      CONTRIB,
    ) as [string];
    x = graph.op("Add", [x, await linear(mixed, [name("attn_output")], width)]);
    const normed = await norm(x, name("ffn_norm"));
    const gate = await linear(normed, [name("ffn_gate")], width);
    const up = await linear(normed, [name("ffn_up")], width);
    const product = graph.op("Mul", [graph.op("Mul", [gate, graph.op("Sigmoid", [gate])]), up]);
    x = graph.op("Add", [x, await linear(product, [name("ffn_down")], inner)]);
  }
  const asked = graph.op("Gather", [await norm(x, "output_norm.weight"), "rows"], [attribute.int("axis", 1)]);
  graph.node("Identity", [await linear(asked, ["token_embd.weight"], width)], ["logits"]);
  await file.close();
  graph.write(path);
}
