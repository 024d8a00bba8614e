import { EdgeformerError } from "../errors.ts";
import { expectedTensors, type ModelConfig } from "../format/manifest.ts";
import type { Architecture } from "./config.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./formats/checkpoint.ts";

/** A float32 matrix [rows, columns] = [outputs, inputs] that is read by rows. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Rows `first … first + count − 1`, row-major. */
  read(first: number, count: number): Promise<Float32Array>;
}

/** A checkpoint's weights under the names and in the orientation of the memory image (`expectedTensors`). */
export interface Weights {
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  matrix(name: string): Promise<Matrix>;
  vector(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Where a tensor of the image comes from: tensors stacked by rows, or nothing (zeros). */
interface Origin {
  names: string[];
  /** Shape of each of `names`. */
  shape: number[];
  /** Stored [inputs, outputs], as GPT-2's `Conv1D` does. */
  transposed: boolean;
}

/** Whether a matrix is stored [inputs, outputs], as those of GPT-2's blocks are. */
export function isConv1d(name: string, architecture: Architecture): boolean {
  return architecture === "gpt2" && /^h\.\d+\./.test(name);
}

/** Hugging Face's names for a tensor of the image (modeling_gpt2.py, modeling_gpt_neo.py). */
function originOf(name: string, shape: readonly number[], architecture: Architecture): Origin {
  if (architecture === "gpt2")
    return shape.length === 2 && isConv1d(name, architecture)
      ? { names: [name], shape: [shape[1] as number, shape[0] as number], transposed: true }
      : { names: [name], shape: [...shape], transposed: false };
  const attention = name.replace(/\.attn\.c_attn\..*|\.attn\.c_proj\..*/, ".attn.attention.");
  if (name.endsWith(".attn.c_attn.bias")) return { names: [], shape: [], transposed: false };
  if (name.endsWith(".attn.c_attn.weight"))
    return {
      names: ["q", "k", "v"].map((part) => `${attention}${part}_proj.weight`),
      shape: [(shape[0] as number) / 3, shape[1] as number],
      transposed: false,
    };
  if (name.includes(".attn.c_proj."))
    return {
      names: [`${attention}out_proj.${name.slice(name.lastIndexOf(".") + 1)}`],
      shape: [...shape],
      transposed: false,
    };
  return { names: [name], shape: [...shape], transposed: false };
}

/** Causal masks that older versions of transformers saved with the weights, and heads for other tasks. */
const IGNORED = /^h\.\d+\.attn\.(attention\.)?(bias|masked_bias)$|^multiple_choice_head\./;

/** A tensor's name without `transformer.`, LayerNorm's parameters under today's names. */
export function canonicalName(name: string): string {
  const bare = name.startsWith("transformer.") ? name.slice("transformer.".length) : name;
  return bare.replace(/(^|\.)(ln_\w+)\.gamma$/, "$1$2.weight").replace(/(^|\.)(ln_\w+)\.beta$/, "$1$2.bias");
}

/** A checkpoint's tensors by their canonical names. */
export function canonicalTensors(checkpoint: Checkpoint): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    const canonical = canonicalName(name);
    if (tensors.has(canonical))
      throw new EdgeformerError("invalid_model", `the checkpoint has two tensors called ${canonical}`);
    tensors.set(canonical, tensor);
  }
  return tensors;
}

/** A list for a message, cut short when it is long. */
function listed(names: string[]): string {
  return names.length <= 4
    ? names.join(", ")
    : `${names.slice(0, 4).join(", ")} and ${names.length - 4} more`;
}

/** Whether two tensors hold the same numbers. */
async function sameTensor(a: CheckpointTensor, b: CheckpointTensor): Promise<boolean> {
  const total = elements(a.shape);
  if (total !== elements(b.shape)) return false;
  const step = 1 << 20;
  for (let start = 0; start < total; start += step) {
    const count = Math.min(step, total - start);
    const [left, right] = [await a.read(start, count), await b.read(start, count)];
    if (left.some((value, i) => !Object.is(value, right[i]))) return false;
  }
  return true;
}

/**
 * Whether the output head is a matrix of its own. Like transformers, a config that ties it is overruled by a
 * checkpoint that holds two different matrices.
 */
async function isTied(config: ModelConfig, tensors: Map<string, CheckpointTensor>): Promise<boolean> {
  const head = tensors.get("lm_head.weight");
  const embedding = tensors.get("wte.weight");
  if (!config.tie_word_embeddings || !head || !embedding) return config.tie_word_embeddings;
  return sameTensor(head, embedding);
}

/**
 * Matches a checkpoint's tensors against what the configuration needs, before any of them is read.
 *
 * @throws EdgeformerError `invalid_model` if tensors are missing, left over or of the wrong shape
 */
export async function openWeights(
  checkpoint: Checkpoint,
  architecture: Architecture,
  declared: ModelConfig,
): Promise<Weights> {
  const tensors = canonicalTensors(checkpoint);
  const config = { ...declared, tie_word_embeddings: await isTied(declared, tensors) };
  const origins = new Map<string, Origin>();
  const unused = new Set(tensors.keys());
  const missing: string[] = [];
  const misshapen: string[] = [];
  for (const { name, shape } of expectedTensors(config)) {
    if (name.endsWith(".scale")) continue;
    const origin = originOf(name, shape, architecture);
    origins.set(name, origin);
    for (const source of origin.names) {
      const tensor = tensors.get(source);
      unused.delete(source);
      if (!tensor) missing.push(source);
      else if (tensor.shape.join() !== origin.shape.join())
        misshapen.push(`${source} is [${tensor.shape}] instead of [${origin.shape}]`);
    }
  }
  if (config.tie_word_embeddings) unused.delete("lm_head.weight");
  const extra = [...unused].filter((name) => !IGNORED.test(name));
  const fail = (message: string) => {
    throw new EdgeformerError("invalid_model", `the checkpoint does not match its config.json: ${message}`);
  };
  if (missing.length > 0) fail(`missing tensors: ${listed(missing)}`);
  if (misshapen.length > 0) fail(listed(misshapen));
  if (extra.length > 0) fail(`tensors that ${architecture} does not have: ${listed(extra)}`);

  const read = async (name: string, start: number, count: number) => {
    const values = await (tensors.get(name) as CheckpointTensor).read(start, count);
    if (!allFinite(values))
      throw new EdgeformerError("invalid_model", `${name} holds NaN or infinite weights`);
    return values;
  };
  const shapes = new Map(expectedTensors(config).map(({ name, shape }) => [name, shape]));
  return {
    architecture,
    config,
    async matrix(name) {
      const [rows, columns] = shapes.get(name) as [number, number];
      const { names, transposed } = origins.get(name) as Origin;
      if (transposed) {
        const whole = transpose(await read(names[0] as string, 0, rows * columns), columns, rows);
        return {
          rows,
          columns,
          read: async (first, count) => whole.subarray(first * columns, (first + count) * columns),
        };
      }
      const rowsEach = rows / names.length;
      return {
        rows,
        columns,
        async read(first, count) {
          const result = new Float32Array(count * columns);
          for (let done = 0; done < count; ) {
            const row = first + done;
            const part = Math.floor(row / rowsEach);
            const take = Math.min(count - done, (part + 1) * rowsEach - row);
            const from = (row - part * rowsEach) * columns;
            result.set(await read(names[part] as string, from, take * columns), done * columns);
            done += take;
          }
          return result;
        },
      };
    },
    async vector(name) {
      const [size] = shapes.get(name) as [number];
      const [source] = (origins.get(name) as Origin).names;
      return source === undefined ? new Float32Array(size) : read(source, 0, size);
    },
    close: () => checkpoint.close(),
  };
}

function allFinite(values: Float32Array): boolean {
  // 0 times infinity or NaN is NaN, and NaN stays.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * 0;
  return sum === 0;
}

/** [rows, columns] → [columns, rows], in squares that stay in the cache. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  const square = 32;
  for (let r0 = 0; r0 < rows; r0 += square)
    for (let c0 = 0; c0 < columns; c0 += square)
      for (let c = c0; c < Math.min(c0 + square, columns); c++)
        for (let r = r0; r < Math.min(r0 + square, rows); r++)
          result[c * rows + r] = values[r * columns + c] as number;
  return result;
}
