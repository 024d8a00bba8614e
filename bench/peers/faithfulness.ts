import type { Scores } from "./serve.d.mts";

/** A text of the goldens, with what float32 thinks of it: the likeliest next tokens after each of its ids. */
export interface GoldenWindow {
  ids: number[];
  top_ids: number[][];
  top_logprobs: number[][];
}

/** How far from float32 an engine is. */
export interface Faithfulness {
  /** Mean divergence in nats, over the golden's tokens and one bucket for the rest. */
  kl: number;
  /** Share of the positions whose likeliest token is float32's. */
  sameFirst: number;
  positions: number;
}

/** What an engine scored, window by window. */
export function faithfulness(windows: readonly GoldenWindow[], scores: readonly Scores[]): Faithfulness {
  let [kl, same, positions] = [0, 0, 0];
  for (const [w, { logprobs, best }] of scores.entries()) {
    const { top_ids, top_logprobs } = windows[w]!;
    for (const [i, first] of best.entries()) {
      const golden = top_logprobs[i]!;
      const found = logprobs.slice(i * golden.length, (i + 1) * golden.length);
      const rest = (values: number[]) =>
        Math.max(1e-12, 1 - values.reduce((sum, value) => sum + Math.exp(value), 0));
      kl += rest(golden) * Math.log(rest(golden) / rest(found));
      golden.forEach((value, k) => {
        kl += Math.exp(value) * (value - found[k]!);
      });
      if (first === top_ids[i]![0]) same++;
      positions++;
    }
  }
  return { kl: kl / positions, sameFirst: same / positions, positions };
}
