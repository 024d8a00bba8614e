import type { TokenMatcher } from "../../src/serving/restriction.ts";

/** What may follow in one state: a token, and the state behind it. */
type State = { next: ReadonlyMap<number, number>; mayEnd: boolean };

/** A finite automaton over token ids; state 0 is the first. */
export type TokenGrammar = readonly State[];

/** Bit i set for each of the ids. */
function maskOf(ids: Iterable<number>): Uint32Array {
  const list = [...ids];
  const mask = new Uint32Array(Math.max(0, ...list.map((id) => (id >> 5) + 1)));
  for (const id of list) mask[id >> 5]! |= 1 << (id & 31);
  return mask;
}

/** Follows a grammar, token by token: what a compiled constraint does with texts. */
export class GrammarMatcher implements TokenMatcher {
  readonly #grammar: TokenGrammar;
  #state: number;

  constructor(grammar: TokenGrammar, state = 0) {
    this.#grammar = grammar;
    this.#state = state;
  }

  get #now(): State {
    return this.#grammar[this.#state]!;
  }

  get mayEnd(): boolean {
    return this.#now.mayEnd;
  }

  /** The tokens of the text that may come next. */
  get possible(): number[] {
    return [...this.#now.next.keys()];
  }

  mask(): Uint32Array {
    return maskOf(this.possible);
  }

  accept(id: number): boolean {
    const next = this.#now.next.get(id);
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }

  forced(): number[] {
    const ids: number[] = [];
    // A circle that never leaves a choice would go on for ever.
    for (let state = this.#now; !state.mayEnd && state.next.size === 1 && ids.length < 64; ) {
      const [[id, next]] = state.next as unknown as [[number, number]];
      ids.push(id);
      state = this.#grammar[next]!;
    }
    return ids;
  }

  clone(): GrammarMatcher {
    return new GrammarMatcher(this.#grammar, this.#state);
  }
}

/**
 * A grammar of a few states, every one with a way to the end.
 *
 * @param below gives an integer from 0 to before its argument
 * @param forcing how many of ten states leave no choice
 */
export function randomGrammar(
  below: (end: number) => number,
  vocabSize: number,
  excluded: readonly number[] = [],
  forcing = 4,
): TokenGrammar {
  const count = 1 + below(8);
  const token = (): number => {
    const id = below(vocabSize);
    return excluded.includes(id) ? token() : id;
  };
  return Array.from({ length: count }, (_, state) => {
    const isLast = state === count - 1;
    // The state after it is one of its followers, so that the last one, which may end, can always be reached.
    const next = new Map([[token(), Math.min(state + 1, count - 1)]]);
    const isForcing = below(10) < forcing;
    for (let more = isForcing ? 0 : below(isLast ? 3 : 40); more > 0; more--) next.set(token(), below(count));
    return {
      next: isLast && below(2) === 0 ? new Map() : next,
      mayEnd: isLast || (!isForcing && below(4) === 0),
    };
  });
}
