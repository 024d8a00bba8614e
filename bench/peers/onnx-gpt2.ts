// Writes a GPT-2-shaped ONNX decoder with dynamically quantized int8 matrices and a float32 KV cache, random
// weights, for onnxruntime: what its own quantizer makes of an exported GPT-2.
import { CONTEXT, type Shape } from "../shapes.ts";
import { attribute, FLOAT, Graph, INT64 } from "./onnx-graph.ts";
import { RandomBytes } from "./random.ts";

/** The decoder: input_ids, position_ids, mask and past keys and values in, logits of the last token out. */
export function writeGpt2Onnx({ layers, width, heads, vocabulary }: Shape, path: string): void {
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
  graph.write(path);
}
