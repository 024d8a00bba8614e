// From schemas to alternatives: a value that is to meet some schemas, and to fail others, is held to one of a list of
// facts for its type. allOf multiplies lists, anyOf joins them, and what negates a list of conditions is a list again.

import { excerpt } from "../../excerpt.ts";
import type { Budget } from "../budget.ts";
import type { Language, Languages } from "../language/language.ts";
import { languageOfPattern, PatternError } from "../language/pattern.ts";
import type { TextStates } from "../language/text-state.ts";
import { COMBINING_KEYWORDS, valuesOf } from "./combining-keywords.ts";
import type { Condition } from "./condition.ts";
import { CONTAINER_KEYWORDS } from "./container-keywords.ts";
import {
  ALL_VALUES,
  ANY,
  type ArrayFacts,
  BOTH,
  type FactsOf,
  KINDS,
  type Kind,
  NO_VALUES,
  type ObjectFacts,
  unite,
  type Values,
} from "./facts.ts";
import { ANYTHING, type Goal, Goals, NEVER, type Schema } from "./goal.ts";
import { Keywords, type Reading } from "./keywords.ts";
import { isNumberless } from "./number-facts.ts";
import { placeOf, refuse, type SchemaSource } from "./schema-source.ts";
import { VALUE_KEYWORDS } from "./value-keywords.ts";

/** Alternatives of one type that one place of a schema may have. */
const MAX_ALTERNATIVES = 1000;
/** Schemas around each other without a value between. */
const MAX_DEPTH = 100;
/** Those that leave least come first. */
const READERS = Object.entries({ ...VALUE_KEYWORDS, ...CONTAINER_KEYWORDS, ...COMBINING_KEYWORDS });
/** Keywords that change what is valid, and that nothing here enforces. */
const UNSUPPORTED = "unevaluatedProperties unevaluatedItems $dynamicRef $recursiveRef extends disallow".split(
  " ",
);

/** Thrown where an answer depends on alternatives that are just being made. */
export class Unfinished extends Error {}

export class Alternatives implements Reading {
  readonly source: SchemaSource;
  readonly goals: Goals;
  readonly languages: Languages;
  readonly budget: Budget;
  readonly unknownFormats: "ignore" | "error";
  /** Whether no value reaches a goal, as far as that can be told while alternatives are being made. */
  isSurelyDead: (goal: Goal) => boolean = () => false;
  /** How many questions are being answered that `Unfinished` may leave open. */
  tentative = 0;
  readonly #texts: TextStates;
  readonly #patterns = new Map<string, Language>();
  /** Values that meet a schema, and those that fail it. */
  readonly #met = new Map<Schema, Values>();
  readonly #failed = new Map<Schema, Values>();
  readonly #reaching = new Map<Goal, Values>();
  readonly #signs = new Map<ObjectFacts, ReadonlyMap<string, ReadonlySet<unknown>>>();
  /** Schemas whose alternatives are being made, with how many questions were open then. */
  readonly #making = new Map<string, number>();
  /** Where the schema stands that is being read, for messages. */
  pointer = "";

  constructor(source: SchemaSource, texts: TextStates, budget: Budget, unknownFormats: "ignore" | "error") {
    this.source = source;
    this.languages = texts.languages;
    this.#texts = texts;
    this.budget = budget;
    this.goals = new Goals(budget);
    budget.place = () => ` at ${placeOf(this.pointer)}:`;
    this.unknownFormats = unknownFormats;
  }

  refuse(message: string): never {
    refuse(this.pointer, message);
  }

  pattern(keywords: Keywords, keyword: string, expression: string, whole = false): Language {
    const key = `${whole}${expression}`;
    let language = this.#patterns.get(key);
    if (!language) {
      try {
        this.budget.spend(50 + expression.length);
        language = languageOfPattern(this.languages, expression, whole);
      } catch (error) {
        if (error instanceof PatternError)
          keywords.refuse(keyword, `${excerpt(expression)} ${error.message}`);
        throw error;
      }
      this.#patterns.set(key, language);
    }
    return language;
  }

  stringsFailing(schema: Schema): Language {
    return this.strings(this.goals.failing(schema));
  }

  /** Strings that reach a goal. */
  strings(goal: Goal): Language {
    return this.languages.union(
      this.of(goal).string.map(({ language, least, most }) => this.#texts.ofLength(language, least, most)),
    );
  }

  /** Values that reach a goal. */
  of(goal: Goal): Values {
    let values = this.#reaching.get(goal);
    if (!values) {
      values = goal === NEVER ? NO_VALUES : ALL_VALUES;
      for (const schema of goal.meets) values = this.#both(values, this.#made(schema, true));
      for (const schema of goal.fails) values = this.#both(values, this.#made(schema, false));
      this.#reaching.set(goal, values);
    }
    return values;
  }

  /** Forgets what can be made again. */
  clear(): void {
    this.#signs.clear();
    this.#reaching.clear();
    this.goals.clear();
  }

  /** Values that meet a schema, or fail it. */
  #made(schema: Schema, meets: boolean): Values {
    if (typeof schema.value === "boolean") return schema.value === meets ? ALL_VALUES : NO_VALUES;
    const known = meets ? this.#met : this.#failed;
    const found = known.get(schema);
    if (found) return found;
    const key = `${meets}${schema.id}`;
    const since = this.#making.get(key);
    if (since !== undefined) {
      if (since < this.tentative) throw new Unfinished();
      refuse(schema.pointer, "refers to itself without anything between");
    }
    if (this.#making.size > MAX_DEPTH) refuse(schema.pointer, `is more than ${MAX_DEPTH} schemas deep`);
    this.#making.set(key, this.tentative);
    const outer = this.pointer;
    this.pointer = schema.pointer;
    this.budget.spend(20);
    try {
      const values = this.#restrict(ALL_VALUES, this.#read(new Keywords(schema, this.source)), meets);
      known.set(schema, values);
      return values;
    } finally {
      this.#making.delete(key);
      this.pointer = outer;
    }
  }

  #read(keywords: Keywords): Condition {
    for (const keyword of UNSUPPORTED)
      if ((keywords.raw(keyword) ?? true) !== true) keywords.refuse(keyword, "is not supported");
    return {
      is: "all",
      of: READERS.filter(([keyword]) => keywords.raw(keyword) !== undefined).map(([, read]) =>
        read(keywords, this),
      ),
    };
  }

  /** Those of some values that meet a condition, or fail it. */
  #restrict(given: Values, condition: Condition, meets: boolean): Values {
    switch (condition.is) {
      case "not":
        return this.#restrict(given, condition.of, !meets);
      case "schema":
        return this.#both(given, this.#made(condition.of, meets));
      case "keyword":
        return this.#both(given, this.#possible(meets ? condition.meets : condition.fails()));
      case "if": {
        const [test, then, otherwise] = condition.of;
        return unite([
          this.#restrict(this.#restrict(given, test, true), then, meets),
          this.#restrict(this.#restrict(given, test, false), otherwise, meets),
        ]);
      }
    }
    const every = (of: readonly Condition[], sign: boolean) =>
      of.reduce((left, each) => this.#restrict(left, each, sign), given);
    const { is, of } = condition;
    if (is === "one") {
      if (meets) return this.#exactlyOne(given, of);
      const pairs = of.flatMap((a, i) => {
        const met = this.#restrict(given, a, true);
        return of.slice(i + 1).map((b) => this.#restrict(met, b, true));
      });
      return this.#few(unite([every(of, false), ...pairs]));
    }
    if ((is === "all") === meets) return every(of, meets);
    return this.#few(unite(of.map((each) => this.#restrict(given, each, meets))));
  }

  #few(values: Values): Values {
    for (const kind of KINDS)
      if (values[kind].length > MAX_ALTERNATIVES)
        this.refuse(`has more than ${MAX_ALTERNATIVES} alternatives`);
    return values;
  }

  /** Values that meet one condition and fail all the others. Those that it has nothing in common with need no mention. */
  #exactlyOne(given: Values, conditions: readonly Condition[]): Values {
    const met = conditions.map((condition) => this.#restrict(given, condition, true));
    let [once, twice] = [0, 0];
    for (const { literals } of met) {
      twice |= once & literals;
      once |= literals;
    }
    const only = <K extends Kind>(kind: K): readonly FactsOf[K][] => {
      const lists = met.map((values) => values[kind] as readonly FactsOf[K][]);
      return lists.flatMap((mine, i) => {
        let left = mine;
        for (let j = 0; j < lists.length && left.length > 0; j++) {
          if (j === i) continue;
          const isCommon = (facts: FactsOf[K]) =>
            lists[j]!.some((other) => this.#overlap(kind, facts, other));
          const common = left.filter(isCommon);
          if (common.length === 0) continue;
          const failing = this.#restrict({ ...NO_VALUES, [kind]: common }, conditions[j]!, false);
          left = [
            ...left.filter((facts) => !common.includes(facts)),
            ...(failing[kind] as readonly FactsOf[K][]),
          ];
        }
        return left;
      });
    };
    return this.#few({
      literals: once & ~twice,
      number: only("number"),
      string: only("string"),
      array: only("array"),
      object: only("object"),
    });
  }

  #both(a: Values, b: Values): Values {
    if (a === ALL_VALUES) return b;
    if (b === ALL_VALUES) return a;
    const out: Record<string, unknown> = { literals: a.literals & b.literals };
    for (const kind of KINDS) out[kind] = this.#product(kind, a[kind], b[kind]);
    return this.#few(out as Values);
  }

  #product<K extends Kind>(
    kind: K,
    a: readonly FactsOf[K][],
    b: readonly FactsOf[K][],
  ): readonly FactsOf[K][] {
    if (a[0] === ANY[kind] || b.length === 0) return b;
    if (b[0] === ANY[kind] || a.length === 0) return a;
    const out: FactsOf[K][] = [];
    for (const x of a)
      for (const y of b) {
        const both = this.#overlap(kind, x, y);
        if (both && out.push(both) > MAX_ALTERNATIVES) break;
      }
    return out;
  }

  /** What holds if both do; undefined if that is nothing. */
  #overlap<K extends Kind>(kind: K, a: FactsOf[K], b: FactsOf[K]): FactsOf[K] | undefined {
    if (a === ANY[kind] || a === b) return b;
    if (b === ANY[kind]) return a;
    this.budget.spend(1);
    if (kind === "object" && this.#areApart(a as ObjectFacts, b as ObjectFacts)) return undefined;
    this.budget.spend(10 + sizeOf(a) + sizeOf(b));
    const both = BOTH[kind](this.languages, this.goals, a, b);
    return this.#isPossible(kind, both) ? both : undefined;
  }

  #possible(values: Values): Values {
    const out: Record<string, unknown> = { ...values };
    for (const kind of KINDS)
      out[kind] = (values[kind] as FactsOf[Kind][]).filter(
        (facts) => facts === ANY[kind] || this.#isPossible(kind, facts),
      );
    return out as Values;
  }

  /** Whether some value is held to facts, as far as can be told while alternatives are being made. */
  #isPossible<K extends Kind>(kind: K, facts: FactsOf[K]): boolean {
    const { number, string, array, object } = { [kind]: facts } as Partial<FactsOf>;
    if (number) return !isNumberless(number, () => this.refuse("leaves out too many numbers"));
    if (string) return this.#texts.begin([{ ...string, origin: 0 }]) !== undefined;
    return array ? this.#isPossibleArray(array) : this.#isPossibleObject(object!);
  }

  #isPossibleArray({ least, most, prefix, rest }: ArrayFacts): boolean {
    for (let i = 0; i < least && i <= prefix.length; i++)
      if (this.isSurelyDead(prefix[i] ?? rest)) return false;
    return least <= most;
  }

  #isPossibleObject({ least, most, required, properties, others }: ObjectFacts): boolean {
    if (least > most || required.size > most) return false;
    const isForbidden = (name: string) =>
      others.some(
        ({ goal, names, languages }) =>
          goal === NEVER &&
          !names.has(name) &&
          !languages.some((language) => this.languages.matches(language, name)),
      );
    for (const name of required)
      if (isForbidden(name) || this.isSurelyDead(properties.get(name) ?? ANYTHING)) return false;
    return true;
  }

  /** Whether a key that both need has values that differ: what usually tells objects apart. */
  #areApart(a: ObjectFacts, b: ObjectFacts): boolean {
    const others = this.#signsOf(b);
    for (const [name, values] of this.#signsOf(a)) {
      const other = others.get(name);
      if (other && ![...values].some((value) => other.has(value))) return true;
    }
    return false;
  }

  /** Keys that are needed and whose values are listed. */
  #signsOf(facts: ObjectFacts): ReadonlyMap<string, ReadonlySet<unknown>> {
    let signs = this.#signs.get(facts);
    if (!signs) {
      const found = new Map<string, ReadonlySet<unknown>>();
      for (const name of facts.required)
        for (const schema of facts.properties.get(name)?.meets ?? []) {
          const values = valuesOf(schema);
          if (values) found.set(name, new Set(values));
        }
      this.#signs.set(facts, (signs = found));
    }
    return signs;
  }
}

/** Some measure of what it takes to join facts with others. */
function sizeOf(facts: object): number {
  const { properties, required, prefix, values, gaps } = facts as Partial<
    ObjectFacts & ArrayFacts & FactsOf["number"]
  >;
  return (
    ((properties?.size ?? 0) +
      (required?.size ?? 0) +
      (prefix?.length ?? 0) +
      (values?.length ?? 0) +
      (gaps?.length ?? 0)) >>
    1
  );
}
