// From facts to the rules for an object: names, classes of other keys, and properties that there must be.

import type { Language } from "../language/language.ts";
import type { ObjectFacts } from "./facts.ts";
import { ANYTHING, type Goal, NEVER } from "./goal.ts";
import { type KeyClass, ObjectRules, type SomeProperty } from "./object-state.ts";
import type { RuleTools } from "./rule-tools.ts";

/** Words of a pattern up to which it is taken for a list of keys. */
const MAX_WORDS = 32;
const MAX_CLASSES = 64;
const MAX_WAYS = 200;

/** The rules for objects that are held to some facts: a union, where something must be true of some property. */
export function objectRules(facts: ObjectFacts, tools: RuleTools): ObjectRules[] {
  const { goals, languages, budget } = tools;
  const names = new Set([...facts.properties.keys(), ...facts.required]);
  for (const rule of facts.others) for (const name of rule.names) names.add(name);
  for (const { language } of [...facts.patterns, ...facts.some])
    for (const word of tools.words(language, MAX_WORDS) ?? []) names.add(word);
  // Each is looked at again wherever a key may come.
  budget.spend(20 + 3 * names.size);
  if (facts.some.length > 1 && facts.most !== Infinity)
    tools.refuse("maxProperties beside several properties that must be there is not supported");

  const applying = (isIn: (language: Language) => boolean, name: string | undefined): Goal => {
    let goal = (name !== undefined && facts.properties.get(name)) || ANYTHING;
    for (const pattern of facts.patterns) if (isIn(pattern.language)) goal = goals.both(goal, pattern.goal);
    for (const rule of facts.others)
      if (!(name !== undefined && rule.names.has(name)) && !rule.languages.some(isIn))
        goal = goals.both(goal, rule.goal);
    return goal;
  };
  const allowed = tools.strings(facts.names);
  const goalOf = new Map<string, Goal>();
  for (const name of names) {
    const isIn = (language: Language) => languages.matches(language, name);
    goalOf.set(name, isIn(allowed) ? applying(isIn, name) : NEVER);
  }
  const classes = classesOf(facts, tools, [...names], allowed)
    .map((kind) => ({ ...kind, goal: applying((language) => kind.inside.has(language), undefined) }))
    .filter(({ goal }) => goal !== NEVER);

  // Some property must be there: it is one of those with a name, or one of those without.
  let ways = [{ goalOf, required: facts.required, some: [] as SomeProperty[] }];
  for (const { language, goal } of facts.some) {
    const inside = new Set(classes.filter((kind) => kind.inside.has(language)));
    const named = [...names].filter((name) => languages.matches(language, name));
    ways = ways.flatMap((way) => {
      budget.spend(named.length * names.size);
      const out = inside.size === 0 ? [] : [{ ...way, some: [...way.some, { classes: inside, goal }] }];
      for (const name of named) {
        const both = goals.both(way.goalOf.get(name)!, goal);
        if (both === NEVER) continue;
        const required = new Set(way.required).add(name);
        out.push({ ...way, goalOf: new Map(way.goalOf).set(name, both), required });
      }
      return out;
    });
    if (ways.length > MAX_WAYS) tools.refuse("has too many ways in which some property can be wrong");
  }
  return ways.map((way) => new ObjectRules(tools, facts, way.goalOf, way.required, classes, way.some));
}

/** Keys without a name, told apart by the patterns that they match. */
function classesOf(
  { patterns, some, others }: ObjectFacts,
  tools: RuleTools,
  names: readonly string[],
  allowed: Language,
): Omit<KeyClass, "goal">[] {
  const { languages, budget } = tools;
  const cuts = new Set([
    ...[...patterns, ...some].map(({ language }) => language),
    ...others.flatMap((rule) => rule.languages),
  ]);
  let classes = [{ language: allowed, inside: new Set<Language>() }];
  const alive = () => classes.filter(({ language }) => languages.isAlive(language));
  classes = alive();
  for (const cut of cuts) {
    classes = classes.flatMap(({ language, inside }) => [
      { language: languages.intersection([language, cut]), inside: new Set([...inside, cut]) },
      { language: languages.intersection([language, languages.complement(cut)]), inside },
    ]);
    classes = alive();
    if (classes.length > MAX_CLASSES) tools.refuse("has too many patterns for keys that overlap");
    budget.spend(classes.length);
  }
  classes = classes.map(({ language, inside }) => ({ language: tools.without(language, names), inside }));
  return alive();
}
