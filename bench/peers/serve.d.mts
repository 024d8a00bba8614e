/** Milliseconds of one prompt and of the greedy tokens after it. */
export interface Run {
  prefillMs: number;
  decodeMs: number;
}

/** Position by position: the asked tokens' log-probabilities, one after the other, and the likeliest token. */
export interface Scores {
  logprobs: number[];
  best: number[];
}

export interface Engine {
  run: (ids: number[], decodeTokens: number) => Promise<Run>;
  score?: (ids: number[], asked: number[][]) => Promise<Scores>;
}

export function serve(loadMs: number, engine: Engine): Promise<void>;

/** Log-probabilities of some tokens, and the likeliest of all. */
export function logprobsOf(
  logits: Float32Array,
  asked: readonly number[],
): { best: number; logprobs: number[] };
