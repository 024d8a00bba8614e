// GPT-2 as the paper and Hugging Face's GPT2LMHeadModel have it, one function per layer, no cache and no tricks:
// what the engine is measured against. T is the number of tokens, C the width, H the heads, V the vocabulary.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors, type Tensor } from "./safetensors.ts";

export interface ReferenceConfig {
  n_embd: number;
  n_head: number;
  n_layer: number;
  vocab_size: number;
  layer_norm_epsilon: number;
}

/** Subtracts the mean, divides by the standard deviation, scales and shifts. x and out are (T, C). */
export function layerNorm(x: Float32Array, weight: Float32Array, bias: Float32Array, epsilon: number) {
  const C = weight.length;
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    const row = x.subarray(start, start + C);
    const mean = row.reduce((sum, v) => sum + v, 0) / C;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / C;
    const rstd = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < C; i++) out[start + i] = (row[i]! - mean) * rstd * weight[i]! + bias[i]!;
  }
  return out;
}

/** x (T, K) times weight (K, N) plus bias (N): Hugging Face's Conv1D, inputs first. out is (T, N). */
export function conv1d(x: Float32Array, weight: Tensor, bias: Float32Array) {
  const [K, N] = weight.shape as [number, number];
  const T = x.length / K;
  const out = new Float32Array(T * N);
  const sums = new Float64Array(N);
  for (let t = 0; t < T; t++) {
    sums.set(bias);
    for (let k = 0; k < K; k++) {
      const xk = x[t * K + k]!;
      for (let n = 0; n < N; n++) sums[n]! += xk * weight.data[k * N + n]!;
    }
    out.set(sums, t * N);
  }
  return out;
}

/** softmax in place over `scores`, shifted by the maximum so that exp cannot overflow. */
export function softmax(scores: Float64Array | number[]) {
  let maximum = -Infinity;
  for (const score of scores) maximum = Math.max(maximum, score);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += scores[i] = Math.exp(scores[i]! - maximum);
  for (let i = 0; i < scores.length; i++) scores[i]! /= sum;
}

/** Causal multi-head attention. qkv is (T, 3C), the three side by side; out is (T, C). */
export function attention(qkv: Float32Array, T: number, C: number, H: number) {
  const headDim = C / H;
  const out = new Float32Array(T * C);
  for (let h = 0; h < H; h++) {
    for (let t = 0; t < T; t++) {
      const q = t * 3 * C + h * headDim;
      const scores = new Float64Array(t + 1);
      for (let past = 0; past <= t; past++) {
        const k = past * 3 * C + C + h * headDim;
        let dot = 0;
        for (let i = 0; i < headDim; i++) dot += qkv[q + i]! * qkv[k + i]!;
        scores[past] = dot / Math.sqrt(headDim);
      }
      softmax(scores);
      for (let past = 0; past <= t; past++) {
        const v = past * 3 * C + 2 * C + h * headDim;
        for (let i = 0; i < headDim; i++) out[t * C + h * headDim + i]! += scores[past]! * qkv[v + i]!;
      }
    }
  }
  return out;
}

/** GELU by its tanh approximation (Hendrycks and Gimpel 2016), `gelu_new` in Hugging Face. */
export function geluTanh(x: number) {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function add(x: Float32Array, y: Float32Array) {
  return x.map((value, i) => value + y[i]!);
}

export class ReferenceGpt2 {
  readonly config: ReferenceConfig;
  readonly #tensors: Map<string, Tensor>;

  constructor(config: ReferenceConfig, tensors: Map<string, Tensor>) {
    this.config = config;
    this.#tensors = tensors;
  }

  /** Reads a Hugging Face directory: config.json and model.safetensors. */
  static load(directory: string) {
    const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as ReferenceConfig;
    return new ReferenceGpt2(config, readSafetensors(join(directory, "model.safetensors")));
  }

  /** A tensor by its name in the checkpoint, which may leave the prefix `transformer.` out. */
  tensor(name: string): Tensor {
    const found = this.#tensors.get(name) ?? this.#tensors.get(`transformer.${name}`);
    if (found === undefined) throw new Error(`the checkpoint has no tensor ${name}`);
    return found;
  }

  #norm(x: Float32Array, name: string) {
    const { data: weight } = this.tensor(`${name}.weight`);
    return layerNorm(x, weight, this.tensor(`${name}.bias`).data, this.config.layer_norm_epsilon);
  }

  #linear(x: Float32Array, name: string) {
    return conv1d(x, this.tensor(`${name}.weight`), this.tensor(`${name}.bias`).data);
  }

  /** Token plus position embedding, (T, C). */
  embed(ids: number[]) {
    const C = this.config.n_embd;
    const wte = this.tensor("wte.weight").data;
    const wpe = this.tensor("wpe.weight").data;
    const x = new Float32Array(ids.length * C);
    ids.forEach((id, t) => {
      for (let i = 0; i < C; i++) x[t * C + i] = wte[id * C + i]! + wpe[t * C + i]!;
    });
    return x;
  }

  /** One block: x + attention(norm(x)), then + mlp(norm(·)). x and out are (T, C). */
  block(x: Float32Array, layer: number) {
    const { n_embd: C, n_head: H } = this.config;
    const name = `h.${layer}`;
    const qkv = this.#linear(this.#norm(x, `${name}.ln_1`), `${name}.attn.c_attn`);
    x = add(x, this.#linear(attention(qkv, x.length / C, C, H), `${name}.attn.c_proj`));
    const inner = this.#linear(this.#norm(x, `${name}.ln_2`), `${name}.mlp.c_fc`).map(geluTanh);
    return add(x, this.#linear(inner, `${name}.mlp.c_proj`));
  }

  /** Logits of the next token after each of `ids`, (T, V). The head is the token embedding. */
  forward(ids: number[]) {
    const { n_embd: C, n_layer, vocab_size: V } = this.config;
    let x = this.embed(ids);
    for (let layer = 0; layer < n_layer; layer++) x = this.block(x, layer);
    x = this.#norm(x, "ln_f");
    const wte = this.tensor("wte.weight").data;
    const logits = new Float32Array(ids.length * V);
    for (let t = 0; t < ids.length; t++)
      for (let v = 0; v < V; v++) {
        let dot = 0;
        for (let i = 0; i < C; i++) dot += x[t * C + i]! * wte[v * C + i]!;
        logits[t * V + v] = dot;
      }
    return logits;
  }
}

/** log softmax of one row of logits. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const maximum = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - maximum), 0);
  return Float64Array.from(logits, (logit) => logit - maximum - Math.log(sum));
}
