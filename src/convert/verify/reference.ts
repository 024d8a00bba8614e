import type { Matrix, Weights } from "../weights.ts";
import { ACTIVATION_FUNCTIONS, layerNorm, multiplyAdd } from "./float-math.ts";

/** Floats of a matrix that are in memory at once. */
const CHUNK_FLOATS = 1024 * 1024;

/** Hidden states after the embedding (layer −1) and after each block, [tokens, n_embd]. */
export type Trace = (layer: number, hiddenStates: Float64Array) => void;

/**
 * The model in float32, straight from the checkpoint (GPT2LMHeadModel and GPTNeoForCausalLM of transformers):
 * what int8 is measured against. It goes through the model layer by layer with all tokens at once and reads
 * each matrix in pieces, so that it needs little memory whatever the model's size.
 *
 * @param windows texts as token ids, each read from position 0; each at most `n_positions` long
 * @returns the states before the output head, [tokens of all windows, n_embd]
 */
export async function referenceStates(
  weights: Weights,
  windows: readonly (readonly number[])[],
  onLayer?: Trace,
): Promise<Float64Array> {
  const { n_layer, layer_norm_epsilon, activation_function } = weights.config;
  const activation = ACTIVATION_FUNCTIONS[activation_function];
  let x = await embed(weights, windows);
  onLayer?.(-1, x);
  const norm = async (name: string) =>
    layerNorm(
      x,
      await weights.vector(`${name}.weight`),
      await weights.vector(`${name}.bias`),
      layer_norm_epsilon,
    );
  const add = (y: Float64Array) => {
    x = x.map((value, i) => value + (y[i] as number));
  };
  for (let layer = 0; layer < n_layer; layer++) {
    const qkv = await linear(weights, `h.${layer}.attn.c_attn`, await norm(`h.${layer}.ln_1`));
    const attended = new Float64Array(x.length);
    let row = 0;
    for (const { length } of windows) {
      attend(qkv, attended, row, length, weights, layer);
      row += length;
    }
    add(await linear(weights, `h.${layer}.attn.c_proj`, attended));
    const inner = await linear(weights, `h.${layer}.mlp.c_fc`, await norm(`h.${layer}.ln_2`));
    for (let i = 0; i < inner.length; i++) inner[i] = activation(inner[i] as number);
    add(await linear(weights, `h.${layer}.mlp.c_proj`, inner));
    onLayer?.(layer, x);
  }
  return norm("ln_f");
}

/** Logits [rows, vocab_size] of states [rows, n_embd]. */
export async function referenceLogits(weights: Weights, states: Float64Array): Promise<Float64Array> {
  const { n_embd, vocab_size, tie_word_embeddings } = weights.config;
  const rows = states.length / n_embd;
  const logits = new Float64Array(rows * vocab_size);
  const head = await weights.matrix(tie_word_embeddings ? "wte.weight" : "lm_head.weight");
  await multiply(head, states, logits);
  return logits;
}

async function embed(weights: Weights, windows: readonly (readonly number[])[]): Promise<Float64Array> {
  const width = weights.config.n_embd;
  const tokens = await weights.matrix("wte.weight");
  const positions = await weights.matrix("wpe.weight");
  const x = new Float64Array(windows.reduce((sum, ids) => sum + ids.length, 0) * width);
  let start = 0;
  for (const ids of windows)
    for (const [position, id] of ids.entries()) {
      const token = await tokens.read(id, 1);
      const place = await positions.read(position, 1);
      for (let i = 0; i < width; i++) x[start + i] = (token[i] as number) + (place[i] as number);
      start += width;
    }
  return x;
}

/** out += x · Wᵀ, the matrix read in pieces. */
async function multiply(matrix: Matrix, x: Float64Array, out: Float64Array): Promise<void> {
  const { rows, columns } = matrix;
  const step = Math.max(16, Math.floor(CHUNK_FLOATS / columns / 16) * 16);
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const piece = await matrix.read(first, count);
    multiplyAdd(x, piece, out, x.length / columns, count, columns, rows, first);
  }
}

async function linear(weights: Weights, name: string, x: Float64Array): Promise<Float64Array> {
  const bias = await weights.vector(`${name}.bias`);
  const matrix = await weights.matrix(`${name}.weight`);
  const out = new Float64Array((x.length / matrix.columns) * bias.length);
  for (let start = 0; start < out.length; start += bias.length) out.set(bias, start);
  await multiply(matrix, x, out);
  return out;
}

/** Causal multi-head attention of one window: `length` rows of q, k and v side by side from row `first` on. */
function attend(
  qkv: Float64Array,
  out: Float64Array,
  first: number,
  length: number,
  weights: Weights,
  layer: number,
): void {
  const { n_embd, n_head, attention_scales, attention_windows } = weights.config;
  const headDim = n_embd / n_head;
  const scale = attention_scales[layer] as number;
  const window = attention_windows[layer] || length;
  const scores = new Float64Array(length);
  for (let head = 0; head < n_head; head++)
    for (let t = 0; t < length; t++) {
      const oldest = Math.max(0, t - window + 1);
      const q = (first + t) * 3 * n_embd + head * headDim;
      let largest = Number.NEGATIVE_INFINITY;
      for (let s = oldest; s <= t; s++) {
        const k = (first + s) * 3 * n_embd + n_embd + head * headDim;
        let dot = 0;
        for (let i = 0; i < headDim; i++) dot += (qkv[q + i] as number) * (qkv[k + i] as number);
        scores[s] = dot * scale;
        largest = Math.max(largest, dot * scale);
      }
      let sum = 0;
      for (let s = oldest; s <= t; s++) sum += scores[s] = Math.exp((scores[s] as number) - largest);
      const target = (first + t) * n_embd + head * headDim;
      for (let s = oldest; s <= t; s++) {
        const v = (first + s) * 3 * n_embd + 2 * n_embd + head * headDim;
        const probability = (scores[s] as number) / sum;
        for (let i = 0; i < headDim; i++) (out[target + i] as number) += probability * (qkv[v + i] as number);
      }
    }
}
