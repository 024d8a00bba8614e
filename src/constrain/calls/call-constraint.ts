// A model's calls of functions, as Hermes and Qwen write them and as SmolLM2's list has them:
//
//   <tool_call>
//   {"name": "weather", "arguments": {"city": "Oslo"}}
//   </tool_call>
//
//   <tool_call>[{"name": "weather", "arguments": {"city": "Oslo"}}, …]</tool_call>
//
// Around the arguments everything but one white space here and there is laid down; the arguments are a constraint's.

import { EdgeformerError } from "../../errors.ts";
import { Constraint } from "../constraint.ts";
import { remember } from "../memory.ts";
import type { Inside, State } from "../state.ts";

/** What begins and ends a call, or a list of calls. */
export const CALL_OPEN = "<tool_call>";
export const CALL_CLOSE = "</tool_call>";
/** What stands around a call's name and before its arguments. */
export const CALL_NAME = '{"name": "';
export const CALL_ARGUMENTS = '", "arguments": ';

/** A function that may be called. */
export interface CallableFunction {
  /** Letters, digits, underscores and hyphens. */
  name: string;
  /** What its arguments are held to: a JSON object. */
  arguments: Constraint;
}

export interface CallOptions {
  /** Whether the text must be a call. [false: a text without one will do] */
  required?: boolean;
  /** Whether several functions may be called. [true] */
  parallel?: boolean;
  /** What the text is held to where it calls nothing. [nothing: it may say something before a call] */
  answer?: Constraint | undefined;
}

/** A part of a text, given what comes behind it. */
type Part = (behind: State) => State;

/** What is remembered of states that are possible at once. */
const STATE_BYTES = 200;

const encoder = new TextEncoder();
const OPEN = encoder.encode(CALL_OPEN);

const END: State = { mayEnd: true, step: () => undefined };

/** A text that is laid down. */
function literal(text: string): Part {
  return (behind) => {
    let state = behind;
    for (const byte of encoder.encode(text).reverse()) {
      const next = state;
      state = { mayEnd: false, step: (given) => (given === byte ? next : undefined) };
    }
    return state;
  };
}

/** Several states at once: the text may go on from any of them. */
class Either implements State {
  readonly #states: readonly State[];
  readonly #next: (State | undefined | null)[] = [];

  private constructor(states: readonly State[]) {
    this.#states = states;
  }

  get mayEnd(): boolean {
    return this.#states.some(({ mayEnd }) => mayEnd);
  }

  clear(): void {
    this.#next.length = 0;
  }

  static of(states: readonly State[]): State {
    const flat = states.flatMap((state) => (state instanceof Either ? state.#states : [state]));
    const different = [...new Set(flat)];
    return different.length === 1 ? different[0]! : new Either(different);
  }

  step(byte: number): State | undefined {
    let next = this.#next[byte];
    if (next === undefined) {
      const states = this.#states.flatMap((state) => state.step(byte) ?? []);
      this.#next[byte] = next = states.length === 0 ? null : Either.of(states);
      remember(this, STATE_BYTES);
    }
    return next ?? undefined;
  }
}

/** White space or none. */
const maybeSpace: Part = (behind) =>
  Either.of([
    behind,
    { mayEnd: false, step: (byte) => (byte === 0x0a || byte === 0x20 ? behind : undefined) },
  ]);

const sequence =
  (...parts: Part[]): Part =>
  (behind) =>
    parts.reduceRight((state, part) => part(state), behind);

/** A state that refers to itself: what it says may come again. */
function again(part: (self: State) => State): State {
  let state: State | undefined;
  const later: State = {
    get mayEnd() {
      return state!.mayEnd;
    },
    step: (byte) => state!.step(byte),
  };
  state = part(later);
  return state;
}

/** A state of a constraint, and what comes behind it where it may end. */
class Within implements State {
  readonly mayEnd = false;
  readonly #state: State;
  readonly #behind: State;
  /** One for each state, so that masks are found again. */
  readonly #known: WeakMap<State, Within>;
  readonly close?: NonNullable<State["close"]>;

  private constructor(state: State, behind: State, known: WeakMap<State, Within>) {
    this.#state = state;
    this.#behind = behind;
    this.#known = known;
    if (state.close)
      this.close = (...closing) => {
        const closed = state.close!(...closing);
        return closed && this.#around(closed);
      };
  }

  static of(constraint: Constraint): Part {
    return (behind) => new Within(constraint.begin, behind, new WeakMap());
  }

  #around(state: State): Within {
    let within = this.#known.get(state);
    if (!within) this.#known.set(state, (within = new Within(state, this.#behind, this.#known)));
    return within;
  }

  get inside(): Inside | undefined {
    return this.#state.inside;
  }

  get listed(): readonly string[] | undefined {
    return this.#state.listed;
  }

  get unbounded(): State | undefined {
    const { unbounded } = this.#state;
    return unbounded && this.#around(unbounded);
  }

  step(byte: number): State | undefined {
    const state = this.#state.step(byte);
    const behind = this.#state.mayEnd ? this.#behind.step(byte) : undefined;
    if (state === undefined) return behind;
    return behind === undefined ? this.#around(state) : Either.of([this.#around(state), behind]);
  }
}

/** Any text, up to where it opens a call. */
class FreeText implements State {
  readonly mayEnd = true;
  readonly #opened: State;
  /** Bytes of CALL_OPEN that the text ends with. */
  readonly #matched: number;
  readonly #all: FreeText[];

  constructor(opened: State, matched = 0, all: FreeText[] = []) {
    this.#opened = opened;
    this.#matched = matched;
    this.#all = all;
    all[matched] = this;
  }

  step(byte: number): State {
    // No byte of CALL_OPEN but the first begins it again.
    const matched = byte === OPEN[this.#matched] ? this.#matched + 1 : byte === OPEN[0] ? 1 : 0;
    if (matched === OPEN.length) return this.#opened;
    return this.#all[matched] ?? new FreeText(this.#opened, matched, this.#all);
  }
}

/**
 * What holds a text to calls of functions. Where none is required, the text is free, or held to `answer`, until it opens
 * a call; from there on it is held to it.
 *
 * @throws EdgeformerError `invalid_option` for a function's name
 */
export function constrainCalls(
  functions: readonly CallableFunction[],
  options: CallOptions = {},
): Constraint {
  const { required = false, parallel = true, answer } = options;
  if (functions.length === 0)
    throw new EdgeformerError("invalid_option", "there must be a function to call", { param: "functions" });
  for (const { name } of functions)
    if (!/^[\w-]+$/.test(name))
      throw new EdgeformerError(
        "invalid_option",
        `a function's name must be letters, digits, underscores and hyphens: ${JSON.stringify(name.slice(0, 64))}`,
        { param: "functions" },
      );
  const call: Part = (behind) =>
    Either.of(
      functions.map(({ name, arguments: held }) =>
        sequence(literal(CALL_NAME + name + CALL_ARGUMENTS), Within.of(held), literal("}"))(behind),
      ),
    );
  const list: Part = (behind) => {
    const closing = literal("]")(behind);
    const rest = parallel
      ? again((self) => Either.of([closing, sequence(literal(","), maybeSpace, call)(self)]))
      : closing;
    return sequence(literal("["), maybeSpace, call, maybeSpace)(rest);
  };
  const opened = (behind: State) => {
    const closed = sequence(maybeSpace, literal(CALL_CLOSE));
    // A list has all calls that there are.
    return maybeSpace(Either.of([call(closed(behind)), list(closed(END))]));
  };
  const end = parallel
    ? again((self) => Either.of([END, sequence(maybeSpace, literal(CALL_OPEN), opened)(self)]))
    : END;
  const inCall = opened(end);
  const begin = required
    ? literal(CALL_OPEN)(inCall)
    : answer
      ? Either.of([answer.begin, literal(CALL_OPEN)(inCall)])
      : new FreeText(inCall);
  return new Constraint(begin);
}
