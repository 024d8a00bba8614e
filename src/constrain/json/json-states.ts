// Where a JSON text stands. At each depth the text may still belong to several alternatives; they share the text's
// structure, so that they are carried on side by side:
//
//   { "a": [ 1,        Context of the root's value: its goals, and what follows when some of them are reached
//   │      └ Frame     └ Frame of the object: the ObjectStates that are still possible
//   │        of the array: its ArrayStates          └ Context of the value of "a" └ …
//   └ each Frame's states say which of its Context's goals they would reach
//
// A value that ends tells its Context which goals it has reached; that gives the states behind it in the Frame around.

import type { Language } from "../language/language.ts";
import type { TextState, TextStates, Track } from "../language/text-state.ts";
import type { Inside, State } from "../state.ts";
import { Steps } from "../steps.ts";
import type { ArrayState } from "./array-rules.ts";
import { FALSE, NULL, TRUE } from "./facts.ts";
import type { Goal } from "./goal.ts";
import type { NumberFacts } from "./number-facts.ts";
import { canBecomeNumber, isNumber, shortened } from "./number-text.ts";
import type { KeyClass, ObjectState, Step } from "./object-state.ts";
import type { Possibilities } from "./parts.ts";

const [TAB, LINE_FEED, RETURN, SPACE, QUOTE, COMMA, COLON] = [9, 10, 13, 0x20, 0x22, 0x2c, 0x3a];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
/** White space behind a line feed. */
const MAX_INDENT = 32;
/** States after which all that can be made again is dropped. */
const MAX_STATES = 20_000;
const WORDS = [
  { text: "null", type: NULL },
  { text: "false", type: FALSE },
  { text: "true", type: TRUE },
] as const;
const NUMBER_BYTES = new Set([..."-+.eE0123456789"].map((character) => character.charCodeAt(0)));

/** Makes and remembers the states of one constraint. */
export class JsonStates {
  readonly possibilities: Possibilities;
  readonly texts: TextStates;
  readonly spaced: boolean;
  readonly #root: Goal;
  #begin: State | undefined;
  #count = 0;
  /** Counts how often everything was dropped. */
  epoch = 0;
  readonly #ids = new WeakMap<object, number>();
  #lastId = 0;

  /** @param spaced whether white space is allowed */
  constructor(possibilities: Possibilities, texts: TextStates, root: Goal, spaced: boolean) {
    this.possibilities = possibilities;
    this.texts = texts;
    this.spaced = spaced;
    this.#root = root;
  }

  /** Before the first character. */
  begin(): State {
    if (this.#count > MAX_STATES) {
      this.epoch++;
      this.#count = 0;
      this.#begin = undefined;
      this.texts.clear();
      this.texts.languages.clear();
      this.possibilities.forget();
    }
    return (this.#begin ??= new Begin(
      new Value(new Context(this, [this.#root], () => END, false), undefined),
    ));
  }

  /** Called for each state that is made. */
  note(): void {
    this.#count++;
  }

  idOf(object: object): number {
    let id = this.#ids.get(object);
    if (id === undefined) this.#ids.set(object, (id = ++this.#lastId));
    return id;
  }
}

const END: State = { mayEnd: true, step: () => undefined };

/** A state that remembers what it has led to. */
abstract class Remembering implements State {
  readonly states: JsonStates;
  #next = new Steps<State>();
  #epoch: number;

  constructor(states: JsonStates) {
    this.states = states;
    this.#epoch = states.epoch;
    states.note();
  }

  get mayEnd(): boolean {
    return false;
  }

  step(byte: number): State | undefined {
    if (this.#epoch !== this.states.epoch) {
      this.#next = new Steps();
      this.#epoch = this.states.epoch;
    }
    let next = this.#next.get(byte);
    if (next === undefined) this.#next.set(byte, (next = this.find(byte) ?? null));
    return next ?? undefined;
  }

  abstract find(byte: number): State | undefined;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === TAB || byte === RETURN;
}

/** A state in front of a token of JSON, which white space may precede. */
abstract class Spaced extends Remembering {
  find(byte: number): State | undefined {
    if (!isSpace(byte)) return this.token(byte);
    const isLine = byte === LINE_FEED || byte === RETURN;
    return this.states.spaced && !(isLine && !this.mayBreak) ? new Gap(this, byte, 0) : undefined;
  }

  /** Whether the line may be broken here. */
  get mayBreak(): boolean {
    return true;
  }

  abstract token(byte: number): State | undefined;

  /** The same at the beginning of a line. */
  tokenOnLine(byte: number): State | undefined {
    return this.token(byte);
  }
}

/** Before the first character, which is no white space: clients read an answer as it grows. */
class Begin extends Remembering {
  readonly #value: Value;

  constructor(value: Value) {
    super(value.states);
    this.#value = value;
  }

  find(byte: number): State | undefined {
    return isSpace(byte) ? undefined : this.#value.step(byte);
  }
}

/** Behind white space: one space or tab, or a line feed and what indents the next line. */
class Gap extends Remembering {
  readonly #before: Spaced;
  readonly #first: number;
  readonly #indent: number;

  constructor(before: Spaced, first: number, indent: number) {
    super(before.states);
    this.#before = before;
    this.#first = first;
    this.#indent = indent;
  }

  find(byte: number): State | undefined {
    if (this.#first === RETURN) return byte === LINE_FEED ? new Gap(this.#before, LINE_FEED, 0) : undefined;
    if (byte === SPACE || byte === TAB) {
      if (this.#first !== LINE_FEED || this.#indent === MAX_INDENT) return undefined;
      return new Gap(this.#before, LINE_FEED, this.#indent + 1);
    }
    if (byte === LINE_FEED || byte === RETURN) return undefined;
    return this.#first === LINE_FEED ? this.#before.tokenOnLine(byte) : this.#before.token(byte);
  }
}

/** The state behind a value that has reached some of the goals, by their place in the list. */
type Finish = (reached: readonly number[], value: unknown) => State | undefined;

/** A value that is to come or has begun: what it may be, and what follows when it has ended. */
class Context {
  readonly states: JsonStates;
  readonly goals: readonly Goal[];
  readonly #finish: Finish;
  /** Whether what follows depends on the value. */
  readonly #remembers: boolean;
  readonly #ends = new Map<string, State | undefined>();
  readonly #strings = new Map<TextState, StringState>();
  readonly #frames = new Map<string, ObjectFrame | ArrayFrame>();
  readonly #numbers = new Map<string, NumberState>();
  #epoch: number;

  /** @param remembers whether `finish` wants the value */
  constructor(states: JsonStates, goals: readonly Goal[], finish: Finish, remembers: boolean) {
    this.states = states;
    this.goals = goals;
    this.#finish = finish;
    this.#remembers = remembers;
    this.#epoch = states.epoch;
  }

  #refresh(): void {
    if (this.#epoch === this.states.epoch) return;
    this.#epoch = this.states.epoch;
    for (const map of [this.#ends, this.#strings, this.#frames, this.#numbers]) map.clear();
  }

  /** @param text the value's; none for arrays and objects, which nothing depends on */
  end(reached: readonly number[], text: (() => string) | undefined): State | undefined {
    if (reached.length === 0) return undefined;
    if (this.#remembers) return this.#finish([...new Set(reached)], text && JSON.parse(text()));
    this.#refresh();
    const sorted = [...new Set(reached)].sort((a, b) => a - b);
    const key = sorted.join();
    if (!this.#ends.has(key)) this.#ends.set(key, this.#finish(sorted, undefined));
    return this.#ends.get(key);
  }

  begin(byte: number): State | undefined {
    const { possibilities, texts } = this.states;
    const parts = this.goals.map((goal) => possibilities.of(goal));
    switch (byte) {
      case QUOTE: {
        const tracks = parts.flatMap(({ strings }, origin) =>
          strings.map((facts): Track => ({ ...facts, origin })),
        );
        const text = texts.begin(tracks);
        return text && this.string(text, "");
      }
      case OPEN_OBJECT:
        return this.object(
          parts.flatMap(({ objects }, origin) =>
            objects.filter(({ begin }) => begin.canFinish).map(({ begin }) => ({ state: begin, origin })),
          ),
        )?.first;
      case OPEN_ARRAY:
        return this.array(
          parts.flatMap(({ arrays }, origin) =>
            arrays.filter(({ begin }) => begin.canFinish).map(({ begin }) => ({ state: begin, origin })),
          ),
        )?.first;
    }
    const word = WORDS.find(({ text }) => text.charCodeAt(0) === byte);
    if (word) {
      const reached = parts.flatMap(({ literals }, origin) => (literals & word.type ? [origin] : []));
      return reached.length === 0 ? undefined : new Word(this, word.text, 1, reached);
    }
    if (!NUMBER_BYTES.has(byte)) return undefined;
    const numbers = parts.flatMap(({ numbers }, origin) => numbers.map((facts) => ({ facts, origin })));
    return this.number(String.fromCharCode(byte), numbers);
  }

  string(text: TextState, written: string): StringState {
    if (this.#remembers) return new StringState(this, text, written);
    this.#refresh();
    let state = this.#strings.get(text);
    if (!state) this.#strings.set(text, (state = new StringState(this, text, undefined)));
    return state;
  }

  number(text: string, candidates: readonly NumberCandidate[]): NumberState | undefined {
    this.#refresh();
    const alive = candidates.filter(({ facts }) => canBecomeNumber(facts, text));
    if (alive.length === 0) return undefined;
    const sets = alive.map(({ facts }) => facts);
    const short = this.#remembers ? text : shortened(sets, text);
    const key = `${short};${alive.map(({ facts, origin }) => `${this.states.idOf(facts)},${origin}`).join()}`;
    let state = this.#numbers.get(key);
    if (!state) this.#numbers.set(key, (state = new NumberState(this, short, alive)));
    return state;
  }

  object(threads: readonly Thread<ObjectState>[]): ObjectFrame | undefined {
    return this.#frame(threads, "o", (sorted) => new ObjectFrame(this, sorted)) as ObjectFrame | undefined;
  }

  array(threads: readonly Thread<ArrayState>[]): ArrayFrame | undefined {
    return this.#frame(threads, "a", (sorted) => new ArrayFrame(this, sorted)) as ArrayFrame | undefined;
  }

  /** A frame with these threads, each once. */
  #frame<S extends object>(
    threads: readonly Thread<S>[],
    sign: string,
    make: (threads: readonly Thread<S>[]) => ObjectFrame | ArrayFrame,
  ): ObjectFrame | ArrayFrame | undefined {
    if (threads.length === 0) return undefined;
    this.#refresh();
    const unique = new Map<string, Thread<S>>();
    for (const thread of threads) unique.set(`${this.states.idOf(thread.state)}:${thread.origin}`, thread);
    const key = sign + [...unique.keys()].join();
    let frame = this.#frames.get(key);
    if (!frame) this.#frames.set(key, (frame = make([...unique.values()])));
    return frame;
  }
}

interface NumberCandidate {
  facts: NumberFacts;
  /** The goal that it would reach, by its place in the context's list. */
  origin: number;
}

/** One of the states that an array or object may be in. */
interface Thread<S> {
  state: S;
  /** The goal that it would reach, by its place in the context's list. */
  origin: number;
}

/** Several threads' steps, by what the next value must be. */
function contextOf<S>(
  states: JsonStates,
  steps: readonly (Step<S> & { origin: number })[],
  behind: (threads: Thread<S>[], value: unknown) => State | undefined,
  remembers: boolean,
): Context {
  const byGoal = new Map<Goal, Thread<S>[]>();
  for (const { goal, after, origin } of steps) {
    const thread = { state: after, origin };
    const threads = byGoal.get(goal);
    if (threads) threads.push(thread);
    else byGoal.set(goal, [thread]);
  }
  const lists = [...byGoal.values()];
  const finish: Finish = (reached, value) =>
    behind(
      reached.flatMap((i) => lists[i]!),
      value,
    );
  return new Context(states, [...byGoal.keys()], finish, remembers);
}

/** In front of a value, or of the bracket that closes an array. */
class Value extends Spaced {
  readonly #context: Context;
  readonly #array: ArrayFrame | undefined;

  constructor(context: Context, array: ArrayFrame | undefined) {
    super(context.states);
    this.#context = context;
    this.#array = array;
  }

  token(byte: number): State | undefined {
    if (byte === CLOSE_ARRAY) return this.#array?.close();
    return this.#context.begin(byte);
  }
}

class Word extends Remembering {
  readonly #context: Context;
  readonly #text: string;
  readonly #at: number;
  readonly #reached: readonly number[];

  constructor(context: Context, text: string, at: number, reached: readonly number[]) {
    super(context.states);
    this.#context = context;
    this.#text = text;
    this.#at = at;
    this.#reached = reached;
  }

  find(byte: number): State | undefined {
    if (byte !== this.#text.charCodeAt(this.#at)) return undefined;
    if (this.#at === this.#text.length - 1) return this.#context.end(this.#reached, () => this.#text);
    return new Word(this.#context, this.#text, this.#at + 1, this.#reached);
  }
}

class NumberState extends Remembering {
  readonly #context: Context;
  readonly #text: string;
  readonly #candidates: readonly NumberCandidate[];
  #end: { state: State | undefined } | undefined;

  constructor(context: Context, text: string, candidates: readonly NumberCandidate[]) {
    super(context.states);
    this.#context = context;
    this.#text = text;
    this.#candidates = candidates;
  }

  /** The state if the number ends here; undefined if it may not. */
  #behind(): State | undefined {
    this.#end ??= {
      state: this.#context.end(
        this.#candidates.filter(({ facts }) => isNumber(facts, this.#text)).map(({ origin }) => origin),
        () => this.#text,
      ),
    };
    return this.#end.state;
  }

  override get mayEnd(): boolean {
    return this.#behind()?.mayEnd ?? false;
  }

  find(byte: number): State | undefined {
    if (!NUMBER_BYTES.has(byte)) return this.#behind()?.step(byte);
    return this.#context.number(this.#text + String.fromCharCode(byte), this.#candidates);
  }
}

class StringState extends Remembering {
  readonly inside: TextState;
  readonly #context: Context;
  /** What the string has so far, a character for each byte, where it is remembered. */
  readonly #written: string | undefined;

  constructor(context: Context, text: TextState, written: string | undefined) {
    super(context.states);
    this.#context = context;
    this.inside = text;
    this.#written = written;
  }

  find(byte: number): State | undefined {
    if (byte === QUOTE && this.inside.open === undefined) return this.close(this.inside, "");
    const next = this.inside.step(byte);
    return next && this.#context.string(next, this.#written + String.fromCharCode(byte));
  }

  close(inside: Inside | undefined, written: string): State | undefined {
    const { origins } = inside as TextState;
    return this.#context.end(origins, () => JSON.stringify(readString(this.#written + written)));
  }

  get unbounded(): State {
    const { unbounded } = this.inside;
    if (unbounded === this.inside || this.#written !== undefined) return this;
    return this.#context.string(unbounded, "");
  }
}

/** Names that are written in one way only. */
const PLAIN = /^[ !#-[\]-~]*$/;

interface Keys {
  /** Those of them that a schema names and that are written in one way only, in order. */
  plain: readonly string[];
  set: ReadonlySet<string>;
  /** The languages of the others: the first is that of all that a schema names. */
  text: TextState | undefined;
  /** Who allows each of the other languages. */
  kinds: readonly (readonly { state: ObjectState; kind: KeyClass; origin: number }[])[];
}

class ObjectFrame {
  readonly context: Context;
  readonly #threads: readonly Thread<ObjectState>[];
  /** Behind the opening brace. */
  readonly first: State;
  /** Behind a comma. */
  readonly next: State;
  /** Behind a value. */
  readonly between: State;
  #keys: Keys | undefined;
  readonly #named = new Map<string, State | undefined>();
  readonly #unnamed = new Map<string, State | undefined>();

  constructor(context: Context, threads: readonly Thread<ObjectState>[]) {
    this.context = context;
    this.#threads = threads;
    this.first = new KeyOrClose(this, true);
    this.next = new KeyOrClose(this, false);
    this.between = new CommaOrClose(
      context.states,
      CLOSE_OBJECT,
      () => this.close(),
      () => (this.hasKeys ? this.next : undefined),
    );
  }

  close(): State | undefined {
    const reached = this.#threads.filter(({ state }) => state.mayClose).map(({ origin }) => origin);
    return this.context.end(reached, undefined);
  }

  /** Keys that may come. */
  get keys(): Keys {
    if (this.#keys) return this.#keys;
    const { texts } = this.context.states;
    const kinds = new Map<Language, { state: ObjectState; kind: KeyClass; origin: number }[]>();
    for (const { state, origin } of this.#threads)
      for (const { kind, language } of state.unnamed) {
        const list = kinds.get(language);
        if (list) list.push({ state, kind, origin });
        else kinds.set(language, [{ state, kind, origin }]);
      }
    const named = [...new Set(this.#threads.flatMap(({ state }) => state.named))].sort();
    const spelled = named.filter((name) => !PLAIN.test(name));
    const tracks = [texts.languages.strings(spelled), ...kinds.keys()].map(
      (language, origin): Track => ({ language, least: 0, most: Infinity, origin }),
    );
    const plain = spelled.length === 0 ? named : named.filter((name) => PLAIN.test(name));
    return (this.#keys = {
      plain,
      set: new Set(plain),
      text: texts.begin(tracks),
      kinds: [...kinds.values()],
    });
  }

  /** Whether any key may come. */
  get hasKeys(): boolean {
    return this.keys.text !== undefined || this.keys.plain.length > 0;
  }

  /**
   * Behind a key.
   *
   * @param isNamed whether a schema names it
   * @param kinds which of the kinds of `keys` it is of, counted from 1
   * @param remember whether a later key will be compared with it
   */
  behindKey(
    key: () => string,
    isNamed: boolean,
    kinds: readonly number[],
    remember: boolean,
  ): State | undefined {
    if (!isNamed) {
      if (remember) return this.#behind(this.#unnamedSteps(kinds, key()));
      const memo = kinds.join();
      if (!this.#unnamed.has(memo))
        this.#unnamed.set(memo, this.#behind(this.#unnamedSteps(kinds, undefined)));
      return this.#unnamed.get(memo);
    }
    const name = key();
    if (kinds.length > 0)
      return this.#behind([...this.#namedSteps(name), ...this.#unnamedSteps(kinds, name)]);
    if (!this.#named.has(name)) this.#named.set(name, this.#behind(this.#namedSteps(name)));
    return this.#named.get(name);
  }

  #namedSteps(name: string) {
    return this.#threads.flatMap(({ state, origin }) => {
      const step = state.namedStep(name);
      return step ? [{ ...step, origin }] : [];
    });
  }

  #unnamedSteps(found: readonly number[], name: string | undefined) {
    return found.flatMap((i) =>
      this.keys.kinds[i - 1]!.flatMap(({ state, kind, origin }) =>
        state.unnamedSteps(kind, name).map((step) => ({ ...step, origin })),
      ),
    );
  }

  #behind(steps: readonly (Step<ObjectState> & { origin: number })[]): State | undefined {
    if (steps.length === 0) return undefined;
    const { states } = this.context;
    return new Colon(contextOf(states, steps, (threads) => this.context.object(threads)?.between, false));
  }
}

class KeyOrClose extends Spaced {
  readonly #frame: ObjectFrame;
  readonly #mayClose: boolean;

  constructor(frame: ObjectFrame, mayClose: boolean) {
    super(frame.context.states);
    this.#frame = frame;
    this.#mayClose = mayClose;
  }

  token(byte: number): State | undefined {
    if (byte === CLOSE_OBJECT) return this.#mayClose ? this.#frame.close() : undefined;
    if (byte !== QUOTE || !this.#frame.hasKeys) return undefined;
    const { text, plain } = this.#frame.keys;
    return new KeyState(this.#frame, text, 0, plain.length, "");
  }
}

class KeyState extends Remembering {
  readonly inside: TextState | undefined;
  readonly #frame: ObjectFrame;
  /** The plain keys that begin like this one are those from `low` to before `high`. */
  readonly #low: number;
  readonly #high: number;
  /** What the key has so far, a character for each byte. */
  readonly #written: string;
  #listed: readonly string[] | undefined;

  constructor(frame: ObjectFrame, inside: TextState | undefined, low: number, high: number, written: string) {
    super(frame.context.states);
    this.#frame = frame;
    this.inside = inside;
    this.#low = low;
    this.#high = high;
    this.#written = written;
  }

  get listed(): readonly string[] {
    const { plain } = this.#frame.keys;
    this.#listed ??= plain.slice(this.#low, this.#high).map((name) => name.slice(this.#written.length));
    return this.#listed;
  }

  find(byte: number): State | undefined {
    if (byte === QUOTE && (this.inside === undefined || this.inside.open === undefined))
      return this.close(this.inside, "", true);
    const inside = this.inside?.step(byte);
    const { plain } = this.#frame.keys;
    const at = this.#written.length;
    let [low, high] = [this.#low, this.#high];
    while (low < high && !(plain[low]!.charCodeAt(at) >= byte)) low++;
    while (high > low && plain[high - 1]!.charCodeAt(at) > byte) high--;
    if (low < high && plain[low]!.charCodeAt(at) !== byte) high = low;
    if (!inside && low === high) return undefined;
    return new KeyState(this.#frame, inside, low, high, this.#written + String.fromCharCode(byte));
  }

  close(inside: Inside | undefined, written: string, whole: boolean): State | undefined {
    const key = this.#written + written;
    const origins = (inside as TextState | undefined)?.origins ?? [];
    const isListed = this.#frame.keys.set.has(key);
    if (!isListed && origins.length === 0) return undefined;
    const kinds = origins[0] === 0 ? origins.slice(1) : origins;
    return this.#frame.behindKey(
      () => (isListed ? key : readString(key)),
      isListed || origins[0] === 0,
      kinds,
      whole,
    );
  }
}

/** The text of a JSON string's inside, given a character for each byte. */
function readString(written: string): string {
  if (/^[^\\\x80-\xff]*$/.test(written)) return written;
  const text = new TextDecoder().decode(Uint8Array.from(written, (character) => character.charCodeAt(0)));
  return JSON.parse(`"${text}"`);
}

class Colon extends Spaced {
  readonly #value: Value;

  constructor(context: Context) {
    super(context.states);
    this.#value = new Value(context, undefined);
  }

  override get mayBreak(): boolean {
    return false;
  }

  token(byte: number): State | undefined {
    return byte === COLON ? this.#value : undefined;
  }
}

/** Behind a property or an item. */
class CommaOrClose extends Spaced {
  readonly #bracket: number;
  readonly #close: () => State | undefined;
  readonly #next: () => State | undefined;

  constructor(
    states: JsonStates,
    bracket: number,
    close: () => State | undefined,
    next: () => State | undefined,
  ) {
    super(states);
    this.#bracket = bracket;
    this.#close = close;
    this.#next = next;
  }

  /** Nobody begins a line with a comma, but a small model that may goes on and on. */
  override get mayBreak(): boolean {
    return this.#close() !== undefined;
  }

  token(byte: number): State | undefined {
    return byte === COMMA ? this.#next() : this.tokenOnLine(byte);
  }

  override tokenOnLine(byte: number): State | undefined {
    return byte === this.#bracket ? this.#close() : undefined;
  }
}

class ArrayFrame {
  readonly context: Context;
  readonly #threads: readonly Thread<ArrayState>[];
  /** Behind the opening bracket. */
  readonly first: State;
  /** Behind an item. */
  readonly between: State;
  #items: Context | undefined;

  constructor(context: Context, threads: readonly Thread<ArrayState>[]) {
    this.context = context;
    this.#threads = threads;
    this.first = new Value(this.items, this);
    this.between = new CommaOrClose(
      context.states,
      CLOSE_ARRAY,
      () => this.close(),
      () => (this.items.goals.length === 0 ? undefined : new Value(this.items, undefined)),
    );
  }

  close(): State | undefined {
    const reached = this.#threads.filter(({ state }) => state.mayClose).map(({ origin }) => origin);
    return this.context.end(reached, undefined);
  }

  get items(): Context {
    if (this.#items) return this.#items;
    const steps = this.#threads.flatMap(({ state, origin }) =>
      state.steps.map((step) => ({ ...step, origin })),
    );
    const isUnique = this.#threads.some(({ state }) => state.rules.isUnique);
    const behind = (threads: Thread<ArrayState>[], value: unknown) => {
      const added = isUnique
        ? threads.map(({ state, origin }) => ({
            state: state.rules.isUnique ? state.with(value) : state,
            origin,
          }))
        : threads;
      return this.context.array(added)?.between;
    };
    this.#items = contextOf(this.context.states, steps, behind, isUnique);
    return this.#items;
  }
}
