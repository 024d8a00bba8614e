// Writes ONNX files: operators, tensors, inputs and outputs as protocol buffers.
// Field numbers from https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
import { writeFileSync } from "node:fs";

export const FLOAT = 1;
const UINT8 = 2;
const INT8 = 3;
export const INT32 = 6;
export const INT64 = 7;
const OPSET = 17;
/** The operators that are onnxruntime's own. */
export const CONTRIB = "com.microsoft";
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
export class Graph {
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
  uint8(name: string, dims: number[], data: Uint8Array) {
    return this.#tensor(name, UINT8, dims, data);
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

  /** Adds an operator, of `domain` if it is not ONNX's own; returns the names of its outputs. */
  node(
    operator: string,
    inputs: string[],
    outputs: number | string[],
    attributes: Buffer[] = [],
    domain = "",
  ): string[] {
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
        bytes(7, domain),
      ),
    );
    return names;
  }

  /** An operator with one output. */
  op(operator: string, inputs: string[], attributes: Buffer[] = [], domain = ""): string {
    return this.node(operator, inputs, 1, attributes, domain)[0]!;
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

  write(path: string): void {
    const graph = message(
      ...this.#nodes.map((node) => bytes(1, node)),
      bytes(2, "decoder"),
      ...this.#initializers.map((initializer) => bytes(5, initializer)),
      ...this.#inputs.map((input) => bytes(11, input)),
      ...this.#outputs.map((output) => bytes(12, output)),
    );
    const operators = [message(bytes(1, ""), integer(2, OPSET)), message(bytes(1, CONTRIB), integer(2, 1))];
    writeFileSync(
      path,
      message(integer(1, IR_VERSION), bytes(7, graph), ...operators.map((set) => bytes(8, set))),
    );
  }
}

export const attribute = {
  int: (name: string, value: number) => message(bytes(1, name), integer(3, value), integer(20, 2)),
  float: (name: string, value: number) => message(bytes(1, name), float(2, value), integer(20, 1)),
  ints: (name: string, values: number[]) =>
    message(bytes(1, name), ...values.map((value) => integer(8, value)), integer(20, 7)),
};
