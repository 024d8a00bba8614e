import { ARENA_START, BLOCK_POSITIONS, MAX_ROWS } from "../../assembly/abi.ts";
import { kvBlockBytes, kvPlaneBytes, REGIONS, regionBytes, Shape } from "../../assembly/regions.ts";
import { EdgeformerError } from "../errors.ts";
import { alignUp, padded } from "../format/align.ts";
import { imageBytes, type ModelLayout } from "../format/layout.ts";

export const WASM_PAGE = 65536;
const MAX_MEMORY = 65535 * WASM_PAGE;

/**
 * What one isolate may use (Cloudflare: 128 MB, JavaScript and WebAssembly together), and how it is shared out. Measured
 * in workerd (bench/memory, docs/deploy.md): heaps and buffers have 8 to 13 MB beside the WebAssembly memory after a long
 * answer, and 16 to 19 MB while eight are under way.
 */
export const ISOLATE_BYTES = 128e6;
/** JavaScript at rest: the script, its heap, the tokenizer, the buffers of a load. */
export const JAVASCRIPT_BYTES = 11e6;
/** Kept for requests under way: bodies, texts, log-probabilities, garbage. */
export const REQUEST_BYTES = 10e6;
/** What is left for linear memory; the Worker's default `memoryLimit`. */
export const ISOLATE_WASM_BYTES = ISOLATE_BYTES - JAVASCRIPT_BYTES - REQUEST_BYTES;

/** A context that was not asked for is not made shorter than this to fit a limit: such a model is refused. */
const MIN_CHOSEN_CONTEXT = 128;

/** What decides how much linear memory a model takes. */
export interface MemoryOptions {
  /** Positions of the longest sequence. [maxPositions, less where `memoryLimit` does not allow it] */
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
  /** Bytes of a KV block in one layer, and in one plane of it. */
  kvBlockBytes: number;
  kvPlaneBytes: number;
  blocksPerSequence: number;
  /** Bytes from one row to the next. */
  quantizedStride: number;
  outputStride: number;
  logitsStride: number;
  /** First byte of each region of assembly/regions.ts. */
  offsets: number[];
  /** Bytes of each region. */
  sizes: number[];
  /** Size of linear memory, whole pages. */
  bytes: number;
}

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

/** What the model alone decides of its shape. */
function modelShape(model: ModelLayout): Shape {
  const { recipe } = model;
  const matrices = recipe.tensors.filter(({ form }) => form === "matrix");
  const shape = new Shape();
  shape.layers = recipe.layers.length;
  shape.weightRecords = recipe.tensors.length;
  shape.weightBytes = imageBytes(model);
  shape.heads = recipe.numHeads;
  shape.keyValueHeads = recipe.numKeyValueHeads;
  shape.headSize = padded(recipe.headSize);
  shape.hiddenSize = padded(recipe.hiddenSize);
  shape.columns = Math.max(...matrices.map(({ columns }) => padded(columns)));
  // A stage of a chain may have no layer, or neither embedding nor head (chain/stage-layout.ts).
  shape.outputs = Math.max(
    0,
    ...matrices.filter(({ layer }) => layer !== undefined).map(({ rows }) => padded(rows)),
  );
  shape.rotarySize = recipe.positions.kind === "rotary" ? recipe.positions.size : 0;
  shape.vocabulary = matrices.some(({ role }) => role === "embedding") ? padded(recipe.vocabSize) : 0;
  return shape;
}

function blocksFor(context: number): number {
  return Math.ceil(context / BLOCK_POSITIONS);
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
export function planMemory(model: ModelLayout, options: MemoryOptions = {}): MemoryPlan {
  const maxSequences = within(options.maxSequences ?? 8, "maxSequences", 1, MAX_ROWS);
  const limit = Math.min(options.memoryLimit ?? MAX_MEMORY, MAX_MEMORY);
  // Two at least, so that a sequence which runs alone can check a guess.
  const logitsSlots = Math.min(Math.max(maxSequences, 2), 8);
  const { maxPositions } = model.recipe;
  const shape = Object.assign(modelShape(model), { maxSequences, logitsSlots });
  const layerBlockBytes = kvBlockBytes(shape.keyValueHeads, shape.headSize);
  const blockBytes = shape.layers * layerBlockBytes;

  const sizesAt = (context: number, kvBlocks: number) => {
    const full = { ...shape, blocksPerSequence: blocksFor(context), kvBlocks };
    return Array.from({ length: REGIONS }, (_, region) => regionBytes(region, full));
  };
  const fixedAt = (context: number) =>
    sizesAt(context, 0).reduce((sum, size) => sum + alignUp(size, 64), ARENA_START);
  const roomAt = (context: number) =>
    Math.floor((Math.floor(limit / WASM_PAGE) * WASM_PAGE - fixedAt(context)) / blockBytes);
  if (options.kvBlocks !== undefined) within(options.kvBlocks, "kvBlocks", 1, 1 << 20);
  const leastBlocks = (context: number) => options.kvBlocks ?? blocksFor(context);
  const fits = (context: number) => roomAt(context) >= leastBlocks(context);

  const shortest = Math.min(maxPositions, MIN_CHOSEN_CONTEXT);
  const context =
    options.context === undefined
      ? Math.max(longestContext(maxPositions, fits), shortest)
      : within(options.context, "context", 1, maxPositions);
  if (!fits(context)) {
    const needed = alignUp(fixedAt(context) + leastBlocks(context) * blockBytes, WASM_PAGE);
    throw new EdgeformerError(
      "unsupported_model",
      `the model needs ${megabytes(needed)} of WebAssembly memory at a context of ${context} tokens, ${megabytes(shape.weightBytes)} of them for its weights, ` +
        `but ${megabytes(limit)} are allowed: ` +
        (shape.weightBytes < limit && context > shortest
          ? "choose a shorter context or a smaller model, or raise memoryLimit"
          : "use a smaller model, convert this one to fit (edgeformer convert --fit 107MB, or --bits 4), or raise memoryLimit where there is more memory"),
    );
  }
  const blocksPerSequence = blocksFor(context);
  const kvBlocks = options.kvBlocks ?? Math.min(blocksPerSequence * maxSequences, roomAt(context));
  const sizes = sizesAt(context, kvBlocks);
  let end = ARENA_START;
  const offsets = sizes.map((size) => {
    const offset = end;
    end += alignUp(size, 64);
    return offset;
  });
  return {
    context,
    maxSequences,
    kvBlocks,
    maxRows: MAX_ROWS,
    logitsSlots,
    kvBlockBytes: layerBlockBytes,
    kvPlaneBytes: kvPlaneBytes(shape.keyValueHeads, shape.headSize),
    blocksPerSequence,
    quantizedStride: shape.columns * 2,
    outputStride: shape.outputs * 4,
    logitsStride: shape.vocabulary * 4,
    offsets,
    sizes,
    bytes: alignUp(end, WASM_PAGE),
  };
}
