/** A sequence to run: what the model draws or, where `text` is given, that text, as if the model had drawn it. */
export interface Job {
  prompt: number[];
  text?: number[];
  maxTokens: number;
  temperature: number;
  seed: number;
}

export interface Task {
  shape: string;
  /** Guesses per step. */
  promptLookup: number;
  /** The jobs of a batch start together, the batches one after another, on one cache. */
  batches: Job[][];
}

/** What a batch took. */
export interface BatchResult {
  ms: number;
  /** Until the first token of any. */
  firstTokenMs: number;
  steps: number;
  /** Rows computed, wrong guesses among them. */
  rows: number;
  cachedTokens: number;
  ids: number[][];
}
