// What the benchmark of a cold Worker keeps.
import type { Machine } from "../measure.ts";

/** What the Worker itself has measured: milliseconds by phase, in order. */
export interface ColdAnswer {
  phases: Record<string, number>;
  /** Of the weights. */
  bytes: number;
  /** Of the prompt. */
  tokens: number;
  /** The first token. */
  text: string;
}

export interface ColdResults {
  machine: Machine;
  rounds: number;
  /** By model: milliseconds of each phase in each round, in order, and the same of a request as its client sees it. */
  models: Record<string, { phases: Record<string, number[]>; total: number[] } & Omit<ColdAnswer, "phases">>;
}
