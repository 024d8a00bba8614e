// What the benchmarks of growth keep; the report reads it without measuring anything.
import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import type { MemoryPlan } from "../../src/engine/memory.ts";
import { KINDS } from "../../src/format/kinds.ts";
import type { Manifest } from "../../src/format/manifest.ts";
import type { Machine } from "../measure.ts";

/** What a model reads and computes for a token. */
export interface Cost {
  /** Weights of its matrices. */
  weights: number;
  /** Bytes of them that a step reads: those of the blocks and of the head. */
  weightBytes: number;
  /** Bytes of keys and values of a position, with their scales. */
  cacheBytes: number;
  /** Products that attention computes for each position that it looks back on. */
  attentionProducts: number;
}

export function costOf({ recipe, tensors }: Manifest, plan: MemoryPlan): Cost {
  const cost: Cost = {
    weights: 0,
    weightBytes: 0,
    cacheBytes: (recipe.layers.length * plan.kvBlockBytes) / BLOCK_POSITIONS,
    attentionProducts: 2 * recipe.layers.length * recipe.numHeads * recipe.headSize,
  };
  for (const [i, { form, role, rows, columns }] of recipe.tensors.entries()) {
    // A learned position is one row; a tied embedding is the head.
    if (form !== "matrix" || role === "positions") continue;
    cost.weights += rows * columns;
    cost.weightBytes += (rows * columns * KINDS[tensors[i]!.kind].bits) / 8;
  }
  return cost;
}

export interface GrowthResults {
  machine: Machine;
  rounds: number;
  models: Record<string, Cost>;
  /** Bytes per second by model, beside its other figures: reading as many bytes as its step reads. */
  bandwidth: Record<string, number[]>;
  /** Milliseconds of a step behind so many tokens, and of a token in a pass of 64 rows that ends there. */
  context: Record<string, { contexts: number[]; decode: number[][]; prefill: number[][] }>;
  /** Milliseconds of a step of so many sequences, behind 64 tokens each. */
  sequences: Record<string, { counts: number[]; step: number[][] }>;
  /** Milliseconds of a step behind 64 tokens, and of a token of a prompt of 128. */
  sizes: Record<string, { decode: number[]; prefill: number[] }>;
}
