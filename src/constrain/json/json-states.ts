// The states of a JSON text.

import type { TextStates } from "../language/text-state.ts";
import type { State } from "../state.ts";
import { Context } from "./context.ts";
import { arrayFrame, objectFrame } from "./frames.ts";
import type { Goal } from "./goal.ts";
import type { Possibilities } from "./parts.ts";
import { Making, Remembering } from "./places.ts";

/** States after which all that can be made again is dropped. */
const MAX_STATES = 20_000;

const END: State = { mayEnd: true, step: () => undefined };

/** Before the first character, which is no white space: clients read an answer as it grows. */
class Begin extends Remembering {
  readonly #context: Context;

  constructor(context: Context) {
    super(context.making);
    this.#context = context;
  }

  find(byte: number): State | undefined {
    return this.#context.begin(byte);
  }
}

/**
 * Gives the state before the first character. Texts that have begun keep their states; new ones share all that is not
 * too much.
 *
 * @param spaced whether white space is allowed
 */
export function beginJson(
  possibilities: Possibilities,
  texts: TextStates,
  root: Goal,
  spaced: boolean,
): () => State {
  const make = () =>
    new Begin(
      new Context(
        new Making(possibilities, texts, spaced),
        { array: arrayFrame, object: objectFrame },
        [root],
        () => END,
        false,
      ),
    );
  let begin = make();
  return () => {
    if (begin.making.count > MAX_STATES) {
      texts.clear();
      texts.languages.clear();
      possibilities.forget();
      begin = make();
    }
    return begin;
  };
}
