// Linear memory, laid out once.
//
//   0            64 Ki
//   ┌────────────┬────────────┬─────────────────────────────────────┬──────────────┬─────────────┬──────────┐
//   │ compiler's │ descriptor │ control: block tables, batch rows,  │ weights      │ KV blocks   │ scratch  │
//   │ constants  │ (abi.ts)   │ PRNG states, pairs, top logits      │ (the image)  │ 16 positions│ (below)  │
//   └────────────┴────────────┴─────────────────────────────────────┴──────────────┴─────────────┴──────────┘
//
//   scratch, for R rows: residual f32 [R, width] │ normed f32 [width] │ quantized i16 [R, max(width, inner)] │
//   row scales f32 [R] │ row sums i32 [R] │ hidden f32 [R, max(3 width, inner)] │ scores and value
//   scales f32 [heads, context] │ probabilities i16 [heads, context] │ sums per head │ logits f32 [slots, vocab] │ sampler: weights f32 [vocab], histogram f64,
//   ids i32 [vocab]
//
// Every size but the number of blocks follows from the model; the blocks take what the budget leaves.

import {
  ARENA_START,
  BLOCK_POSITIONS,
  HISTOGRAM_BUCKETS,
  LAYER_FIELDS,
  M_LAYERS_START,
  MAX_ROWS,
  MAX_TOP,
  RNG_BYTES,
  ROW_BYTES,
} from "../assembly/abi.ts";
import { EdgeformerError } from "./errors.ts";
import { alignUp, imageLayout, type ModelConfig } from "./manifest.ts";

/** (token, count or bias) pairs that cross into wasm at once. */
export const PAIRS = 1024;
export const WASM_PAGE = 65536;
const MAX_MEMORY = 65535 * WASM_PAGE;

export interface MemoryOptions {
  /** Positions of the longest sequence. [n_positions] */
  context?: number;
  /** Sequences that can run at once. [8] */
  maxSequences?: number;
  /** KV blocks. [enough for every sequence at full context, less where the limit does not allow it] */
  kvBlocks?: number;
  /** Bytes of linear memory at most. [4 GiB] */
  memoryLimit?: number;
}

export interface MemoryPlan {
  context: number;
  maxSequences: number;
  kvBlocks: number;
  maxRows: number;
  logitsSlots: number;
  /** Sizes in bytes that the descriptor carries. */
  headDimPad: number;
  kvLayerBytes: number;
  kvBlockBytes: number;
  blocksPerSequence: number;
  quantizedStride: number;
  hiddenStride: number;
  logitsStride: number;
  /** First byte of each region. */
  offsets: Record<RegionName, number>;
  /** Bytes of each region. */
  sizes: Record<RegionName, number>;
  /** Size of linear memory, whole pages. */
  bytes: number;
}

const REGIONS = [
  "descriptor",
  "tables",
  "rows",
  "logitRows",
  "rng",
  "pairs",
  "top",
  "weights",
  "kv",
  "residual",
  "normed",
  "quantized",
  "rowScale",
  "rowSum",
  "hidden",
  "scores",
  "valueScales",
  "probs",
  "headSums",
  "logits",
  "sampler",
] as const;
export type RegionName = (typeof REGIONS)[number];

function within(value: number, name: string, minimum: number, maximum: number): number {
  if (!Number.isInteger(value) || value < minimum || value > maximum)
    throw new EdgeformerError("invalid_option", `${name} must be an integer from ${minimum} to ${maximum}`, {
      param: name,
    });
  return value;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Where everything goes.
 *
 * @throws EdgeformerError `unsupported_model` when the model does not fit `memoryLimit` at this context
 */
export function planMemory(config: ModelConfig, options: MemoryOptions = {}): MemoryPlan {
  const context = within(options.context ?? config.n_positions, "context", 1, config.n_positions);
  const maxSequences = within(options.maxSequences ?? 8, "maxSequences", 1, MAX_ROWS);
  const limit = Math.min(options.memoryLimit ?? MAX_MEMORY, MAX_MEMORY);

  const width = alignUp(config.n_embd, 16);
  const inner = alignUp(config.n_inner, 16);
  const headDimPad = alignUp(config.n_embd / config.n_head, 16);
  const kvLayerBytes = config.n_head * BLOCK_POSITIONS * (2 * headDimPad + 8);
  const kvBlockBytes = config.n_layer * kvLayerBytes;
  const blocksPerSequence = Math.ceil(context / BLOCK_POSITIONS);
  const logitsStride = alignUp(config.vocab_size, 16) * 4;
  const quantizedStride = Math.max(width, inner) * 2;
  const hiddenStride = Math.max(alignUp(3 * config.n_embd, 16), inner) * 4;
  const logitsSlots = Math.min(maxSequences, 8);
  const scores = Math.max(blocksPerSequence * BLOCK_POSITIONS, headDimPad);

  const sizes: Record<RegionName, number> = {
    descriptor: (M_LAYERS_START + LAYER_FIELDS * config.n_layer) * 4,
    tables: maxSequences * blocksPerSequence * 4,
    rows: MAX_ROWS * ROW_BYTES,
    logitRows: MAX_ROWS * 4,
    rng: maxSequences * RNG_BYTES,
    pairs: PAIRS * 8,
    top: MAX_TOP * 8,
    weights: imageLayout(config).bytes,
    kv: 0,
    residual: MAX_ROWS * width * 4,
    // The last head's padded dimensions spill over the end.
    normed: (width + headDimPad) * 4,
    quantized: MAX_ROWS * quantizedStride,
    rowScale: MAX_ROWS * 4,
    rowSum: MAX_ROWS * 4,
    hidden: MAX_ROWS * hiddenStride,
    scores: config.n_head * scores * 4,
    valueScales: config.n_head * scores * 4,
    probs: config.n_head * scores * 2,
    headSums: config.n_head * (8 + headDimPad * 8) + 16,
    logits: logitsSlots * logitsStride,
    sampler: logitsStride * 2 + HISTOGRAM_BUCKETS * 8,
  };
  const fixed = REGIONS.reduce((sum, name) => sum + alignUp(sizes[name], 64), ARENA_START);
  const room = Math.floor((Math.floor(limit / WASM_PAGE) * WASM_PAGE - fixed) / kvBlockBytes);
  const kvBlocks =
    options.kvBlocks === undefined
      ? Math.min(blocksPerSequence * maxSequences, room)
      : within(options.kvBlocks, "kvBlocks", 1, 1 << 20);
  if (kvBlocks > room || room < blocksPerSequence) {
    const needed = alignUp(
      fixed + Math.max(options.kvBlocks ?? 0, blocksPerSequence) * kvBlockBytes,
      WASM_PAGE,
    );
    throw new EdgeformerError(
      "unsupported_model",
      `the model needs ${megabytes(needed)} of memory at a context of ${context} tokens (${megabytes(sizes.weights)} of them weights), ` +
        `but ${megabytes(limit)} are allowed: choose a smaller context or a smaller model, or raise memoryLimit`,
    );
  }
  sizes.kv = kvBlocks * kvBlockBytes;

  const offsets = {} as Record<RegionName, number>;
  let offset = ARENA_START;
  for (const name of REGIONS) {
    offsets[name] = offset;
    offset += alignUp(sizes[name], 64);
  }
  return {
    context,
    maxSequences,
    kvBlocks,
    maxRows: MAX_ROWS,
    logitsSlots,
    headDimPad,
    kvLayerBytes,
    kvBlockBytes,
    blocksPerSequence,
    quantizedStride,
    hiddenStride,
    logitsStride,
    offsets,
    sizes,
    bytes: alignUp(offset, WASM_PAGE),
  };
}
