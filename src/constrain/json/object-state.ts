// What an object's keys and values are held to, and where an object stands: keys come in any order, or in the declared
// one, each once.

import type { Language } from "../language/language.ts";
import { remember } from "../memory.ts";
import type { KeyPattern, ObjectFacts } from "./facts.ts";
import type { Goal } from "./goal.ts";
import type { RuleTools } from "./rule-tools.ts";

/** What is remembered of where an object stands, and of each key that was there. */
const [STATE_BYTES, PER_KEY_BYTES] = [600, 40];

/** Keys that no schema names, and that the same rules hold for. */
export interface KeyClass extends KeyPattern {
  /** The patterns whose keys they are. */
  inside: ReadonlySet<Language>;
}

/** A property that there must be: of one of the classes, with such a value. */
export interface SomeProperty {
  classes: ReadonlySet<KeyClass>;
  goal: Goal;
}

export class ObjectRules {
  readonly tools: RuleTools;
  readonly names: readonly string[];
  readonly sorted: readonly string[];
  readonly index: ReadonlyMap<string, number>;
  /** What values must be, by the index of their key's name. */
  readonly goals: readonly Goal[];
  readonly classes: readonly KeyClass[];
  /** Indexes of names. */
  readonly required: readonly number[];
  readonly least: number;
  readonly most: number;
  readonly some: readonly SomeProperty[];
  readonly begin: ObjectState;
  readonly #states = new Map<string, ObjectState>();

  constructor(
    tools: RuleTools,
    { least, most }: ObjectFacts,
    goals: ReadonlyMap<string, Goal>,
    required: ReadonlySet<string>,
    classes: readonly KeyClass[],
    some: readonly SomeProperty[],
  ) {
    this.tools = tools;
    this.names = [...goals.keys()];
    this.sorted = [...this.names].sort();
    this.index = new Map(this.names.map((name, i) => [name, i]));
    this.goals = [...goals.values()];
    this.classes = classes;
    this.required = [...required].map((name) => this.index.get(name)!).sort((a, b) => a - b);
    this.least = least;
    this.most = most;
    this.some = some;
    const open = some.map((_, i) => i);
    this.begin = this.state({ seen: [], count: 0, free: [], open, last: -1 });
  }

  state(place: ObjectPlace): ObjectState {
    const key = JSON.stringify(place);
    let state = this.#states.get(key);
    if (!state) {
      this.#states.set(key, (state = new ObjectState(this, place)));
      remember(this.#states, STATE_BYTES + PER_KEY_BYTES * place.seen.length + key.length);
    }
    return state;
  }

  /** What a key of a class may have as its value, with the properties that there must be that it then is. */
  waysOf(kind: KeyClass, open: readonly number[]): { goal: Goal; left: number[] }[] {
    const eligible = open.filter((i) => this.some[i]!.classes.has(kind));
    return Array.from({ length: 1 << eligible.length }, (_, chosen) => {
      const used = eligible.filter((_, i) => (chosen >> i) & 1);
      return {
        goal: used.reduce((goal, i) => this.tools.goals.both(goal, this.some[i]!.goal), kind.goal),
        left: open.filter((i) => !used.includes(i)),
      };
    });
  }

  /** All that values may have to be. */
  get values(): Goal[] {
    const open = this.some.map((_, i) => i);
    return [
      ...this.goals,
      ...this.classes.flatMap((kind) => this.waysOf(kind, open).map(({ goal }) => goal)),
    ];
  }
}

/** Where an object stands. */
export interface ObjectPlace {
  /** Indexes of names that were there, sorted. */
  readonly seen: readonly number[];
  /** Keys so far. */
  readonly count: number;
  /** Keys so far that no schema names, where later ones will be compared with them. */
  readonly free: readonly string[];
  /** Which of `rules.some` have not been there. */
  readonly open: readonly number[];
  /** In declared order, the greatest index so far. */
  readonly last: number;
}

/** What may follow a key, or come as an item: a value like this, and then the object or array stands there. */
export interface Step<S> {
  goal: Goal;
  after: S;
}

export class ObjectState {
  readonly rules: ObjectRules;
  readonly #place: ObjectPlace;
  readonly #seen: ReadonlySet<number>;
  /** Indexes of keys that have to come. */
  readonly #missing: readonly number[];
  #canFinish: boolean | undefined;
  #named: readonly string[] | undefined;
  #unnamed: readonly { kind: KeyClass; language: Language }[] | undefined;

  constructor(rules: ObjectRules, place: ObjectPlace) {
    this.rules = rules;
    this.#place = place;
    this.#seen = new Set(place.seen);
    this.#missing = rules.required.filter((index) => !this.#seen.has(index));
  }

  get mayClose(): boolean {
    const { count, open } = this.#place;
    return this.#missing.length + open.length === 0 && count >= this.rules.least;
  }

  /** Whether the object can be finished from here. */
  get canFinish(): boolean {
    if (this.#canFinish !== undefined) return this.#canFinish;
    const { tools } = this.rules;
    const before = tools.assumptions;
    const result = this.#computeCanFinish();
    // What was only assumed to be impossible may turn out otherwise.
    if (result || tools.assumptions === before) this.#canFinish = result;
    return result;
  }

  #computeCanFinish(): boolean {
    const { goals, least, most, some, tools, classes } = this.rules;
    const { count, open } = this.#place;
    let known = count + this.#missing.length + open.length;
    if (known > most || this.#missing.some((index) => !this.#isPossible(index))) return false;
    const isOpen = (i: number) =>
      [...some[i]!.classes].some(
        (kind) => this.#hasWords([kind], 1) && tools.isAlive(tools.goals.both(kind.goal, some[i]!.goal)),
      );
    if (!open.every(isOpen)) return false;
    for (let i = 0; i < goals.length && known < least; i++)
      if (!this.#seen.has(i) && !this.#missing.includes(i) && this.#isPossible(i)) known++;
    return (
      known >= least ||
      this.#hasWords(
        classes.filter(({ goal }) => tools.isAlive(goal)),
        least - known,
      )
    );
  }

  /** Whether a key that was not there can come. */
  #isPossible(index: number): boolean {
    const { tools, goals } = this.rules;
    return index > this.#place.last && tools.isAlive(goals[index]!);
  }

  /** Whether some classes together have so many keys that were not there. */
  #hasWords(classes: readonly KeyClass[], words: number): boolean {
    const { free } = this.#place;
    let found = 0;
    for (const { language } of classes) {
      const listed = this.rules.tools.words(language, words + free.length);
      if (!listed) return true;
      found += listed.filter((word) => !free.includes(word)).length;
    }
    return found >= words;
  }

  /** Keys that may come of those that a schema names, sorted. */
  get named(): readonly string[] {
    this.#named ??= this.rules.sorted.filter((name) => this.#mayCome(this.rules.index.get(name)!));
    return this.#named;
  }

  /** Whether a key is named, or was there. */
  knows(key: string): boolean {
    return this.rules.index.has(key) || this.#place.free.includes(key);
  }

  /** Keys that may come of those that no schema names, by their class; some that it knows may be among them. */
  get unnamed(): readonly { kind: KeyClass; language: Language }[] {
    this.#unnamed ??= this.rules.classes
      .filter((kind) => this.unnamedSteps(kind, undefined).length > 0)
      .map((kind) => ({ kind, language: this.rules.tools.without(kind.language, this.#place.free) }));
    return this.#unnamed;
  }

  #mayCome(index: number): boolean {
    const { tools, most, least } = this.rules;
    if (this.#seen.has(index) || !this.#isPossible(index)) return false;
    // In declared order, none may come behind the first that has to.
    if (tools.declaredOrder && index > (this.#missing[0] ?? index)) return false;
    // One more key stands in the way of others only if there is a bound.
    return (most === Infinity && (least === 0 || !tools.declaredOrder)) || this.#behind(index).canFinish;
  }

  #behind(index: number): ObjectState {
    const { seen } = this.#place;
    const last = this.rules.tools.declaredOrder ? index : -1;
    const now = [...seen, index].sort((a, b) => a - b);
    return this.rules.state({ ...this.#place, seen: now, count: this.#counted, last });
  }

  /** Keys with one more, as far as that changes anything. */
  get #counted(): number {
    const { least, most } = this.rules;
    const count = this.#place.count + 1;
    return most === Infinity ? Math.min(count, least) : count;
  }

  /** What may follow a key that a schema names; undefined if it may not come. */
  namedStep(name: string): Step<ObjectState> | undefined {
    const index = this.rules.index.get(name);
    if (index === undefined || !this.#mayCome(index)) return undefined;
    return { goal: this.rules.goals[index]!, after: this.#behind(index) };
  }

  /**
   * What may follow a key that no schema names.
   *
   * @param name the key, for those behind it to differ from; undefined if none will be compared with it
   */
  unnamedSteps(kind: KeyClass, name: string | undefined): readonly Step<ObjectState>[] {
    const { rules } = this;
    const free = name === undefined ? this.#place.free : [...this.#place.free, name];
    const last = rules.tools.declaredOrder ? rules.names.length : -1;
    const count = this.#counted;
    return rules
      .waysOf(kind, this.#place.open)
      .map(({ goal, left }) => ({
        goal,
        after: rules.state({ ...this.#place, count, free, open: left, last }),
      }))
      .filter(({ goal, after }) => rules.tools.isAlive(goal) && after.canFinish);
  }
}
