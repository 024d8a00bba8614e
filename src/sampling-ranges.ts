/** The least and the greatest value of each number that shapes the distribution; both are allowed. */
export const SAMPLING_RANGES = {
  temperature: [0, 2],
  topP: [0, 1],
  minP: [0, 1],
  // Far below 0.01 a division by the penalty overflows float32, and an infinite logit has no softmax.
  repetitionPenalty: [0.01, 10],
  presencePenalty: [-2, 2],
  frequencyPenalty: [-2, 2],
  logitBias: [-100, 100],
} as const satisfies Record<string, readonly [least: number, greatest: number]>;
