// What `npm run serving` keeps; the report reads it without measuring anything.
import type { Machine } from "../measure.ts";

/** Models that eight share. */
export const CROWDED = ["distilgpt2", "smollm2"];
export const CROWD = 8;
/** Tokens of their prompts. */
export const PROMPTS = [16, 128];
/** Guesses a step at most. */
export const GUESSES = [0, 1, 3, 7];

export interface ServingResults {
  machine: Machine;
  rounds: number;
  /** What prompt lookup was measured on. */
  cases: { shape: string; name: string }[];
  /** Steps and rows by lookupKey(); the same in each round. */
  counts: Record<string, { steps: number; rows: number }>;
  /** Tokens of a prompt of 528 that came from the cache. */
  cachedTokens: number;
  /** Milliseconds by crowdKey(), by lookupKey(), and to the first token behind a prefix: `prefix/cold`, `prefix/warm`. */
  samples: Record<string, number[]>;
}

export const crowdKey = (shape: string, prompt: number, how: "together" | "alone") =>
  `crowd/${shape}/${prompt}/${how}`;
export const lookupKey = (shape: string, text: string, guesses: number) =>
  `${shape}/${text}/${guesses} guesses`;
