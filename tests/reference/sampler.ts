// Sampling by sorting the whole vocabulary: temperature, then top-k, top-p and min-p in the order of Hugging
// Face's logits warpers, each on what the one before left, renormalized.

export interface ReferenceSampling {
  /** Above 0. */
  temperature: number;
  /** 0 keeps all. */
  topK: number;
  /** 1 keeps all. */
  topP: number;
  /** 0 keeps all. */
  minP: number;
}

export interface Candidate {
  id: number;
  probability: number;
}

function normalize(candidates: Candidate[]): Candidate[] {
  const sum = candidates.reduce((total, candidate) => total + candidate.probability, 0);
  return candidates.map(({ id, probability }) => ({ id, probability: probability / sum }));
}

/** The tokens that the filters keep, likeliest first (ties by id), with probabilities that add up to 1. */
export function keptTokens(logits: ArrayLike<number>, options: ReferenceSampling): Candidate[] {
  const { temperature, topK, topP, minP } = options;
  const maximum = Array.from(logits).reduce((a, b) => Math.max(a, b), -Infinity);
  let kept = normalize(
    Array.from(logits, (logit, id) => ({ id, probability: Math.exp((logit - maximum) / temperature) })),
  ).sort((a, b) => b.probability - a.probability || a.id - b.id);
  if (topK > 0) kept = normalize(kept.slice(0, topK));
  if (topP < 1) {
    // The smallest set whose mass reaches topP: a token stays while the mass before it is below. One always does.
    let before = 0;
    kept = normalize(
      kept.filter(({ probability }) => {
        const stays = before === 0 || before < topP;
        before += probability;
        return stays;
      }),
    );
  }
  if (minP > 0) {
    const threshold = minP * kept[0]!.probability;
    kept = normalize(kept.filter(({ probability }) => probability >= threshold));
  }
  return kept;
}

/** The likeliest token, the lowest id of several. */
export function greedy(logits: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}
