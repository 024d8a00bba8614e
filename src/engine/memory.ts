// Linear memory, laid out once.
//
//   0            64 Ki
//   ┌────────────┬────────────┬─────────────────────────────────────┬──────────────┬─────────────┬──────────┐
//   │ compiler's │ descriptor │ control: block tables, batch rows,  │ weights      │ KV blocks   │ scratch  │
//   │ constants  │ (abi.ts)   │ PRNG states, pairs, top logits      │ (the image)  │ 16 positions│ (below)  │
//   └────────────┴────────────┴─────────────────────────────────────┴──────────────┴─────────────┴──────────┘
//
//   scratch, for R rows: residual f32 [R, width] │ normed f32 [width] │ quantized i16 [R, max(width, inner)] │
//   row scales f32 [R] │ row sums i32 [R] │ Strassen's factors i16 (strassenBytes) │ hidden f32 [R, max(3 width, inner)]
//   │ scores and value scales f32 [heads, context] │ probabilities i16 [heads, context] │ sums per head │ logits f32
//   [slots, vocab] │ sampler: weights f32 [vocab], histogram f64, ids i32 [vocab]
//
// Every size but the number of blocks follows from the model and the context; the blocks take what the budget
// leaves. DistilGPT-2 at 1024 tokens: 82.5 MB of weights, 10.0 MB for each full sequence, 4.4 MB of scratch.

import {
  ARENA_START,
  BLOCK_COLUMNS,
  BLOCK_POSITIONS,
  HISTOGRAM_BUCKETS,
  LAYER_FIELDS,
  M_LAYERS_START,
  MAX_ROWS,
  MAX_TOP,
  RNG_BYTES,
  ROW_BYTES,
  STRASSEN_COLUMNS,
  STRASSEN_RESTS,
} from "../../assembly/abi.ts";
import { EdgeformerError } from "../errors.ts";
import { alignUp, imageLayout, type ModelConfig } from "../format/manifest.ts";

/** (token, count or bias) pairs that cross into wasm at once. */
export const PAIRS = 1024;
export const WASM_PAGE = 65536;
const MAX_MEMORY = 65535 * WASM_PAGE;

/**
 * What one isolate may use (Cloudflare: 128 MB, JavaScript and WebAssembly together), and how it is shared out.
 * The first two shares were measured with bench/memory (docs/deploy.md).
 */
export const ISOLATE_BYTES = 128e6;
/** JavaScript at rest: the script, its heap, the tokenizer, the buffers of a load. */
export const JAVASCRIPT_BYTES = 16e6;
/** Kept for requests under way: bodies, texts, log-probabilities, garbage. */
export const REQUEST_BYTES = 12e6;
/** What is left for linear memory; the Worker's default `memoryLimit`. */
export const ISOLATE_WASM_BYTES = ISOLATE_BYTES - JAVASCRIPT_BYTES - REQUEST_BYTES;

/** A context that was not asked for is not made shorter than this to fit a limit: such a model is refused. */
const MIN_CHOSEN_CONTEXT = 128;

/** What decides how much linear memory a model takes. */
export interface MemoryOptions {
  /** Positions of the longest sequence. [n_positions, less where `memoryLimit` does not allow it] */
  context?: number;
  /** Sequences that can run at once. [8] */
  maxSequences?: number;
  /** KV blocks. [enough for every sequence at full context, less where `memoryLimit` does not allow it] */
  kvBlocks?: number;
  /** Bytes of linear memory at most. [4 GiB] */
  memoryLimit?: number;
}

/** The arena: how much of everything there is, and where it lies. */
export interface MemoryPlan {
  context: number;
  maxSequences: number;
  kvBlocks: number;
  maxRows: number;
  logitsSlots: number;
  /** Sizes in bytes that the descriptor carries. */
  headDimPad: number;
  kvPlaneBytes: number;
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
  "strassen",
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

/** Sizes that the model alone decides. */
function geometry(config: ModelConfig) {
  const width = alignUp(config.n_embd, 16);
  const inner = alignUp(config.n_inner, 16);
  const headDimPad = alignUp(config.n_embd / config.n_head, 16);
  const kvPlaneBytes = (config.n_head * BLOCK_POSITIONS * headDimPad) / 2;
  const kvScaleBytes = config.n_head * BLOCK_POSITIONS * 8;
  return {
    width,
    inner,
    weights: imageLayout(config).bytes,
    headDimPad,
    kvBlockBytes: config.n_layer * (4 * kvPlaneBytes + kvScaleBytes),
    kvPlaneBytes,
    logitsStride: alignUp(config.vocab_size, 16) * 4,
    quantizedStride: Math.max(width, inner) * 2,
    hiddenStride: Math.max(alignUp(3 * config.n_embd, 16), inner) * 4,
  };
}

function blocksFor(context: number): number {
  return Math.ceil(context / BLOCK_POSITIONS);
}

/** Bytes that the matrix kernel's factors take for up to `columns` columns and MAX_ROWS rows (assembly/kernels/strassen.ts). */
export function strassenBytes(columns: number): number {
  if (columns < STRASSEN_COLUMNS) return 0;
  const products = 7;
  const blocks = Math.ceil(columns / BLOCK_COLUMNS);
  const tiles = 4 * columns + blocks * (16 + 8 * STRASSEN_RESTS);
  return products * (8 * BLOCK_COLUMNS + (MAX_ROWS / 8) * tiles);
}

/** Bytes of every region, without KV blocks. */
function regionSizes(
  config: ModelConfig,
  sizesOf: ReturnType<typeof geometry>,
  context: number,
  maxSequences: number,
  logitsSlots: number,
): Record<RegionName, number> {
  const { width, headDimPad, logitsStride } = sizesOf;
  const scores = Math.max(blocksFor(context) * BLOCK_POSITIONS, headDimPad);
  return {
    descriptor: (M_LAYERS_START + LAYER_FIELDS * config.n_layer) * 4,
    tables: maxSequences * blocksFor(context) * 4,
    rows: MAX_ROWS * ROW_BYTES,
    logitRows: MAX_ROWS * 4,
    rng: maxSequences * RNG_BYTES,
    pairs: PAIRS * 8,
    top: MAX_TOP * 8,
    weights: sizesOf.weights,
    kv: 0,
    residual: MAX_ROWS * width * 4,
    // The last head's padded dimensions spill over the end.
    normed: (width + headDimPad) * 4,
    quantized: MAX_ROWS * sizesOf.quantizedStride,
    rowScale: MAX_ROWS * 4,
    rowSum: MAX_ROWS * 4,
    strassen: strassenBytes(Math.max(width, sizesOf.inner)),
    hidden: MAX_ROWS * sizesOf.hiddenStride,
    scores: config.n_head * scores * 4,
    valueScales: config.n_head * scores * 4,
    probs: config.n_head * scores * 2,
    headSums: config.n_head * (8 + headDimPad * 8) + 16,
    logits: logitsSlots * logitsStride,
    sampler: logitsStride * 2 + HISTOGRAM_BUCKETS * 8,
  };
}

/** The longest context up to `longest` for which `fits` holds, which must hold for all shorter ones; 0 if none. */
function longestContext(longest: number, fits: (context: number) => boolean): number {
  let [fitting, failing] = [0, longest + 1];
  while (failing - fitting > 1) {
    const middle = (fitting + failing) >> 1;
    if (fits(middle)) fitting = middle;
    else failing = middle;
  }
  return fitting;
}

/**
 * Where everything goes. What the options leave open is chosen so that it fits `memoryLimit`: first the longest
 * context, then as many blocks as there is room for.
 *
 * @throws EdgeformerError `unsupported_model` when the model does not fit, saying how much it needs
 */
export function planMemory(config: ModelConfig, options: MemoryOptions = {}): MemoryPlan {
  const maxSequences = within(options.maxSequences ?? 8, "maxSequences", 1, MAX_ROWS);
  const limit = Math.min(options.memoryLimit ?? MAX_MEMORY, MAX_MEMORY);
  // Two at least, so that a sequence which runs alone can check a guess.
  const logitsSlots = Math.min(Math.max(maxSequences, 2), 8);
  const sizesOf = geometry(config);
  const { kvBlockBytes } = sizesOf;

  const sizesAt = (context: number) => regionSizes(config, sizesOf, context, maxSequences, logitsSlots);
  const fixedAt = (context: number) =>
    Object.values(sizesAt(context)).reduce((sum, size) => sum + alignUp(size, 64), ARENA_START);
  const roomAt = (context: number) =>
    Math.floor((Math.floor(limit / WASM_PAGE) * WASM_PAGE - fixedAt(context)) / kvBlockBytes);
  if (options.kvBlocks !== undefined) within(options.kvBlocks, "kvBlocks", 1, 1 << 20);
  const leastBlocks = (context: number) => options.kvBlocks ?? blocksFor(context);
  const fits = (context: number) => roomAt(context) >= leastBlocks(context);

  const shortest = Math.min(config.n_positions, MIN_CHOSEN_CONTEXT);
  const context =
    options.context === undefined
      ? Math.max(longestContext(config.n_positions, fits), shortest)
      : within(options.context, "context", 1, config.n_positions);
  if (!fits(context)) {
    const needed = alignUp(fixedAt(context) + leastBlocks(context) * kvBlockBytes, WASM_PAGE);
    throw new EdgeformerError(
      "unsupported_model",
      `the model needs ${megabytes(needed)} of WebAssembly memory at a context of ${context} tokens, ${megabytes(sizesOf.weights)} of them for its weights, ` +
        `but ${megabytes(limit)} are allowed: ` +
        (sizesOf.weights < limit && context > shortest
          ? "choose a shorter context or a smaller model, or raise memoryLimit"
          : "use a smaller model (DistilGPT-2, with 82 M parameters, fits a 128 MB isolate), or raise memoryLimit where there is more memory"),
    );
  }
  const blocksPerSequence = blocksFor(context);
  const kvBlocks = options.kvBlocks ?? Math.min(blocksPerSequence * maxSequences, roomAt(context));
  const sizes = sizesAt(context);
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
    headDimPad: sizesOf.headDimPad,
    kvPlaneBytes: sizesOf.kvPlaneBytes,
    kvBlockBytes,
    blocksPerSequence,
    quantizedStride: sizesOf.quantizedStride,
    hiddenStride: sizesOf.hiddenStride,
    logitsStride: sizesOf.logitsStride,
    offsets,
    sizes,
    bytes: alignUp(offset, WASM_PAGE),
  };
}
