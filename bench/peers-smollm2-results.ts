// What `npm run bench:smollm2` keeps.
import type { Machine } from "./measure.ts";
import type { Contestant } from "./peers/contestants.ts";
import type { Faithfulness } from "./peers/faithfulness.ts";

/** Prompts whose prefill is timed. */
export const PROMPTS = [32, 128, 512] as const;
/** Tokens before those whose decode is timed. */
export const CONTEXTS = [128, 768] as const;

/** A new process: loads, answers its first prompt, then is timed. */
export interface Turn {
  contestant: string;
  /** When it began. */
  at: string;
  loadMs: number;
  /** Of a prompt of 128 tokens, the first thing that the process does. */
  firstTokenMs: number;
  /** Tokens per second, in the order of PROMPTS and of CONTEXTS. */
  prefill: number[];
  decode: number[];
  peakBytes: number;
}

export interface Entry
  extends Pick<Contestant, "engine" | "weights" | "bits" | "where" | "rounds" | "decodeTokens"> {
  engineBytes: number;
  modelBytes: number;
  faithfulness?: Faithfulness;
}

export interface SmolResults {
  machine: Machine;
  /** By name. */
  contestants: Record<string, Entry>;
  turns: Turn[];
}

export function nameOf({ engine, weights }: { engine: string; weights: string }): string {
  return `${engine}, ${weights}`;
}
