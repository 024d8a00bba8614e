// `--fit`: the most faithful mix of kinds that a memory holds.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import type { Recipe, TensorSpec } from "../architectures/recipe.ts";
import { planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import type { WeightKind } from "../format/kinds.ts";
import { placeTensors } from "../format/layout.ts";
import { cheapestSavings, type Saving } from "./quantize/fit-kinds.ts";
import { importRounding } from "./quantize/import-rounding.ts";
import { type DtypesOf, importedKind } from "./quantize/kinds-for.ts";
import { QuantizerPool } from "./quantize/quantizer-pool.ts";
import { eightBitRounding, type Rounding } from "./quantize/rounding.ts";
import { type Image, KindLosses, readTensor } from "./verify/kind-losses.ts";
import type { Weights } from "./weights.ts";
import { writeImage } from "./write/image.ts";

/** Linear memory that a model may take when one sequence of `context` positions is in it. */
export interface Budget {
  bytes: number;
  context: number;
}

export interface FittedKinds {
  kindOf(tensor: TensorSpec): WeightKind;
  /** What the losses were measured on, as token ids; undefined where nothing had to be measured. */
  windows: number[][] | undefined;
  /** What the mix costs, once it is written. */
  describe(directory: string, image: Image): Promise<string>;
}

type KindOf = (tensor: TensorSpec) => WeightKind;

/** What takes over what the file has in codes, and eight bits with steps for floats. */
function finestKinds(dtypesOf: DtypesOf): KindOf {
  return (tensor) =>
    tensor.form === "vector" ? "float32" : (importedKind(dtypesOf(tensor)) ?? "int8-steps");
}

/** Every matrix in four bits. */
export function coarsestKind({ form }: TensorSpec): WeightKind {
  return form === "vector" ? "float32" : "four-bit";
}

function memoryOf(recipe: Recipe, kindOf: KindOf, context: number): number {
  const { tensors } = placeTensors(recipe, kindOf);
  return planMemory({ recipe, tensors }, { context, kvBlocks: Math.ceil(context / BLOCK_POSITIONS) }).bytes;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Refuses a budget that even four bits everywhere do not meet.
 *
 * @throws EdgeformerError `invalid_option` with the smallest budget that can be met
 */
export function checkBudget(recipe: Recipe, { bytes, context }: Budget): void {
  if (!Number.isInteger(context) || context < 1 || context > recipe.maxPositions)
    throw new EdgeformerError(
      "invalid_option",
      `context must be an integer from 1 to the model's ${recipe.maxPositions} positions, not ${context}`,
      { param: "context" },
    );
  const least = memoryOf(recipe, coarsestKind, context);
  if (least > bytes)
    throw new EdgeformerError(
      "invalid_option",
      `the model cannot fit ${megabytes(bytes)}: with every matrix in four bits it needs ${(Math.ceil(least / 1e5) / 10).toFixed(1)} MB at a context of ${context} tokens; allow more, or choose a shorter context`,
      { param: "fit" },
    );
}

/** Rounds to the kinds of `finestKinds` and `coarsestKind`, each weight by itself: good enough to compare tensors. */
function quickRounding(dtypesOf: DtypesOf, kindOf: KindOf, pool: QuantizerPool): Rounding {
  const eightBits = eightBitRounding(kindOf);
  return importRounding(dtypesOf, {
    kindOf,
    async round(tensor, matrix, first, count) {
      if (kindOf(tensor) !== "four-bit") return eightBits.round(tensor, matrix, first, count);
      const rows = await matrix.read(first, count);
      return { kind: "four-bit", ...(await pool.quantizeFourBit(rows, count, matrix.columns)) };
    },
  });
}

/** Measures what each tensor costs that four bits would make smaller. */
async function measureSavings(
  recipe: Recipe,
  finest: Image,
  coarsest: Image,
  coarsestDirectory: string,
  losses: KindLosses,
  onProgress: (share: number) => void,
): Promise<Saving[]> {
  const savings: Saving[] = [];
  for (const [i, { name, role, layer }] of recipe.tensors.entries()) {
    const [own, other] = [finest.tensors[i]!, coarsest.tensors[i]!];
    if (own.kind !== other.kind) {
      const bytes = await readTensor(coarsestDirectory, coarsest, other);
      const loss = role === "head" ? losses.ofHead(other, bytes) : losses.ofTensor(other, bytes, layer);
      savings.push({ name, bytes: own.bytes - other.bytes, loss });
    }
    onProgress((i + 1) / recipe.tensors.length);
  }
  return savings;
}

/**
 * Chooses the kind of each matrix so that the model fits a budget and its answers change least: each matrix is put in
 * four bits by itself, the engine measures how far the model's next tokens move, and those are taken that cost least for
 * each byte that they save. If all of it fits in eight bits with steps, nothing is measured.
 *
 * @param directory where images are kept meanwhile, in directories of their own
 * @param windowsFor token ids to measure with, from a model in `directory`
 * @param budget one that `checkBudget` lets through
 */
export async function fittedKinds(
  directory: string,
  weights: Weights,
  dtypesOf: DtypesOf,
  budget: Budget,
  windowsFor: (directory: string, image: Image) => Promise<number[][]>,
  onProgress: (step: string, share: number) => void,
): Promise<FittedKinds> {
  const { recipe } = weights;
  const finestKind = finestKinds(dtypesOf);
  const needed = memoryOf(recipe, finestKind, budget.context) - budget.bytes;
  if (needed <= 0)
    return {
      kindOf: finestKind,
      windows: undefined,
      describe: async () => `${planned(recipe, finestKind, budget)}; no matrix had to be made smaller`,
    };
  const [finestDirectory, coarsestDirectory] = [join(directory, "finest"), join(directory, "coarsest")];
  const pool = new QuantizerPool();
  try {
    const write = async (at: string, kindOf: KindOf, step: string): Promise<Image> => {
      await mkdir(at);
      const image = await writeImage(at, weights, {
        rounding: quickRounding(dtypesOf, kindOf, pool),
        maxPartBytes: Number.MAX_SAFE_INTEGER,
        onProgress: (done, total) => onProgress(step, done / total),
      });
      return { recipe, ...image };
    };
    const finest = await write(finestDirectory, finestKind, "rounding to eight bits");
    const windows = await windowsFor(finestDirectory, finest);
    const coarsest = await write(coarsestDirectory, coarsestKind, "rounding to four bits");
    const spareBytes = Math.max(...coarsest.tensors.map(({ bytes }) => bytes));
    const losses = await KindLosses.create(finestDirectory, finest, windows, spareBytes);
    const savings = await measureSavings(recipe, finest, coarsest, coarsestDirectory, losses, (share) =>
      onProgress("measuring what four bits cost", share),
    );
    const names = chosen(recipe, finestKind, savings, needed, budget);
    const kindOf: KindOf = (tensor) => (names.has(tensor.name) ? "four-bit" : finestKind(tensor));
    return {
      kindOf,
      windows,
      async describe(at, image) {
        const loss = await losses.ofImage(at, image);
        return (
          `${planned(recipe, kindOf, budget)}: ${names.size} of ${savings.length} matrices in eight bits were rounded to four, ` +
          `which moves the next token by ${loss.toFixed(4)} nats (mean KL divergence from eight bits, ${losses.tokens} tokens)`
        );
      },
    };
  } finally {
    await pool.close();
    await Promise.all(
      [finestDirectory, coarsestDirectory].map((path) => rm(path, { recursive: true, force: true })),
    );
  }
}

/** Savings that bring the plan within the budget; memory comes in pages, so a few bytes more may be needed. */
function chosen(
  recipe: Recipe,
  finestKind: KindOf,
  savings: readonly Saving[],
  needed: number,
  { bytes, context }: Budget,
): Set<string> {
  for (let least = needed; ; least += 4096) {
    const names = cheapestSavings(savings, least) ?? new Set(savings.map(({ name }) => name));
    const kindOf: KindOf = (tensor) => (names.has(tensor.name) ? "four-bit" : finestKind(tensor));
    if (memoryOf(recipe, kindOf, context) <= bytes) return names;
    if (names.size === savings.length) throw new Error("the budget is less than four bits everywhere need");
  }
}

function planned(recipe: Recipe, kindOf: KindOf, { context }: Budget): string {
  return `${megabytes(memoryOf(recipe, kindOf, context))} of WebAssembly memory at a context of ${context} tokens`;
}
