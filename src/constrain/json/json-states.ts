// The states of a JSON text.

import type { TextStates } from "../language/text-state.ts";
import type { State } from "../state.ts";
import { Context } from "./context.ts";
import { arrayFrame, objectFrame } from "./frames.ts";
import type { Goal } from "./goal.ts";
import type { Possibilities } from "./parts.ts";
import { Making, Remembering } from "./places.ts";

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
 * The state before the first character.
 *
 * @param spaced whether white space is allowed
 */
export function beginJson(
  possibilities: Possibilities,
  texts: TextStates,
  root: Goal,
  spaced: boolean,
): State {
  const making = new Making(possibilities, texts, spaced);
  return new Begin(new Context(making, { array: arrayFrame, object: objectFrame }, [root], () => END, false));
}
