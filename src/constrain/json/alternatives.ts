// From schemas to alternatives: a value that is to meet some schemas, and to fail others, is held to one of a list of
// facts. allOf multiplies lists, anyOf joins them, and what negates a list of conditions is a list again.

import { excerpt } from "../../excerpt.ts";
import type { Budget } from "../budget.ts";
import { type Language, type Languages, NOTHING } from "../language/language.ts";
import { languageOfPattern, PatternError } from "../language/pattern.ts";
import type { TextStates } from "../language/text-state.ts";
import { ArrayRules } from "./array-rules.ts";
import { type Assertion, held, Keywords, only, type Reading } from "./assertion.ts";
import { arrayAssertion, objectAssertion } from "./container-assertions.ts";
import { ANY_FACTS, ANY_OBJECT, bothFacts, type Facts, type StringFacts, TYPES } from "./facts.ts";
import { FORMATS, UNSUPPORTED_FORMATS } from "./formats.ts";
import { type Goal, Goals, NEVER, type Schema } from "./goal.ts";
import { countNumbers, DIGITS, isAnyNumber, type NumberFacts, numberBetween, ONE } from "./number-facts.ts";
import { type ObjectRules, objectRules, type RuleTools, wordsOf } from "./object-rules.ts";
import { numberAssertion, stringAssertion } from "./scalar-assertions.ts";
import { refuse, type SchemaSource } from "./schema-source.ts";
import { constAssertion, enumAssertion, typeAssertion } from "./value-assertions.ts";

/** Alternatives that one place of a schema may have. */
const MAX_ALTERNATIVES = 1000;
const MAX_DEPTH = 100;
/** Keywords that change what is valid, and that nothing here enforces. */
const UNSUPPORTED = [
  "unevaluatedProperties",
  "unevaluatedItems",
  "$dynamicRef",
  "$recursiveRef",
  "extends",
  "disallow",
];

/** What a value may be, by type. */
export interface Parts {
  /** Bits of TYPES: null, false and true. */
  literals: number;
  numbers: readonly NumberFacts[];
  strings: readonly StringFacts[];
  arrays: readonly ArrayRules[];
  objects: readonly ObjectRules[];
}

/** Whether some alternative is being made that an answer depends on. */
class Unfinished extends Error {}

export interface AlternativesOptions {
  declaredOrder: boolean;
  unknownFormats: "ignore" | "error";
}

export class Alternatives implements Reading, RuleTools {
  readonly source: SchemaSource;
  readonly goals = new Goals();
  readonly languages: Languages;
  readonly declaredOrder: boolean;
  assumptions = 0;
  readonly #texts: TextStates;
  readonly #budget: Budget;
  readonly #unknownFormats: "ignore" | "error";
  readonly #patterns = new Map<string, Language>();
  readonly #formats = new Map<string, Language>();
  readonly #met = new Map<Schema, readonly Facts[]>();
  readonly #failed = new Map<Schema, readonly Facts[]>();
  readonly #facts = new Map<Goal, readonly Facts[]>();
  readonly #parts = new Map<Goal, Parts>();
  readonly #alive = new Map<Goal, boolean>();
  /** Schemas whose alternatives are being made, with how often `#tentatively` was entered before. */
  readonly #making = new Map<string, number>();
  #tentative = 0;
  /** Goals that are being looked at, and how far down the least of those lies that was met again. */
  readonly #looking = new Map<Goal, number>();
  #lowest = Infinity;
  /** Where the schema stands that is being read, for messages. */
  #pointer = "";

  constructor(source: SchemaSource, texts: TextStates, budget: Budget, options: AlternativesOptions) {
    this.source = source;
    this.languages = texts.languages;
    this.#texts = texts;
    this.#budget = budget;
    this.declaredOrder = options.declaredOrder;
    this.#unknownFormats = options.unknownFormats;
  }

  refuse(message: string): never {
    refuse(this.#pointer, message);
  }

  pattern(schema: Schema, keyword: string, expression: string): Language {
    let language = this.#patterns.get(expression);
    if (language) return language;
    try {
      this.#budget.spend(expression.length);
      language = languageOfPattern(this.languages, expression, false);
    } catch (error) {
      if (error instanceof PatternError)
        refuse(`${schema.pointer}/${keyword}`, `${excerpt(expression)} ${error.message}`);
      throw error;
    }
    this.#patterns.set(expression, language);
    return language;
  }

  format(schema: Schema, name: string): Language | undefined {
    const known = this.#formats.get(name);
    if (known) return known;
    const pattern = FORMATS.get(name);
    if (UNSUPPORTED_FORMATS.has(name))
      refuse(`${schema.pointer}/format`, `${excerpt(name)} is not supported`);
    if (!pattern) {
      if (this.#unknownFormats === "error")
        refuse(`${schema.pointer}/format`, `${excerpt(name)} is not known`);
      return undefined;
    }
    const language = languageOfPattern(this.languages, pattern(), true);
    this.#formats.set(name, language);
    return language;
  }

  strings(goalOrSchema: Goal | Schema, meets = true): Language {
    const goal =
      "meets" in goalOrSchema
        ? goalOrSchema
        : meets
          ? this.goals.meeting(goalOrSchema)
          : this.goals.failing(goalOrSchema);
    const parts = this.of(goal)
      .filter(({ types }) => types & TYPES.string)
      .map(({ string }) => this.#texts.ofLength(string.language, string.least, string.most));
    return this.languages.union(parts);
  }

  isAliveLanguage(language: Language): boolean {
    return this.languages.isAlive(language);
  }

  /** What a value may be that is to reach a goal: one of these. */
  of(goal: Goal): readonly Facts[] {
    let facts = this.#facts.get(goal);
    if (!facts) {
      facts = goal === NEVER ? [] : [ANY_FACTS];
      for (const schema of goal.meets) facts = this.#product(facts, this.#meeting(schema), schema);
      for (const schema of goal.fails) facts = this.#product(facts, this.#failing(schema), schema);
      this.#facts.set(goal, facts);
    }
    return facts;
  }

  #product(a: readonly Facts[], b: readonly Facts[], schema: Schema): readonly Facts[] {
    if (a.length === 1 && a[0] === ANY_FACTS) return b;
    if (b.length === 1 && b[0] === ANY_FACTS) return a;
    const out: Facts[] = [];
    for (const x of a) {
      for (const y of b) {
        this.#budget.spend(5);
        const both = this.#possible(bothFacts(this.languages, this.goals, x, y));
        if (both) out.push(both);
      }
      if (out.length > MAX_ALTERNATIVES)
        refuse(
          schema.pointer,
          `has more than ${MAX_ALTERNATIVES} alternatives with what else is said of the value`,
        );
    }
    return out;
  }

  /** Facts without the types that nothing can be of; undefined if none is left. */
  #possible(facts: Facts): Facts | undefined {
    let { types } = facts;
    const { number, string, array, object } = facts;
    if (types & TYPES.number && !this.#hasNumber(number)) types &= ~TYPES.number;
    if (types & TYPES.string && !this.#hasString(string)) types &= ~TYPES.string;
    if (types & TYPES.array) {
      const { least, most, prefix, rest } = array;
      let isDead = least > most;
      for (let i = 0; i < least && i <= prefix.length && !isDead; i++)
        isDead = this.#isSurelyDead(prefix[i] ?? rest);
      if (isDead) types &= ~TYPES.array;
    }
    if (types & TYPES.object) {
      const { least, most, required, properties } = object;
      let isDead = least > most || required.size > most;
      for (const name of required) {
        const goal = properties.get(name);
        if (isDead) break;
        if (goal) isDead = this.#isSurelyDead(goal);
        else
          isDead = object.others.some(
            (rule) => rule.goal === NEVER && rule.languages.length === 0 && !rule.names.has(name),
          );
      }
      if (isDead) types &= ~TYPES.object;
    }
    if (types === 0) return undefined;
    return types === facts.types ? facts : { ...facts, types };
  }

  #hasNumber(facts: NumberFacts): boolean {
    const limit = 10n ** BigInt(DIGITS) * ONE;
    return isAnyNumber(facts) || numberBetween(facts, -limit, limit) !== undefined;
  }

  #hasString({ language, least, most }: StringFacts): boolean {
    return this.#texts.begin([{ language, least, most, origin: 0 }]) !== undefined;
  }

  /** Whether no value reaches a goal, as far as that can be told while alternatives are being made. */
  #isSurelyDead(goal: Goal): boolean {
    if (goal === NEVER) return true;
    // A single schema that is met is left alone: looking further down costs more than it saves.
    if (goal.meets.length + goal.fails.length < 2) return this.#alive.get(goal) === false;
    return this.#tentatively(() => !this.isAlive(goal)) ?? false;
  }

  #tentatively<T>(find: () => T): T | undefined {
    this.#tentative++;
    const { assumptions } = this;
    try {
      const found = find();
      return this.assumptions === assumptions ? found : undefined;
    } catch (error) {
      if (error instanceof Unfinished) return undefined;
      throw error;
    } finally {
      this.#tentative--;
    }
  }

  #meeting(schema: Schema): readonly Facts[] {
    return this.#made(this.#met, schema, "+", (keywords) => this.#meets(keywords));
  }

  #failing(schema: Schema): readonly Facts[] {
    return this.#made(this.#failed, schema, "-", (keywords) => this.#fails(keywords));
  }

  #made(
    known: Map<Schema, readonly Facts[]>,
    schema: Schema,
    sign: string,
    make: (keywords: Keywords) => readonly Facts[],
  ): readonly Facts[] {
    if (typeof schema.value === "boolean") return schema.value === (sign === "+") ? [ANY_FACTS] : [];
    const found = known.get(schema);
    if (found) return found;
    const key = `${sign}${schema.id}`;
    const since = this.#making.get(key);
    if (since !== undefined) {
      if (since < this.#tentative) throw new Unfinished();
      refuse(schema.pointer, "refers to itself without anything between");
    }
    if (this.#making.size > MAX_DEPTH) refuse(schema.pointer, `is more than ${MAX_DEPTH} schemas deep`);
    this.#making.set(key, this.#tentative);
    const outer = this.#pointer;
    this.#pointer = schema.pointer;
    this.#budget.spend(10);
    try {
      const facts = make(new Keywords(schema));
      known.set(schema, facts);
      return facts;
    } finally {
      this.#making.delete(key);
      this.#pointer = outer;
    }
  }

  /** What each keyword says that asserts something itself. */
  #assertions(keywords: Keywords): Assertion[] {
    for (const keyword of UNSUPPORTED)
      if (keywords.has(keyword) && keywords.raw(keyword) !== true)
        keywords.refuse(keyword, "is not supported");
    return [
      typeAssertion(keywords),
      constAssertion(keywords, this),
      enumAssertion(keywords, this),
      numberAssertion(keywords),
      stringAssertion(keywords, this),
      arrayAssertion(keywords, this),
      objectAssertion(keywords, this),
    ].filter((assertion) => assertion !== undefined);
  }

  #inside(keywords: Keywords, keyword: string): Schema | undefined {
    return keywords.has(keyword)
      ? this.source.inside(keywords.schema, keywords.raw(keyword), keyword)
      : undefined;
  }

  #list(keywords: Keywords, keyword: string): Schema[] | undefined {
    const list = keywords.list(keyword);
    if (list?.length === 0) keywords.refuse(keyword, "must not be empty");
    return list?.map((value, i) => this.source.inside(keywords.schema, value, keyword, i));
  }

  /** Schemas that hold where a key is there. */
  #dependent(keywords: Keywords): [name: string, inner: Schema][] {
    return ["dependentSchemas", "dependencies"].flatMap((keyword) =>
      Object.entries(keywords.object(keyword) ?? {})
        .filter(([, value]) => keyword === "dependentSchemas" || !Array.isArray(value))
        .map(([name, value]): [string, Schema] => [
          name,
          this.source.inside(keywords.schema, value, keyword, name),
        ]),
    );
  }

  #referred(keywords: Keywords): Schema | undefined {
    const reference = keywords.text("$ref");
    return reference === undefined ? undefined : this.source.referred(keywords.schema, reference);
  }

  #meets(keywords: Keywords): readonly Facts[] {
    const { schema } = keywords;
    let facts: readonly Facts[] = [ANY_FACTS];
    const and = (more: readonly Facts[]): void => {
      facts = this.#product(facts, more, schema);
    };
    for (const { meets } of this.#assertions(keywords))
      and(meets.map((each) => this.#possible(each)).filter((each) => each !== undefined));
    const referred = this.#referred(keywords);
    if (referred) and(this.#meeting(referred));
    for (const inner of this.#list(keywords, "allOf") ?? []) and(this.#meeting(inner));
    const any = this.#list(keywords, "anyOf");
    if (any) and(any.flatMap((inner) => this.#meeting(inner)));
    const one = this.#list(keywords, "oneOf");
    if (one) and(this.#exactlyOne(one, facts));
    const not = this.#inside(keywords, "not");
    if (not) and(this.#failing(not));
    const [condition, then, otherwise] = ["if", "then", "else"].map((keyword) =>
      this.#inside(keywords, keyword),
    );
    if (condition && (then || otherwise)) {
      and([
        ...this.#product(this.#meeting(condition), then ? this.#meeting(then) : [ANY_FACTS], schema),
        ...this.#product(
          this.#failing(condition),
          otherwise ? this.#meeting(otherwise) : [ANY_FACTS],
          schema,
        ),
      ]);
    }
    for (const [name, inner] of this.#dependent(keywords))
      and([without(name), ...this.#product([withKey(name)], this.#meeting(inner), schema)]);
    if (facts.length > MAX_ALTERNATIVES)
      refuse(schema.pointer, `has more than ${MAX_ALTERNATIVES} alternatives`);
    return facts;
  }

  #fails(keywords: Keywords): readonly Facts[] {
    const { schema } = keywords;
    const facts: Facts[] = [];
    const or = (more: readonly Facts[]): void => {
      for (const each of more) {
        const possible = this.#possible(each);
        if (possible) facts.push(possible);
      }
    };
    for (const { fails } of this.#assertions(keywords)) or(fails());
    const referred = this.#referred(keywords);
    if (referred) or(this.#failing(referred));
    for (const inner of this.#list(keywords, "allOf") ?? []) or(this.#failing(inner));
    const none = (schemas: readonly Schema[]) =>
      schemas.reduce<readonly Facts[]>(
        (all, inner) => this.#product(all, this.#failing(inner), schema),
        [ANY_FACTS],
      );
    const any = this.#list(keywords, "anyOf");
    if (any) or(none(any));
    const one = this.#list(keywords, "oneOf");
    if (one) {
      or(none(one));
      one.forEach((a, i) => {
        for (const b of one.slice(i + 1)) or(this.#product(this.#meeting(a), this.#meeting(b), schema));
      });
    }
    const not = this.#inside(keywords, "not");
    if (not) or(this.#meeting(not));
    const [condition, then, otherwise] = ["if", "then", "else"].map((keyword) =>
      this.#inside(keywords, keyword),
    );
    if (condition) {
      if (then) or(this.#product(this.#meeting(condition), this.#failing(then), schema));
      if (otherwise) or(this.#product(this.#failing(condition), this.#failing(otherwise), schema));
    }
    for (const [name, inner] of this.#dependent(keywords))
      or(this.#product([withKey(name)], this.#failing(inner), schema));
    if (facts.length > MAX_ALTERNATIVES)
      refuse(schema.pointer, `has more than ${MAX_ALTERNATIVES} alternatives`);
    return facts;
  }

  /** Values that meet one schema and fail all the others. Those that it has nothing in common with need no mention. */
  #exactlyOne(schemas: readonly Schema[], given: readonly Facts[]): readonly Facts[] {
    const met = schemas.map((schema) => this.#product(given, this.#meeting(schema), schema));
    return met.flatMap((facts, i) =>
      facts.flatMap((each) => {
        let left: readonly Facts[] = [each];
        met.forEach((other, j) => {
          if (j === i || left.length === 0) return;
          left = left.flatMap((one) =>
            other.some((two) => this.#overlap(one, two))
              ? this.#product([one], this.#failing(schemas[j]!), schemas[j]!)
              : [one],
          );
        });
        return left;
      }),
    );
  }

  #overlap(a: Facts, b: Facts): boolean {
    this.#budget.spend(5);
    return this.#possible(bothFacts(this.languages, this.goals, a, b)) !== undefined;
  }

  parts(goal: Goal): Parts {
    let parts = this.#parts.get(goal);
    if (!parts) {
      const facts = this.of(goal);
      const outer = this.#pointer;
      this.#pointer = (goal.meets[0] ?? goal.fails[0])?.pointer ?? "";
      let literals = 0;
      for (const { types } of facts) literals |= types & (TYPES.null | TYPES.false | TYPES.true);
      const typed = (type: number) => facts.filter(({ types }) => types & type);
      parts = {
        literals,
        numbers: [...new Set(typed(TYPES.number).map(({ number }) => number))],
        strings: this.#joined(typed(TYPES.string).map(({ string }) => string)),
        arrays: [...new Set(typed(TYPES.array).map(({ array }) => array))].map(
          (array) => new ArrayRules(array, this),
        ),
        objects: [...new Set(typed(TYPES.object).map(({ object }) => object))].flatMap((object) =>
          objectRules(object, this),
        ),
      };
      this.#pointer = outer;
      this.#parts.set(goal, parts);
    }
    return parts;
  }

  /** The same strings with as few languages as bounds on the length allow. */
  #joined(strings: readonly StringFacts[]): StringFacts[] {
    const free = strings.filter(({ least, most }) => least === 0 && most === Infinity);
    const rest = [...new Set(strings.filter((each) => !free.includes(each)))];
    if (free.length < 2) return [...free, ...rest];
    const language = this.languages.union(free.map((each) => each.language));
    return language === NOTHING ? rest : [{ language, least: 0, most: Infinity }, ...rest];
  }

  /** Whether some value reaches a goal. */
  isAlive(goal: Goal): boolean {
    const known = this.#alive.get(goal);
    if (known !== undefined) return known;
    const met = this.#looking.get(goal);
    if (met !== undefined) {
      // A value would have to hold itself, unless there is another way.
      this.assumptions++;
      this.#lowest = Math.min(this.#lowest, met);
      return false;
    }
    const depth = this.#looking.size;
    const outer = this.#lowest;
    this.#lowest = Infinity;
    this.#looking.set(goal, depth);
    this.#budget.spend(5);
    let alive = false;
    try {
      const { literals, numbers, strings, arrays, objects } = this.parts(goal);
      alive =
        literals !== 0 ||
        numbers.length > 0 ||
        strings.length > 0 ||
        arrays.some(({ begin }) => begin.canFinish) ||
        objects.some(({ begin }) => begin.canFinish);
      if (alive || this.#lowest >= depth) this.#alive.set(goal, alive);
      return alive;
    } finally {
      this.#looking.delete(goal);
      this.#lowest = Math.min(outer, alive || this.#lowest >= depth ? Infinity : this.#lowest);
    }
  }

  otherThan(values: readonly unknown[]): Goal {
    return this.goals.failing(this.source.listed(values));
  }

  hasValues(goal: Goal, count: number): boolean {
    const { literals, numbers, strings, arrays, objects } = this.parts(goal);
    if (arrays.length + objects.length > 0) return true;
    let found = [TYPES.null, TYPES.false, TYPES.true].filter((type) => literals & type).length;
    for (const facts of numbers) found += countNumbers(facts, count - found);
    for (const { language, least, most } of strings) {
      const words = wordsOf(this, this.#texts.ofLength(language, least, most), count);
      if (!words) return true;
      found += words.length;
    }
    return found >= count;
  }

  /** Drops what can be made again. */
  forget(): void {
    for (const map of [this.#facts, this.#parts, this.#alive]) map.clear();
    this.goals.clear();
  }

  #checkUnique(items: Goal): void {
    const { arrays, objects, numbers, strings } = this.parts(items);
    const pointer = items.meets[0]?.pointer ?? "";
    if (arrays.length + objects.length > 0)
      refuse(pointer, "uniqueItems is supported for items that are no arrays and no objects");
    // A value of several sets would be counted more than once.
    if (numbers.length > 1 || strings.length > 1)
      refuse(pointer, "uniqueItems is not supported for items with several alternatives of one type");
  }

  /** Looks at all that a value for a goal may hold, so that what is refused is refused now. */
  explore(root: Goal): void {
    const seen = new Set([root]);
    for (const goal of seen) {
      this.#budget.spend(5);
      const { arrays, objects } = this.parts(goal);
      for (const { facts, begin, isUnique } of arrays) {
        if (isUnique) this.#checkUnique(facts.rest);
        for (const item of [...facts.prefix, facts.rest]) seen.add(item);
        if (facts.counts.length === 0) continue;
        const states = new Set([begin]);
        for (const state of states)
          for (const { goal: item, after } of state.steps) {
            seen.add(item);
            states.add(after);
            this.#budget.spend();
          }
      }
      for (const { goals, classes, some } of objects) {
        for (const value of goals) seen.add(value);
        for (const kind of classes) {
          const eligible = some.filter((each) => each.classes.has(kind));
          for (let chosen = 0; chosen < 1 << eligible.length; chosen++)
            seen.add(
              eligible.reduce(
                (both, each, i) => ((chosen >> i) & 1 ? this.goals.both(both, each.goal) : both),
                kind.goal,
              ),
            );
        }
      }
    }
    if (!this.isAlive(root)) refuse("", "no value is valid");
  }
}

function without(name: string): Facts {
  return held({ object: { ...ANY_OBJECT, properties: new Map([[name, NEVER]]) } });
}

function withKey(name: string): Facts {
  return only("object", { object: { ...ANY_OBJECT, required: new Set([name]) } });
}
