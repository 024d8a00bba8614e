import { type Delta, mergeDeltas } from "../../openai/wire/choice.ts";

/** What two runs of one request have in common. */
export interface Comparison {
  identical: boolean;
  /** Tokens that were compared. */
  tokens: number;
  /** Index of the first token that differs in itself, its log-probability or its alternatives. */
  firstDifference: number | undefined;
}

/** Compares two runs to the last bit of every log-probability. */
export function compare(one: Delta[], other: Delta[]): Comparison {
  const [a, b] = [mergeDeltas(one), mergeDeltas(other)];
  const entries = ({ logprobs, tokenIds }: Delta) =>
    (logprobs?.tokens ?? []).map((token, i) =>
      JSON.stringify([
        token,
        tokenIds?.[i],
        logprobs?.token_logprobs[i],
        Object.entries(logprobs?.top_logprobs[i] ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)),
      ]),
    );
  const [left, right] = [entries(a), entries(b)];
  const length = Math.max(left.length, right.length);
  let first = 0;
  while (first < length && left[first] === right[first]) first++;
  return {
    identical: first === length && a.text === b.text && a.finishReason === b.finishReason,
    tokens: left.length,
    firstDifference: first < length ? first : undefined,
  };
}
