// SentencePiece has no list of merges: two neighbours become one where their texts together are a token, the token of
// the highest score first.

export interface ScoredPiece {
  text: string;
  score: number;
  /** Whether the token is text that merging may reach: control tokens and bytes are not. */
  merges: boolean;
}

export interface ScoredMerge {
  left: string;
  right: string;
  score: number;
}

/** Every way to make a token of two others, the highest score first; of one score the longer left half first. */
export function scoredMerges(
  pieces: readonly ScoredPiece[],
  vocabulary: ReadonlyMap<string, number>,
): ScoredMerge[] {
  const reachable = (text: string) => pieces[vocabulary.get(text) ?? -1]?.merges === true;
  const merges: ScoredMerge[] = [];
  for (const { text, score, merges: reaches } of pieces) {
    if (!reaches) continue;
    let at = 0;
    for (const character of text) {
      at += character.length;
      const [left, right] = [text.slice(0, at), text.slice(at)];
      if (right !== "" && reachable(left) && reachable(right)) merges.push({ left, right, score });
    }
  }
  return merges.sort((a, b) => b.score - a.score || b.left.length - a.left.length);
}

/** Priorities of such merges: those of one score have the same one, so that the leftmost comes first. */
export function sharedRanks(merges: readonly ScoredMerge[]): number[] {
  const ranks: number[] = [];
  merges.forEach(({ score }, i) => {
    ranks.push(i > 0 && merges[i - 1]!.score === score ? ranks[i - 1]! : i);
  });
  return ranks;
}
