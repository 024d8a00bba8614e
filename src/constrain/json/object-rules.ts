// What an object's keys and values are held to, and where an object stands: keys come in any order, each once.

import { ALL, type Language, type Languages } from "../language/language.ts";
import type { ObjectFacts } from "./facts.ts";
import { ANYTHING, type Goal, type Goals, NEVER } from "./goal.ts";

/** Words of a pattern up to which it is taken for a list of keys. */
const MAX_WORDS = 32;
const MAX_CLASSES = 64;
const MAX_ALTERNATIVES = 200;

type WordTools = Pick<RuleTools, "languages" | "isAliveLanguage">;

/** What rules are made with. */
export interface RuleTools {
  goals: Goals;
  languages: Languages;
  isAlive(goal: Goal): boolean;
  /** How often `isAlive` said no because it was just being found out. */
  readonly assumptions: number;
  isAliveLanguage(language: Language): boolean;
  /** Strings that a goal allows. */
  strings(goal: Goal): Language;
  /** Any value but these, which are no arrays and no objects. */
  otherThan(values: readonly unknown[]): Goal;
  /** Whether so many values reach a goal. */
  hasValues(goal: Goal, count: number): boolean;
  declaredOrder: boolean;
  refuse(message: string): never;
}

/** Keys that no schema names, and that the same rules hold for. */
export interface KeyClass {
  language: Language;
  goal: Goal;
}

/** A property that there must be: of one of the classes, with such a value. */
interface SomeProperty {
  classes: ReadonlySet<KeyClass>;
  goal: Goal;
}

/** What may follow a key: a value like this, and then the object stands there. */
export interface Step<S> {
  goal: Goal;
  after: S;
}

export class ObjectRules {
  readonly tools: RuleTools;
  readonly names: readonly string[];
  readonly index: ReadonlyMap<string, number>;
  readonly goals: readonly Goal[];
  readonly classes: readonly KeyClass[];
  readonly required: readonly number[];
  readonly least: number;
  readonly most: number;
  /** Names that each name needs; empty if there are none for any. */
  readonly needs: ReadonlyMap<number, readonly number[]>;
  readonly some: readonly SomeProperty[];
  readonly begin: ObjectState;
  readonly #states = new Map<string, ObjectState>();

  constructor(
    tools: RuleTools,
    goals: ReadonlyMap<string, Goal>,
    facts: ObjectFacts,
    classes: readonly KeyClass[],
    some: readonly SomeProperty[],
  ) {
    this.tools = tools;
    this.names = [...goals.keys()];
    this.index = new Map(this.names.map((name, i) => [name, i]));
    this.goals = [...goals.values()];
    this.classes = classes;
    this.required = [...facts.required].map((name) => this.index.get(name)!);
    this.least = facts.least;
    this.most = facts.most;
    this.needs = new Map(
      [...facts.needs].map(([name, others]) => [
        this.index.get(name)!,
        [...others].map((other) => this.index.get(other)!),
      ]),
    );
    this.some = some;
    this.begin = this.state(
      0n,
      0,
      [],
      some.map((_, i) => i),
      -1,
    );
  }

  state(
    seen: bigint,
    count: number,
    free: readonly string[],
    open: readonly number[],
    last: number,
  ): ObjectState {
    const key = `${seen};${count};${open.join()};${last};${JSON.stringify(free)}`;
    let found = this.#states.get(key);
    if (!found) this.#states.set(key, (found = new ObjectState(this, seen, count, free, open, last)));
    return found;
  }

  get size(): number {
    return this.#states.size;
  }

  clear(): void {
    this.#states.clear();
  }
}

export class ObjectState {
  readonly rules: ObjectRules;
  /** Bit i: the key `names[i]` was there. */
  readonly seen: bigint;
  /** Keys so far. */
  readonly count: number;
  /** Keys so far that no schema names. */
  readonly free: readonly string[];
  /** Which of `rules.some` have not been there. */
  readonly open: readonly number[];
  /** In declared order, the greatest index so far. */
  readonly last: number;
  #missing: readonly number[] | undefined;
  #canFinish: boolean | undefined;
  #named: readonly string[] | undefined;
  #unnamed: readonly { kind: KeyClass; language: Language }[] | undefined;

  constructor(
    rules: ObjectRules,
    seen: bigint,
    count: number,
    free: readonly string[],
    open: readonly number[],
    last: number,
  ) {
    this.rules = rules;
    this.seen = seen;
    this.count = count;
    this.free = free;
    this.open = open;
    this.last = last;
  }

  #has(index: number): boolean {
    return ((this.seen >> BigInt(index)) & 1n) === 1n;
  }

  /** Keys that have to come, by their index. */
  get missing(): readonly number[] {
    if (this.#missing) return this.#missing;
    const { required, needs, names } = this.rules;
    const wanted = new Set<number>();
    const want = (index: number): void => {
      if (wanted.has(index)) return;
      wanted.add(index);
      needs.get(index)?.forEach(want);
    };
    required.forEach(want);
    if (needs.size > 0) for (let i = 0; i < names.length; i++) if (this.#has(i)) want(i);
    return (this.#missing = [...wanted].filter((index) => !this.#has(index)));
  }

  get mayClose(): boolean {
    return this.missing.length === 0 && this.open.length === 0 && this.count >= this.rules.least;
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
    const { goals, classes, least, most, some, tools } = this.rules;
    const { missing, open } = this;
    if (this.count + missing.length + open.length > most) return false;
    for (const index of missing)
      if ((tools.declaredOrder && index < this.last) || !tools.isAlive(goals[index]!)) return false;
    for (const i of open) {
      const { classes: eligible, goal } = some[i]!;
      if (
        ![...eligible].some(
          (kind) => this.#hasWords(kind, 1) && tools.isAlive(tools.goals.both(kind.goal, goal)),
        )
      )
        return false;
    }
    let known = this.count + missing.length + open.length;
    if (known >= least) return true;
    const optional = new Set(missing);
    for (let i = Math.max(0, tools.declaredOrder ? this.last + 1 : 0); i < goals.length && known < least; i++)
      if (!this.#has(i) && !optional.has(i) && this.#isPossible(i)) known++;
    const words = least - known;
    return (
      words <= 0 ||
      this.#hasWords(
        undefined,
        words,
        classes.filter(({ goal }) => tools.isAlive(goal)),
      )
    );
  }

  /** Whether a key and all that it needs have possible values. */
  #isPossible(index: number, within = new Set<number>()): boolean {
    if (within.has(index)) return true;
    within.add(index);
    const { goals, needs, tools } = this.rules;
    return (
      tools.isAlive(goals[index]!) &&
      (needs.get(index) ?? []).every((other) => this.#has(other) || this.#isPossible(other, within))
    );
  }

  /** Whether some classes together have so many keys that were not there. */
  #hasWords(kind: KeyClass | undefined, words: number, classes = kind ? [kind] : []): boolean {
    let found = 0;
    for (const { language } of classes) {
      const listed = wordsOf(this.rules.tools, language, words + this.free.length);
      if (!listed) return true;
      found += listed.filter((word) => !this.free.includes(word)).length;
    }
    return found >= words;
  }

  /** Keys that may come of those that a schema names. */
  get named(): readonly string[] {
    return (this.#named ??= this.rules.names.filter((_, index) => this.#mayCome(index)));
  }

  /** Keys that may come of those that no schema names, by their class. */
  get unnamed(): readonly { kind: KeyClass; language: Language }[] {
    if (this.#unnamed) return this.#unnamed;
    const { languages } = this.rules.tools;
    const taken = this.free.length === 0 ? ALL : languages.complement(languages.strings(this.free));
    this.#unnamed = this.rules.classes
      .filter((kind) => this.unnamedSteps(kind, undefined).length > 0)
      .map((kind) => ({ kind, language: languages.intersection([kind.language, taken]) }));
    return this.#unnamed;
  }

  #mayCome(index: number): boolean {
    const { goals, tools, needs, most } = this.rules;
    if (this.#has(index) || (tools.declaredOrder && index < this.last)) return false;
    if (!tools.isAlive(goals[index]!)) return false;
    // Without these, one more key never stands in the way.
    const isHarmless = !tools.declaredOrder && needs.size === 0 && most === Infinity;
    return isHarmless || this.#behind(index).canFinish;
  }

  #behind(index: number): ObjectState {
    const last = this.rules.tools.declaredOrder ? index : -1;
    return this.rules.state(this.seen | (1n << BigInt(index)), this.count + 1, this.free, this.open, last);
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
    const { tools, some, names } = this.rules;
    const free = name === undefined ? this.free : [...this.free, name];
    const last = tools.declaredOrder ? names.length : -1;
    const eligible = this.open.filter((i) => some[i]!.classes.has(kind));
    const steps: Step<ObjectState>[] = [];
    for (let chosen = 0; chosen < 1 << eligible.length; chosen++) {
      const used = eligible.filter((_, i) => (chosen >> i) & 1);
      const goal = used.reduce((both, i) => tools.goals.both(both, some[i]!.goal), kind.goal);
      const open = this.open.filter((i) => !used.includes(i));
      const after = this.rules.state(this.seen, this.count + 1, free, open, last);
      if (tools.isAlive(goal) && after.canFinish) steps.push({ goal, after });
    }
    return steps;
  }
}

/** All words of a language if they are at most so many. */
export function wordsOf(tools: WordTools, language: Language, most: number): string[] | undefined {
  if (language === ALL || language.lengths?.longest === Infinity) return undefined;
  const words: string[] = [];
  const visit = (at: Language, word: string): boolean => {
    if (at.nullable && words.push(word) > most) return false;
    if (word.length > 200) return false;
    const { starts, targets } = tools.languages.transitions(at);
    for (let i = 0; i < targets.length; i++) {
      if (!tools.isAliveLanguage(targets[i]!)) continue;
      const end = starts[i + 1] ?? 0x110000;
      for (let point = starts[i]!; point < end; point++)
        if (!visit(targets[i]!, word + String.fromCodePoint(point))) return false;
    }
    return true;
  };
  return visit(language, "") ? words : undefined;
}

/** The rules for objects that are held to some facts: a union, where something must be true of some property. */
export function objectRules(facts: ObjectFacts, tools: RuleTools): ObjectRules[] {
  const { goals, languages } = tools;
  const names = new Set([...facts.properties.keys(), ...facts.required]);
  for (const rule of facts.others) for (const name of rule.names) names.add(name);
  for (const [name, needed] of facts.needs) for (const other of [name, ...needed]) names.add(other);
  for (const { language } of [...facts.patterns, ...facts.some])
    for (const word of wordsOf(tools, language, MAX_WORDS) ?? []) names.add(word);
  const allowed = tools.strings(facts.names);

  const applying = (isIn: (language: Language) => boolean, name: string | undefined): Goal => {
    let goal = (name !== undefined && facts.properties.get(name)) || ANYTHING;
    for (const pattern of facts.patterns) if (isIn(pattern.language)) goal = goals.both(goal, pattern.goal);
    for (const rule of facts.others)
      if (!(name !== undefined && rule.names.has(name)) && !rule.languages.some(isIn))
        goal = goals.both(goal, rule.goal);
    return goal;
  };
  const goalOf = new Map<string, Goal>();
  for (const name of names) {
    const isIn = (language: Language) => languages.matches(language, name);
    goalOf.set(name, isIn(allowed) ? applying(isIn, name) : NEVER);
  }

  const cuts = new Set([...facts.patterns, ...facts.some].map(({ language }) => language));
  for (const rule of facts.others) for (const language of rule.languages) cuts.add(language);
  let parts: { language: Language; inside: Set<Language> }[] = [
    {
      language: languages.intersection([allowed, languages.complement(languages.strings([...names]))]),
      inside: new Set(),
    },
  ];
  // Without rules for them, no key that is not named is told apart from the others.
  for (const cut of cuts) {
    parts = parts.flatMap(({ language, inside }) => [
      { language: languages.intersection([language, cut]), inside: new Set([...inside, cut]) },
      { language: languages.intersection([language, languages.complement(cut)]), inside },
    ]);
    parts = parts.filter(({ language }) => tools.isAliveLanguage(language));
    if (parts.length > MAX_CLASSES) tools.refuse("has too many patterns for keys that overlap");
  }
  const classes = parts
    .filter(({ language }) => tools.isAliveLanguage(language))
    .map(({ language, inside }) => ({
      language,
      inside,
      goal: applying((other) => inside.has(other), undefined),
    }))
    .filter(({ goal }) => goal !== NEVER);

  if (facts.some.length > 1 && facts.most !== Infinity)
    tools.refuse("maxProperties beside several properties that must be there is not supported");
  if (facts.needs.size > 0 && facts.most !== Infinity && facts.least > facts.required.size)
    tools.refuse("minProperties and maxProperties beside keys that need others are not supported");

  // Some property must be there: it is one of those with a name, or one of those without.
  let ways: { goalOf: Map<string, Goal>; required: Set<string>; some: SomeProperty[] }[] = [
    { goalOf, required: new Set(facts.required), some: [] },
  ];
  for (const { language, goal } of facts.some) {
    const inside = new Set(classes.filter((kind) => kind.inside.has(language)));
    ways = ways.flatMap((way) => {
      const out = inside.size === 0 ? [] : [{ ...way, some: [...way.some, { classes: inside, goal }] }];
      for (const name of names) {
        if (!languages.matches(language, name)) continue;
        const both = goals.both(way.goalOf.get(name)!, goal);
        if (both === NEVER) continue;
        out.push({
          ...way,
          goalOf: new Map(way.goalOf).set(name, both),
          required: new Set(way.required).add(name),
        });
      }
      return out;
    });
    if (ways.length > MAX_ALTERNATIVES) tools.refuse("has too many ways in which some property can be wrong");
  }
  return ways.map(
    (way) => new ObjectRules(tools, way.goalOf, { ...facts, required: way.required }, classes, way.some),
  );
}
