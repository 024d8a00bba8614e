import { EdgeformerError } from "../errors.ts";
import { excerpt } from "../excerpt.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { freeWalk } from "./free-walk.ts";
import { Masks } from "./masks.ts";
import { Matcher } from "./matcher.ts";
import type { State } from "./state.ts";
import { type Vocabulary, vocabularyOf } from "./vocabulary.ts";

/** How a constraint meets a tokenizer. */
export interface MatcherOptions {
  /** Ids that end a text. [the tokenizer's `eos_token`] */
  endTokens?: readonly number[];
}

/**
 * Builds what all constraints need of a tokenizer, which otherwise the first one does: some 50 ms for 50,000 tokens.
 *
 * @param pause awaited in the middle, so that others may go on
 */
export async function prepareTokenizer(
  tokenizer: Tokenizer,
  pause: () => Promise<unknown> = async () => {},
): Promise<void> {
  const vocabulary = vocabularyOf(tokenizer);
  await pause();
  freeWalk(vocabulary);
}

/** What a text must be: compiled once, for any number of sequences and tokenizers. */
export class Constraint {
  /** @internal The state before the first byte. */
  readonly begin: State;
  readonly #choices: readonly string[] | undefined;
  /** Masks by vocabulary. */
  readonly #masks = new Map<Vocabulary, Masks>();

  /** @internal `compileConstraint` makes it. */
  constructor(begin: State, choices?: readonly string[]) {
    this.begin = begin;
    this.#choices = choices;
  }

  /**
   * The beginning of a text in a tokenizer's tokens. Its special tokens are never allowed, but for those that end it.
   *
   * @throws EdgeformerError `invalid_option` if its tokens cannot spell such a text
   */
  matcher(tokenizer: Tokenizer, options: MatcherOptions = {}): Matcher {
    const vocabulary = vocabularyOf(tokenizer);
    const named = vocabulary.endToken;
    const endTokens = options.endTokens ?? (named === undefined ? [] : [named]);
    for (const id of endTokens)
      if (!Number.isInteger(id) || id < 0 || id >= vocabulary.size)
        throw new EdgeformerError("invalid_option", `endTokens has ${id}, which is no token`, {
          param: "endTokens",
        });
    let masks = this.#masks.get(vocabulary);
    if (!masks) {
      for (const choice of this.#choices ?? []) {
        if (vocabulary.spells(choice)) continue;
        throw new EdgeformerError(
          "invalid_option",
          `choice has ${excerpt(choice)}, which no tokens of this model spell`,
          { param: "choice" },
        );
      }
      this.#masks.set(vocabulary, (masks = new Masks(vocabulary)));
    }
    return new Matcher(vocabulary, masks, endTokens, this.begin);
  }
}
