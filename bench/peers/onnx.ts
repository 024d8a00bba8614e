// Writes a GPT-2-shaped ONNX decoder with dynamically quantized int8 matrices and a float32 KV cache, random
// weights, for onnxruntime: what its own quantizer makes of an exported GPT-2.
// Field numbers from https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
import { writeFileSync } from "node:fs";
import { CONTEXT, type Shape } from "../shapes.ts";
import { RandomBytes } from "./random.ts";

const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;
const OPSET = 17;
const IR_VERSION = 8;

// ── Protocol buffers: messages are buffers, fields are prefixed with number and wire type ────────────────────
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

function bytes(field: number, value: Uint8Array | string): Buffer {
  const content = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
}

function message(...fields: Buffer[]): Buffer {
  return Buffer.concat(fields);
}

// ── The graph ────────────────────────────────────────────────────────────────────────────────────────────────
class Graph {
  readonly #nodes: Buffer[] = [];
  readonly #initializers: Buffer[] = [];
  readonly #inputs: Buffer[] = [];
  readonly #outputs: Buffer[] = [];

  #tensor(name: string, type: number, dims: number[], data: ArrayBufferView): string {
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.push(
      message(...dims.map((dim) => integer(1, dim)), integer(2, type), bytes(8, name), bytes(9, raw)),
    );
    return name;
  }

  int8(name: string, dims: number[], data: Int8Array) {
    return this.#tensor(name, INT8, dims, data);
  }
  float32(name: string, dims: number[], data: Float32Array) {
    return this.#tensor(name, FLOAT, dims, data);
  }
  scalar(name: string, value: number) {
    return this.float32(name, [], Float32Array.of(value));
  }
  int64(name: string, values: number[]) {
    return this.#tensor(name, INT64, [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** Adds an operator; returns the names of its outputs. */
  node(operator: string, inputs: string[], outputs: number | string[], attributes: Buffer[] = []): string[] {
    const id = this.#nodes.length;
    const names =
      typeof outputs === "number"
        ? Array.from({ length: outputs }, (_, i) => `${operator}_${id}_${i}`)
        : outputs;
    this.#nodes.push(
      message(
        ...inputs.map((name) => bytes(1, name)),
        ...names.map((name) => bytes(2, name)),
        bytes(3, `node_${id}`),
        bytes(4, operator),
        ...attributes.map((attribute) => bytes(5, attribute)),
      ),
    );
    return names;
  }

  /** An operator with one output. */
  op(operator: string, inputs: string[], attributes: Buffer[] = []): string {
    return this.node(operator, inputs, 1, attributes)[0]!;
  }

  #value(name: string, type: number, dims: (string | number)[]): Buffer {
    const shape = dims.map((dim) =>
      bytes(1, typeof dim === "string" ? message(bytes(2, dim)) : message(integer(1, dim))),
    );
    const tensorType = message(integer(1, type), bytes(2, message(...shape)));
    return message(bytes(1, name), bytes(2, message(bytes(1, tensorType))));
  }
  input(name: string, type: number, dims: (string | number)[]) {
    this.#inputs.push(this.#value(name, type, dims));
  }
  output(name: string, type: number, dims: (string | number)[]) {
    this.#outputs.push(this.#value(name, type, dims));
  }

  model(): Buffer {
    const graph = message(
      ...this.#nodes.map((node) => bytes(1, node)),
      bytes(2, "gpt2"),
      ...this.#initializers.map((initializer) => bytes(5, initializer)),
      ...this.#inputs.map((input) => bytes(11, input)),
      ...this.#outputs.map((output) => bytes(12, output)),
    );
    return message(
      integer(1, IR_VERSION),
      bytes(7, graph),
      bytes(8, message(bytes(1, ""), integer(2, OPSET))),
    );
  }
}

const attribute = {
  int: (name: string, value: number) => message(bytes(1, name), integer(3, value), integer(20, 2)),
  float: (name: string, value: number) => message(bytes(1, name), float(2, value), integer(20, 1)),
  ints: (name: string, values: number[]) =>
    message(bytes(1, name), ...values.map((value) => integer(8, value)), integer(20, 7)),
};

/** The decoder: input_ids, position_ids, mask and past keys and values in, logits of the last token out. */
export function writeOnnx({ layers, width, heads, vocabulary }: Shape, path: string): void {
  const random = new RandomBytes(2);
  const graph = new Graph();
  const headDim = width / heads;
  const step = 0.02 / 64;
  const floats = (name: string, dims: number[], center = 0) =>
    graph.float32(
      name,
      dims,
      random
        .float32(
          dims.reduce((a, b) => a * b, 1),
          0.02,
        )
        .map((value) => value + center),
    );
  const linear = (x: string, name: string, inputs: number, outputs: number, bias = true) => {
    const weights = graph.int8(`${name}.weight`, [inputs, outputs], random.int8(inputs * outputs));
    const zero = graph.int8(`${name}.zero`, [], Int8Array.of(0));
    const [quantized, scale, zeroPoint] = graph.node("DynamicQuantizeLinear", [x], 3) as [
      string,
      string,
      string,
    ];
    const sums = graph.op("MatMulInteger", [quantized, weights, zeroPoint, zero]);
    const factor = graph.op("Mul", [scale, graph.scalar(`${name}.scale`, step)]);
    const y = graph.op("Mul", [graph.op("Cast", [sums], [attribute.int("to", FLOAT)]), factor]);
    return bias ? graph.op("Add", [y, floats(`${name}.bias`, [outputs])]) : y;
  };
  const norm = (x: string, name: string) =>
    graph.op(
      "LayerNormalization",
      [x, floats(`${name}.weight`, [width], 1), floats(`${name}.bias`, [width])],
      [attribute.int("axis", -1), attribute.float("epsilon", 1e-5)],
    );

  graph.input("input_ids", INT64, ["batch", "tokens"]);
  graph.input("position_ids", INT64, ["batch", "tokens"]);
  graph.input("mask", FLOAT, ["batch", 1, "tokens", "total"]);
  graph.output("logits", FLOAT, ["batch", 1, vocabulary]);
  const cubic = graph.scalar("gelu.cubic", 0.044715);
  const root = graph.scalar("gelu.root", Math.sqrt(2 / Math.PI));
  const one = graph.scalar("one", 1);
  const half = graph.scalar("half", 0.5);
  const scoreScale = graph.scalar("score.scale", 1 / Math.sqrt(headDim));
  const perHead = graph.int64("shape.heads", [0, 0, heads, headDim]);
  const merged = graph.int64("shape.merged", [0, 0, width]);
  const thirds = graph.int64("shape.thirds", [width, width, width]);

  const wte = graph.int8("wte", [vocabulary, width], random.int8(vocabulary * width));
  const tokenRows = graph.op("Cast", [graph.op("Gather", [wte, "input_ids"])], [attribute.int("to", FLOAT)]);
  let x = graph.op("Add", [
    graph.op("Mul", [tokenRows, graph.scalar("wte.scale", step)]),
    graph.op("Gather", [floats("wpe", [CONTEXT, width]), "position_ids"]),
  ]);
  for (let i = 0; i < layers; i++) {
    const qkv = linear(norm(x, `h.${i}.ln_1`), `h.${i}.attn.c_attn`, width, 3 * width);
    const [q, newK, newV] = graph
      .node("Split", [qkv, thirds], 3, [attribute.int("axis", -1)])
      .map((part) =>
        graph.op("Transpose", [graph.op("Reshape", [part, perHead])], [attribute.ints("perm", [0, 2, 1, 3])]),
      ) as [string, string, string];
    const cached = (letter: string, fresh: string) => {
      graph.input(`past_${letter}${i}`, FLOAT, ["batch", heads, "past", headDim]);
      graph.output(`present_${letter}${i}`, FLOAT, ["batch", heads, "total", headDim]);
      const axis = [attribute.int("axis", 2)];
      return graph.node("Concat", [`past_${letter}${i}`, fresh], [`present_${letter}${i}`], axis)[0]!;
    };
    const k = cached("k", newK);
    const v = cached("v", newV);
    const kT = graph.op("Transpose", [k], [attribute.ints("perm", [0, 1, 3, 2])]);
    const scores = graph.op("Mul", [graph.op("MatMul", [q, kT]), scoreScale]);
    const probabilities = graph.op(
      "Softmax",
      [graph.op("Add", [scores, "mask"])],
      [attribute.int("axis", -1)],
    );
    const mixed = graph.op(
      "Transpose",
      [graph.op("MatMul", [probabilities, v])],
      [attribute.ints("perm", [0, 2, 1, 3])],
    );
    x = graph.op("Add", [
      x,
      linear(graph.op("Reshape", [mixed, merged]), `h.${i}.attn.c_proj`, width, width),
    ]);
    const inner = linear(norm(x, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`, width, 4 * width);
    const cube = graph.op("Mul", [cubic, graph.op("Mul", [inner, graph.op("Mul", [inner, inner])])]);
    const tanh = graph.op("Tanh", [graph.op("Mul", [graph.op("Add", [inner, cube]), root])]);
    const gelu = graph.op("Mul", [graph.op("Mul", [inner, half]), graph.op("Add", [tanh, one])]);
    x = graph.op("Add", [x, linear(gelu, `h.${i}.mlp.c_proj`, 4 * width, width)]);
  }
  const last = graph.op("Gather", [norm(x, "ln_f"), graph.int64("last", [-1])], [attribute.int("axis", 1)]);
  graph.node("Identity", [linear(last, "head", width, vocabulary, false)], ["logits"]);
  writeFileSync(path, graph.model());
}
