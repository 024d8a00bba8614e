// What the engine and its host agree on. AssemblyScript and TypeScript both compile this file, so it holds
// nothing but integer constants.
//
// The host lays linear memory out (src/engine/memory.ts), writes one descriptor of little-endian 32-bit fields, and
// tells the engine where it is. Every pointer is a byte offset in linear memory.

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

// ── Activation functions ───────────────────────────────────────────────────────────────────────────────────
export const ACTIVATION_NONE = 0;
export const ACTIVATION_GELU_TANH = 1;
export const ACTIVATION_GELU_ERF = 2;
export const ACTIVATION_RELU = 3;
export const ACTIVATION_SILU = 4;

// ── Model descriptor: indices of 32-bit fields ─────────────────────────────────────────────────────────────
export const M_WIDTH = 0;
export const M_WIDTH_PAD = 1;
export const M_HEADS = 2;
export const M_HEAD_DIM = 3;
/** Head dimension padded to a multiple of 16, as the KV cache stores it. */
export const M_HEAD_DIM_PAD = 4;
export const M_INNER = 5;
export const M_INNER_PAD = 6;
export const M_LAYERS = 7;
export const M_VOCAB = 8;
export const M_VOCAB_PAD = 9;
export const M_ACTIVATION = 10;
/** LayerNorm's epsilon, float32. */
export const M_EPSILON = 11;
/** Token embedding: packed int8 [vocab, width] and its float32 scales. */
export const M_WTE = 12;
export const M_WTE_SCALE = 13;
/** Position embedding: packed int8 [positions, width] and its float32 scales. */
export const M_WPE = 14;
export const M_WPE_SCALE = 15;
export const M_LNF_WEIGHT = 16;
export const M_LNF_BIAS = 17;
/** Output head: packed int8 [vocab, width] and its float32 scales; the token embedding itself when tied. */
export const M_HEAD = 18;
export const M_HEAD_SCALE = 19;
/** KV cache (attention.ts): first byte, bytes of one layer, bytes of one plane within a layer. */
export const M_KV = 20;
export const M_KV_LAYER_BYTES = 21;
export const M_KV_PLANE = 22;
/** Block tables: int32 block indices, one row of M_TABLE_STRIDE bytes per sequence slot. */
export const M_TABLES = 23;
export const M_TABLE_STRIDE = 24;
/** Rows of a forward pass, ROW_BYTES each. */
export const M_ROWS = 25;
/** int32 row indices whose logits head() computes, in the order of the logits slots. */
export const M_LOGIT_ROWS = 26;
/** PRNG states, RNG_BYTES per sequence slot. */
export const M_RNG = 27;
/** Pairs (int32 token, int32 count or float32 bias) that penalize() and addBias() read. */
export const M_PAIRS = 28;
/** Pairs (int32 token, float32 logit) that topLogits() writes. */
export const M_TOP = 29;
// Activations
export const M_RESIDUAL = 30;
export const M_NORMED = 31;
export const M_QUANTIZED = 32;
export const M_QUANTIZED_STRIDE = 33;
export const M_ROW_SCALE = 34;
export const M_ROW_SUM = 35;
/** float32 outputs of the matrix kernels: q, k and v, or the inner layer. */
export const M_HIDDEN = 36;
export const M_HIDDEN_STRIDE = 37;
/** Attention of one row: scores and value scales float32 [heads, context], probabilities int16 [heads, context]. */
export const M_SCORES = 38;
export const M_PROBS = 39;
export const M_LOGITS = 40;
/** Bytes from one logits slot to the next. */
export const M_LOGITS_STRIDE = 41;
/** Scratch of the sampler: weights float32 [vocabPad], histogram, ids int32 [vocabPad]. */
export const M_SAMPLER = 42;
export const M_VALUE_SCALES = 43;
/** Per head: scale, sum, and the accumulators of the weighted values (attention.ts). */
export const M_HEAD_SUMS = 44;
/** Rows of the packed position embedding. */
export const M_POSITIONS_PAD = 45;
/** Factors of Strassen's product (strassen.ts). */
export const M_STRASSEN = 46;
/** First layer's fields; LAYER_FIELDS for each layer. */
export const M_LAYERS_START = 47;

// ── Fields of a layer, from M_LAYERS_START + layer · LAYER_FIELDS ──────────────────────────────────────────
export const L_LN1_WEIGHT = 0;
export const L_LN1_BIAS = 1;
/** Fused query, key and value projection, packed int8 [3 · width, width]. */
export const L_QKV = 2;
export const L_QKV_SCALE = 3;
export const L_QKV_BIAS = 4;
/** Attention's output projection, packed int8 [width, width]. */
export const L_PROJ = 5;
export const L_PROJ_SCALE = 6;
export const L_PROJ_BIAS = 7;
export const L_LN2_WEIGHT = 8;
export const L_LN2_BIAS = 9;
/** MLP's first matrix, packed int8 [inner, width]. */
export const L_FC = 10;
export const L_FC_SCALE = 11;
export const L_FC_BIAS = 12;
/** MLP's second matrix, packed int8 [width, inner]. */
export const L_MLP_PROJ = 13;
export const L_MLP_PROJ_SCALE = 14;
export const L_MLP_PROJ_BIAS = 15;
/** Factor on the attention scores, float32: 1 / √headDim for GPT-2, 1 for GPT-Neo. */
export const L_ATTENTION_SCALE = 16;
/** Positions that a row may look back over, itself included; 0 means all. */
export const L_WINDOW = 17;
export const LAYER_FIELDS = 18;

// ── A row of the batch, int32 fields ───────────────────────────────────────────────────────────────────────
export const ROW_TOKEN = 0;
export const ROW_POSITION = 1;
/** Sequence slot: which block table and PRNG state. */
export const ROW_SEQUENCE = 2;
export const ROW_BYTES = 16;
/** Rows of one forward pass at most: with 128, prefill gains 1 to 2 %, and others wait for a pass twice as long. */
export const MAX_ROWS = 64;

/** Matrices of fewer columns are multiplied directly: their activations use all of int16, and differ by more. */
export const STRASSEN_COLUMNS = 768;
/** Pairs of activations in a tile that may exceed int16 (strassen.ts). */
export const STRASSEN_RESTS = 64;

/** PCG32's state and increment, two little-endian uint64. */
export const RNG_BYTES = 16;
/** Most alternatives that topLogits() returns. */
export const MAX_TOP = 128;
/** Buckets of the sampler's histogram, float64 each, between the candidates' weights and their ids. */
export const HISTOGRAM_BUCKETS = 2048;
