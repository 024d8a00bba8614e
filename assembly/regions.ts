// Linear memory, laid out once: the one table of everything in it. AssemblyScript and TypeScript both compile this
// file; `number` is a float64 in both. The engine reads where a region begins, the host computes how large it is.
// A new buffer is one constant and one line below.
//
//   0            64 Ki
//   ┌────────────┬────────────┬─────────────────────────────────────┬──────────────┬─────────────┬──────────┐
//   │ compiler's │ descriptor │ control: block tables, batch rows,  │ weights      │ KV blocks   │ scratch  │
//   │ constants  │ (abi.ts)   │ PRNG states, pairs, top logits      │ (the image)  │ 16 positions│          │
//   └────────────┴────────────┴─────────────────────────────────────┴──────────────┴─────────────┴──────────┘
//
// Every size but the number of blocks follows from the model and the context; the blocks take what the budget
// leaves. DistilGPT-2 at 1024 tokens: 82.5 MB of weights, 10.0 MB for each full sequence, 4.4 MB of scratch.

import {
  BLOCK_COLUMNS,
  BLOCK_POSITIONS,
  HISTOGRAM_BUCKETS,
  LAYER_FIELDS,
  M_LAYERS_START,
  MAX_PAIRS,
  MAX_ROWS,
  MAX_TOP,
  RNG_BYTES,
  ROW_BYTES,
  STRASSEN_COLUMNS,
  STRASSEN_RESTS,
  WEIGHT_FIELDS,
} from "./abi.ts";
import { EXPANDED_ROWS, GROUP_COLUMNS } from "./four-bit.ts";

// ── Regions, in the order in which they lie; each is also the index of its address in the descriptor ───────
/** The descriptor itself. */
export const REGION_DESCRIPTOR = 0;
/** Block tables: int32 block indices, a row for each sequence slot. */
export const REGION_TABLES = 1;
/** Rows of a forward pass. */
export const REGION_ROWS = 2;
/** int32 row indices whose logits head() computes, in the order of the logits slots. */
export const REGION_LOGIT_ROWS = 3;
/** PRNG states, one for each sequence slot. */
export const REGION_RNG = 4;
/** Pairs (int32 token, int32 count) that penalize() reads. */
export const REGION_PAIRS = 5;
/** Pairs (int32 token, float32 logit) that topLogits() writes. */
export const REGION_TOP = 6;
/** The weights, as they are on disk. */
export const REGION_WEIGHTS = 7;
/** The KV cache (layers/kv-cache.ts). */
export const REGION_KV = 8;
/** Hidden states between the layers, float32 [rows, hiddenSize]. */
export const REGION_RESIDUAL = 9;
/** One row behind a norm, or attention's output, float32. */
export const REGION_NORMED = 10;
/** Inputs of the matrix that comes next: int16 [rows, columns], a float32 scale and an int32 sum for each row. */
export const REGION_QUANTIZED = 11;
export const REGION_ROW_SCALES = 12;
export const REGION_ROW_SUMS = 13;
/** Factors of Strassen's product (kernels/strassen.ts). */
export const REGION_STRASSEN = 14;
/** Outputs of a matrix: queries, keys and values, or the inner layer, float32 [rows, outputs]. */
export const REGION_OUTPUT = 15;
/** Cosines, then sines of each row's rotary angles, float32 [rows, 2, rotarySize / 2]. */
export const REGION_ROTARY = 16;
/** Attention of one row: scores float32 [heads, context], value scales float32 [keyValueHeads, context]. */
export const REGION_SCORES = 17;
export const REGION_VALUE_SCALES = 18;
/** Its probabilities int16 [heads, context]; before them the quantized queries. */
export const REGION_PROBABILITIES = 19;
/** Its sums for each head: scale, sum, and the accumulators of the weighted values. */
export const REGION_HEAD_SUMS = 20;
/** Logits float32 [slots, vocabulary]. */
export const REGION_LOGITS = 21;
/** Scratch of the sampler: weights float32 [vocabulary], histogram, ids int32 [vocabulary]. */
export const REGION_SAMPLER = 22;
/** Σx of each group of columns, for rows that are multiplied with four-bit codes as they are: int32 [rows, columns / 32]. */
export const REGION_GROUP_SUMS = 23;
/** 16 rows of four-bit weights within a block of columns, expanded to int16 (kernels/dot4.ts). */
export const REGION_PANEL = 24;
/** Which tokens mask() leaves possible: bit i of the little-endian words stands for token i. */
export const REGION_MASK = 25;
export const REGIONS = 26;

/** The numbers that sizes depend on. Widths are padded as they are stored: multiples of 16. */
export class Shape {
  layers: number = 0;
  weightRecords: number = 0;
  weightBytes: number = 0;
  heads: number = 0;
  keyValueHeads: number = 0;
  /** Channels of a head, padded to a multiple of 16. */
  headSize: number = 0;
  hiddenSize: number = 0;
  /** Most columns that a matrix has, and most rows of one other than the head. */
  columns: number = 0;
  outputs: number = 0;
  rotarySize: number = 0;
  vocabulary: number = 0;
  maxSequences: number = 0;
  /** KV blocks of the longest sequence. */
  blocksPerSequence: number = 0;
  kvBlocks: number = 0;
  logitsSlots: number = 0;
}

/** Bytes of one KV block in one of a layer's four planes. */
export function kvPlaneBytes(keyValueHeads: number, headSize: number): number {
  return (keyValueHeads * headSize * BLOCK_POSITIONS) / 2;
}

/** Bytes of one KV block in one layer: keys and values in two planes each, and a float32 scale for each of both. */
export function kvBlockBytes(keyValueHeads: number, headSize: number): number {
  return 4 * kvPlaneBytes(keyValueHeads, headSize) + keyValueHeads * BLOCK_POSITIONS * 8;
}

/** Products of Strassen's algorithm, in place of eight. */
export const STRASSEN_PRODUCTS = 7;
/** Bytes before a tile's list of rests: how many there are. */
export const STRASSEN_LIST_HEAD = 16;

/** Bytes of a tile of activations' factors: int16 [4 rows, columns / 2], then the list of rests. */
export function strassenTileBytes(columns: number): number {
  return columns * 4 + STRASSEN_LIST_HEAD + STRASSEN_RESTS * 8;
}

/** Bytes of the weights' factors of one strip and one block of columns. */
export const STRASSEN_WEIGHT_BYTES = STRASSEN_PRODUCTS * BLOCK_COLUMNS * 8;

/** Bytes of all factors for matrices of up to `columns` columns and a full batch. */
export function strassenBytes(columns: number): number {
  if (columns < STRASSEN_COLUMNS) return 0;
  const blocks = Math.ceil(columns / BLOCK_COLUMNS);
  const tiles = columns * 4 + blocks * strassenTileBytes(0);
  return STRASSEN_WEIGHT_BYTES + STRASSEN_PRODUCTS * (MAX_ROWS / 8) * tiles;
}

/** Bytes from one row's sums of groups to the next. */
export function groupSumsStride(columns: number): number {
  return Math.ceil(columns / GROUP_COLUMNS) * 4;
}

/** Positions that attention has room for; as many as a head has channels, because queries lie there first. */
function attended(shape: Shape): number {
  return Math.max(shape.blocksPerSequence * BLOCK_POSITIONS, shape.headSize);
}

/** Bytes of a region. */
export function regionBytes(region: number, shape: Shape): number {
  switch (region) {
    case REGION_DESCRIPTOR:
      return (M_LAYERS_START + LAYER_FIELDS * shape.layers + WEIGHT_FIELDS * shape.weightRecords) * 4;
    case REGION_TABLES:
      return shape.maxSequences * shape.blocksPerSequence * 4;
    case REGION_ROWS:
      return MAX_ROWS * ROW_BYTES;
    case REGION_LOGIT_ROWS:
      return MAX_ROWS * 4;
    case REGION_RNG:
      return shape.maxSequences * RNG_BYTES;
    case REGION_PAIRS:
      return MAX_PAIRS * 8;
    case REGION_TOP:
      return MAX_TOP * 8;
    case REGION_WEIGHTS:
      return shape.weightBytes;
    case REGION_KV:
      return shape.kvBlocks * shape.layers * kvBlockBytes(shape.keyValueHeads, shape.headSize);
    case REGION_RESIDUAL:
      return MAX_ROWS * shape.hiddenSize * 4;
    case REGION_NORMED:
      // The last head's padded channels spill over the end.
      return (Math.max(shape.hiddenSize, shape.columns) + shape.headSize) * 4;
    case REGION_QUANTIZED:
      return MAX_ROWS * shape.columns * 2;
    case REGION_ROW_SCALES:
    case REGION_ROW_SUMS:
      return MAX_ROWS * 4;
    case REGION_STRASSEN:
      return strassenBytes(shape.columns);
    case REGION_OUTPUT:
      return MAX_ROWS * shape.outputs * 4;
    case REGION_ROTARY:
      return MAX_ROWS * shape.rotarySize * 4;
    case REGION_SCORES:
      return shape.heads * attended(shape) * 4;
    case REGION_VALUE_SCALES:
      return shape.keyValueHeads * attended(shape) * 4;
    case REGION_PROBABILITIES:
      return shape.heads * attended(shape) * 2;
    case REGION_HEAD_SUMS:
      return shape.heads * (8 + shape.headSize * 4) + 16;
    case REGION_LOGITS:
      return shape.logitsSlots * shape.vocabulary * 4;
    case REGION_SAMPLER:
      return shape.vocabulary * 8 + HISTOGRAM_BUCKETS * 8;
    case REGION_GROUP_SUMS:
      return (EXPANDED_ROWS - 1) * groupSumsStride(shape.columns);
    case REGION_PANEL:
      return BLOCK_COLUMNS * 32;
    case REGION_MASK:
      return Math.ceil(shape.vocabulary / 32) * 4;
    default:
      return 0;
  }
}
