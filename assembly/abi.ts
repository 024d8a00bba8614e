// What the engine and its host agree on. AssemblyScript and TypeScript both compile this file, so it holds
// nothing but integer constants.
//
// The host lays linear memory out (src/engine/memory.ts, by the table in regions.ts), writes one descriptor of
// little-endian 32-bit fields, and tells the engine where it is. Every pointer is a byte offset in linear memory.
//
//   descriptor
//   ┌───────────────────────────┬─────────────────────┬──────────────────────────────┬─────────────────────────┐
//   │ first byte of each region │ the model's sizes   │ each layer's numbers and     │ weight records,         │
//   │ (regions.ts)              │ and weights: M_…    │ weights: L_…, layer by layer │ WEIGHT_FIELDS each: W_… │
//   └───────────────────────────┴─────────────────────┴──────────────────────────────┴─────────────────────────┘
//
// A field that stands for a weight holds the address of its record, or 0 where the model has no such weight.

/** Bytes below this offset belong to the compiler (static data); the arena starts here. */
export const ARENA_START = 65536;

// ── Packing ────────────────────────────────────────────────────────────────────────────────────────────────
// An int8 matrix [N, K] (N outputs, K inputs), N and K padded with zeros to multiples of 16, is stored in strips
// of 16 rows, and each strip as two halves of 8 rows. A half holds its columns two by two, 16 bytes each: the
// four 32-bit lanes have rows r+0…r+3 in the even bytes and r+4…r+7 in the odd ones.
//
//   byte  0         1        2         3        4         5        …  15
//        ┌─────────┬────────┬─────────┬────────┬─────────┬────────┬─ ─┬────────┐
//        │r+0,k ^80│ r+4,k  │r+0,k+1^ │r+4,k+1 │r+1,k ^80│ r+5,k  │ … │r+7,k+1 │
//        └─────────┴────────┴─────────┴────────┴─────────┴────────┴─ ─┴────────┘
//         lane 0                                lane 1                  lane 3
//
// Even bytes carry their sign bit flipped (value + 128, unsigned), so that a 16-bit load is exactly
// 256 · odd + (even + 128): assembly/kernels/dot8.ts says what that buys.
//
// The strips of a group, GROUP_STRIPS of them or what is left, make two planes: the first halves of all of them
// one after another, then the second halves. The kernel reads both planes side by side, because the processor
// fetches ahead within a page only: while one stream waits at the border of a page, the other goes on. Two long
// streams read 80 MB at 0.90 of the memory's bandwidth, one stream at 0.78, two that end every 6 KB at 0.56.
//
//   group ┌───────────────────────────────────────┬───────────────────────────────────────┐
//         │ plane 0: rows 0–7 of strips 0, 1, 2 … │ plane 1: rows 8–15 of strips 0, 1, 2 … │
//         └───────────────────────────────────────┴───────────────────────────────────────┘
//
// Strips of more than BLOCK_COLUMNS columns are cut: a plane has the first block of columns of all its strips,
// then the second of all of them, and so on. So the kernel reads memory in the order in which it is stored, and
// the activations that meet a block stay in the first-level cache: 1.09x at K = 3072, where 48 KB of weights
// would push them out between one strip and the next.

/** Rows of a strip; N is padded to a multiple of this. */
export const TILE_ROWS = 16;
/** K is padded to a multiple of this. */
export const TILE_PAD_K = 16;
/** Columns of a block at most. */
export const BLOCK_COLUMNS = 768;
/** Strips of a group at most: with 64, the streams are too short (0.83 of the bandwidth); past 512, nothing is gained. */
export const GROUP_STRIPS = 512;
/** Positions of a KV block: one tile of keys. */
export const BLOCK_POSITIONS = 16;

// ── Weight records ─────────────────────────────────────────────────────────────────────────────────────────
/** How the values are stored: KIND_…. */
export const W_KIND = 0;
/** Outputs; elements of a vector. */
export const W_ROWS = 1;
/** Inputs; 1 for a vector. */
export const W_COLUMNS = 2;
export const W_VALUES = 3;
/** float32 [rows], one for each row of a matrix. */
export const W_SCALES = 4;
/** float32 [rows], or 0 for none. */
export const W_BIAS = 5;
/** Largest int16 magnitude of the activations that this matrix is multiplied with, so that every sum fits int32. */
export const W_AMPLITUDE = 6;
/** uint8 [strips][groups][16], the steps of KIND_INT8_STEPS. */
export const W_STEPS = 7;
export const WEIGHT_FIELDS = 8;

/** A vector of float32. */
export const KIND_FLOAT32 = 0;
/** A packed int8 matrix (above) with a scale for each row. */
export const KIND_INT8 = 1;
/** A packed matrix of four-bit codes with a step and an offset for each group of columns (four-bit.ts). */
export const KIND_FOUR_BIT = 2;
/** An int8 matrix packed likewise, whose groups of 32 columns have a step each (kernels/dot8-steps.ts). */
export const KIND_INT8_STEPS = 3;

// ── Activation functions, norms ────────────────────────────────────────────────────────────────────────────
export const ACTIVATION_GELU_TANH = 1;
export const ACTIVATION_GELU_ERF = 2;
export const ACTIVATION_RELU = 3;
export const ACTIVATION_SILU = 4;

export const NORM_LAYER = 0;
export const NORM_RMS = 1;

// ── Model descriptor: indices of 32-bit fields, after those of the regions ─────────────────────────────────
export const M_HIDDEN_SIZE = 32;
export const M_HEADS = 33;
export const M_KEY_VALUE_HEADS = 34;
/** Channels of a head. */
export const M_HEAD_SIZE = 35;
/** Width of the feed-forward layer. */
export const M_INNER_SIZE = 36;
/** Layers that are here: all of the model's, or those of one stage. */
export const M_LAYERS = 37;
export const M_VOCAB = 38;
export const M_NORM = 39;
/** The norms' epsilon, float32. */
export const M_EPSILON = 40;
export const M_ACTIVATION = 41;
/** 1 if the feed-forward layer multiplies activation(gate) by up. */
export const M_GATED = 42;
/** The factor on an embedding, float32. */
export const M_EMBEDDING_SCALE = 43;
/** Channels of a head that rotary embedding turns; 0 for a model without. */
export const M_ROTARY_SIZE = 44;
/** Bytes of the KV cache of one layer, and of one plane within it (layers/kv-cache.ts). */
export const M_KV_LAYER_BYTES = 45;
export const M_KV_PLANE = 46;
/** Bytes from one sequence slot's block table to the next. */
export const M_TABLE_STRIDE = 47;
/** Bytes from one row to the next of the quantized activations, of the matrices' outputs, and of the logits. */
export const M_QUANTIZED_STRIDE = 48;
export const M_OUTPUT_STRIDE = 49;
export const M_LOGITS_STRIDE = 50;
// Weights.
/** Matrix [vocabulary, hiddenSize]. */
export const M_EMBEDDING = 51;
/** Matrix [positions, hiddenSize] of learned positions. */
export const M_POSITIONS = 52;
/** Vector [rotarySize / 2] of frequencies, radians per position. */
export const M_ROTARY = 53;
export const M_FINAL_NORM = 54;
/** Matrix [vocabulary, hiddenSize]; the embedding where they are tied. */
export const M_HEAD = 55;
/** First layer's fields; LAYER_FIELDS for each layer. */
export const M_LAYERS_START = 64;

// ── Fields of a layer, from M_LAYERS_START + layer · LAYER_FIELDS ──────────────────────────────────────────
export const L_INPUT_NORM = 0;
/** Fused projection, matrix [(heads + 2 · keyValueHeads) · headSize, hiddenSize]: queries, keys, values. */
export const L_QUERY_KEY_VALUE = 1;
/** Vectors [headSize] of the norms of each head's query and key; 0 for none. */
export const L_QUERY_NORM = 2;
export const L_KEY_NORM = 3;
/** Attention's output projection, matrix [hiddenSize, heads · headSize]. */
export const L_ATTENTION_OUTPUT = 4;
export const L_MLP_NORM = 5;
/** Matrix [innerSize, hiddenSize]; of a gated layer [2 · innerSize, hiddenSize], first the gate, then up. */
export const L_MLP_INPUT = 6;
/** Matrix [hiddenSize, innerSize]. */
export const L_MLP_OUTPUT = 7;
/** Factor on the attention scores, float32. */
export const L_SCORE_SCALE = 8;
/** Positions that a row may look back over, itself included; 0 means all. */
export const L_WINDOW = 9;
export const LAYER_FIELDS = 16;

// ── A row of the batch, int32 fields ───────────────────────────────────────────────────────────────────────
export const ROW_TOKEN = 0;
export const ROW_POSITION = 1;
/** Sequence slot: which block table and PRNG state. */
export const ROW_SEQUENCE = 2;
export const ROW_BYTES = 16;
/** Rows of one forward pass at most: with 128, prefill gains 1 to 2 %, and others wait for a pass twice as long. */
export const MAX_ROWS = 64;

/** Matrices of fewer columns are multiplied directly: Strassen's product does not repay its additions there. */
export const STRASSEN_COLUMNS = 512;
/** Pairs of activations in a tile that may exceed int16 (kernels/strassen.ts). */
export const STRASSEN_RESTS = 64;

/** PCG32's state and increment, two little-endian uint64. */
export const RNG_BYTES = 16;
/** Pairs (token, count) that penalize() takes at once. */
export const MAX_PAIRS = 1024;
/** Most alternatives that topLogits() returns. */
export const MAX_TOP = 128;
/** Buckets of the sampler's histogram, float64 each, between the candidates' weights and their ids. */
export const HISTOGRAM_BUCKETS = 2048;
