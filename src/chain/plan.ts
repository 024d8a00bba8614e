import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import { REGION_KV, REGION_WEIGHTS } from "../../assembly/regions.ts";
import { ISOLATE_WASM_BYTES, type MemoryPlan, planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import type { ModelLayout } from "../format/layout.ts";
import type { ChainPlan } from "../format/manifest.ts";
import { type StageSpan, spansOf, stageLayout } from "./stage-layout.ts";

/** What decides how a model is shared out over isolates. */
export interface ChainOptions {
  /** How many isolates. [as few as can hold it] */
  isolates?: number;
  /** Positions of the longest sequence. [the model's own, 2048 at most] */
  context?: number;
  /** Sequences that can run at once. [8] */
  maxSequences?: number;
  /** KV blocks. [enough for every sequence at full context, or what the fullest isolate has room for] */
  kvBlocks?: number;
  /** Bytes of linear memory that each isolate may have. [what a Worker's isolate has] */
  memoryLimit?: number;
}

/** What a stage has in linear memory; bytes. */
export interface StageMemory extends StageSpan {
  weights: number;
  cache: number;
  /** Everything else: activations, logits, tables. */
  scratch: number;
  bytes: number;
}

const MAX_DEFAULT_CONTEXT = 2048;

/** The memory plan of one stage. @throws EdgeformerError as planMemory does */
export function planStage(model: ModelLayout, span: StageSpan, plan: ChainPlan): MemoryPlan {
  return planMemory(stageLayout(model, span), {
    context: plan.context,
    maxSequences: plan.max_sequences,
    kvBlocks: plan.kv_blocks,
  });
}

/** What each stage of a plan has in linear memory. */
export function chainMemory(model: ModelLayout, plan: ChainPlan): StageMemory[] {
  return spansOf(plan, model.recipe.layers.length).map((span) => {
    const { bytes, sizes } = planStage(model, span, plan);
    const [weights, cache] = [sizes[REGION_WEIGHTS]!, sizes[REGION_KV]!];
    return { ...span, weights, cache, scratch: bytes - weights - cache, bytes };
  });
}

/** Every way to cut the layers, and what the stages would need. */
class Cutting {
  readonly #model: ModelLayout;
  readonly #options: Omit<ChainPlan, "cuts">;
  readonly #known = new Map<number, number>();
  readonly layers: number;

  constructor(model: ModelLayout, options: Omit<ChainPlan, "cuts">) {
    this.#model = model;
    this.#options = options;
    this.layers = model.recipe.layers.length;
  }

  #bytes(isFirst: boolean, from: number, to: number): number {
    const key = (Number(isFirst) * (this.layers + 1) + from) * (this.layers + 1) + to;
    let bytes = this.#known.get(key);
    if (bytes === undefined) {
      const span = { index: isFirst ? 0 : 1, from, to };
      bytes = planStage(this.#model, span, { ...this.#options, cuts: [] }).bytes;
      this.#known.set(key, bytes);
    }
    return bytes;
  }

  /**
   * The cheapest cuts into `isolates` stages, where a stage costs `costOf` its bytes and the costs are put together by
   * `join`: dynamic programming over (stages, layers before the cut).
   */
  #cheapest(
    isolates: number,
    costOf: (bytes: number) => number,
    join: (a: number, b: number) => number,
  ): { cost: number; cuts: number[] } {
    type Way = { cost: number; cuts: number[] };
    let ways: (Way | undefined)[] = Array.from({ length: this.layers + 1 }, (_, to) => ({
      cost: costOf(this.#bytes(true, 0, to)),
      cuts: [],
    }));
    for (let stage = 1; stage < isolates; stage++)
      ways = ways.map((_, to) => {
        let best: Way | undefined;
        for (let cut = 0; cut < to; cut++) {
          const before = ways[cut];
          if (before === undefined || before.cuts.length !== stage - 1) continue;
          const cost = join(before.cost, costOf(this.#bytes(false, cut, to)));
          if (best === undefined || cost < best.cost) best = { cost, cuts: [...before.cuts, cut] };
        }
        return best;
      });
    return ways[this.layers]!;
  }

  /** Bytes of the largest stage, which are as few as can be. */
  least(isolates: number): number {
    return this.#cheapest(isolates, (bytes) => bytes, Math.max).cost;
  }

  /** Cuts whose largest stage is as small as can be, and whose others are as even as can be. */
  cut(isolates: number): number[] {
    const limit = this.least(isolates);
    const square = (bytes: number) => (bytes > limit ? Infinity : bytes ** 2);
    return this.#cheapest(isolates, square, (a, b) => a + b).cuts;
  }
}

/** The largest integer from `fitting` to `failing` − 1 that fits, where all below one that fits do. */
function largest(fitting: number, failing: number, fits: (value: number) => boolean): number {
  while (failing - fitting > 1) {
    const middle = (fitting + failing) >> 1;
    if (fits(middle)) fitting = middle;
    else failing = middle;
  }
  return fitting;
}

function integer(value: number, name: string, maximum: number): number {
  if (!Number.isInteger(value) || value < 1 || value > maximum)
    throw new EdgeformerError("invalid_option", `${name} must be an integer from 1 to ${maximum}`, {
      param: name,
    });
  return value;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * Shares a model out over isolates: cut between layers, so that the largest stage is as small as can be.
 *
 * @throws EdgeformerError `unsupported_model` when it does not fit, with what is missing and what would fit;
 *   `invalid_option`
 */
export function planChain(model: ModelLayout, options: ChainOptions = {}): ChainPlan {
  const { maxPositions, layers } = model.recipe;
  const most = layers.length + 1;
  const context = integer(
    options.context ?? Math.min(maxPositions, MAX_DEFAULT_CONTEXT),
    "context",
    maxPositions,
  );
  const max_sequences = integer(options.maxSequences ?? 8, "maxSequences", 64);
  const limit = options.memoryLimit ?? ISOLATE_WASM_BYTES;
  if (options.isolates !== undefined && options.isolates > most)
    throw new EdgeformerError(
      "invalid_option",
      `isolates: a model of ${layers.length} layers can be cut into ${most} stages at most`,
      { param: "isolates" },
    );
  if (options.isolates !== undefined) integer(options.isolates, "isolates", most);

  const blocksFor = (positions: number) => Math.ceil(positions / BLOCK_POSITIONS);
  const cutting = (kv_blocks: number, positions = context) =>
    new Cutting(model, { context: positions, max_sequences, kv_blocks });
  const leastBlocks = options.kvBlocks ?? blocksFor(context);
  const tightest = cutting(leastBlocks);
  const fewest = Array.from({ length: most }, (_, i) => i + 1).find((n) => tightest.least(n) <= limit);
  const isolates = options.isolates ?? fewest ?? most;
  const needed = tightest.least(isolates);
  if (needed > limit) {
    const longest = largest(0, context, (positions) =>
      positions === 0 ? true : cutting(blocksFor(positions), positions).least(isolates) <= limit,
    );
    const fewer = [4, 2, 1].find(
      (sequences) =>
        sequences < max_sequences &&
        new Cutting(model, { context, max_sequences: sequences, kv_blocks: leastBlocks }).least(isolates) <=
          limit,
    );
    const ways = [
      ...(fewest === undefined ? [] : [`${fewest} isolates`]),
      ...(longest > 0 ? [`a context of ${longest} tokens`] : []),
      ...(fewer === undefined ? [] : [`${fewer} sequences at once`]),
      ...(model.tensors.every(({ kind }) => kind !== "four-bit") ? ["four bits instead of eight"] : []),
    ];
    if (ways.length === 0) ways.push("a model with a smaller vocabulary or narrower layers");
    throw new EdgeformerError(
      "unsupported_model",
      `over ${isolates} ${isolates === 1 ? "isolate" : "isolates"} the largest stage needs ${megabytes(needed)} of WebAssembly memory at a context of ${context} tokens, ` +
        `${megabytes(needed - limit)} more than the ${megabytes(limit)} that it may have; what would help: ${ways.join(", or ")}`,
    );
  }
  const kv_blocks =
    options.kvBlocks ??
    largest(
      leastBlocks,
      blocksFor(context) * max_sequences + 1,
      (blocks) => cutting(blocks).least(isolates) <= limit,
    );
  return { cuts: cutting(kv_blocks).cut(isolates), context, max_sequences, kv_blocks };
}
