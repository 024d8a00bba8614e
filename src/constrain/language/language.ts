// Languages of texts as expressions with union and complement. An expression is its own automaton: what may follow a
// character is again an expression, its derivative (Brzozowski 1964), and equal ones are one object. What two languages
// have in common is what is in neither's complement (De Morgan).

import type { Budget } from "../budget.ts";
import { remember } from "../memory.ts";
import { type CharacterClass, EVERYTHING, joined, LAST_POINT, type Range, union } from "./classes.ts";
import {
  ALL,
  ANY,
  EMPTY,
  Language,
  NOTHING,
  type Shape,
  type StringSet,
  type Transitions,
} from "./expression.ts";

export { ALL, ANY, EMPTY, Language, NOTHING } from "./expression.ts";

/** Languages that are joined at once, times the characters at which that makes a difference: some milliseconds. */
const MAX_STEP = 10_000;
/** What is remembered of a language, and of what may follow. */
const [LANGUAGE_BYTES, TABLE_BYTES, TRANSITION_BYTES] = [300, 120, 20];
/** So much of a common beginning is joined at once. */
const MAX_FACTORED = 16;

/** Where no text goes on: half of a surrogate pair, and what lies behind the last character. */
const GAPS = new Set([0xd800, LAST_POINT + 1]);
const BORDERS = [0, 0xd800, 0xe000, LAST_POINT + 1];

/** A table of what begins where. Of two that begin at the same place the second counts. */
function tableOf(entries: readonly (readonly [start: number, target: Language])[]): Transitions {
  const starts: number[] = [];
  const targets: Language[] = [];
  for (const [start, target] of entries) {
    if (starts.at(-1) === start) targets.length = --starts.length;
    if (targets.at(-1) === target) continue;
    starts.push(start);
    targets.push(target);
  }
  return { starts, targets };
}

/** Index of the range that holds a code point. */
export function rangeOf(starts: readonly number[], point: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= point) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What a language begins with, and what comes behind that. */
function split(language: Language): [head: Language, tail: Language] {
  const { shape } = language;
  return shape.kind === "sequence" ? [shape.head, shape.tail] : [language, EMPTY];
}

/** How often a language has which other one: once itself, where it repeats nothing. */
function counted(language: Language): { inner: Language; least: number; most: number } {
  const { shape } = language;
  return shape.kind === "repeat" ? shape : { inner: language, least: 1, most: 1 };
}

/** A language may outlive what is known here, so that numbers of sets are never given again. */
let setCount = 0;

function addTo<K, V>(groups: Map<K, V[]>, key: K, value: V): void {
  const group = groups.get(key);
  if (group) group.push(value);
  else groups.set(key, [value]);
}

/** Makes expressions, each once. Sharing saves work and memory; nothing depends on it. */
export class Languages {
  readonly #budget: Budget | undefined;
  readonly #known = new Map<string, Language>();
  /** By what is in them. */
  readonly #sets = new Map<string, StringSet>();

  /** @param budget counts what is joined and derived */
  constructor(budget?: Budget) {
    this.#budget = budget;
  }

  clear(): void {
    this.#known.clear();
    this.#sets.clear();
  }

  /** Counts what one step takes, of which no single one may take long: it may be one between two tokens. */
  #spend(units: number): void {
    if (units > MAX_STEP) this.#budget?.refuse();
    this.#budget?.spend(units);
  }

  #share(key: string, shape: Shape): Language {
    let found = this.#known.get(key);
    if (!found) {
      this.#spend(1);
      this.#known.set(key, (found = new Language(shape)));
      remember(this, LANGUAGE_BYTES + key.length);
    }
    return found;
  }

  /** One character, of these. */
  characters(ranges: readonly Range[]): Language {
    const set = union(ranges);
    if (set.length === 0) return NOTHING;
    const key = set.join();
    return key === EVERYTHING.join() ? ANY : this.#share(`c${key}`, { kind: "class", set });
  }

  /** These texts; they need not be sorted, nor different. Lone surrogates count as U+FFFD. */
  strings(texts: readonly string[]): Language {
    const all = new Set(texts.map(wellFormed));
    const sorted = [...all].sort((a, b) => (a < b ? -1 : 1));
    const key = JSON.stringify(sorted);
    let set = this.#sets.get(key);
    if (!set) {
      const lengths = sorted.map((text) => [...text].length);
      this.#sets.set(key, (set = { id: ++setCount, all, sorted, lengths }));
      remember(this, key.length);
    }
    return this.#strings(set, 0, sorted.length, 0, 0);
  }

  #strings(set: StringSet, low: number, high: number, depth: number, passed: number): Language {
    if (low >= high) return NOTHING;
    if (high - low === 1 && set.sorted[low]!.length === depth) return EMPTY;
    return this.#share(`s${set.id}:${low}:${high}:${depth}`, {
      kind: "strings",
      set,
      low,
      high,
      depth,
      passed,
    });
  }

  sequence(head: Language, tail: Language): Language {
    if (head === NOTHING || tail === NOTHING) return NOTHING;
    if (head === EMPTY || (head === ALL && tail === ALL)) return tail;
    if (tail === EMPTY) return head;
    const heads: Language[] = [];
    for (let rest = head; rest !== EMPTY; ) {
      const [first, others] = split(rest);
      heads.push(first);
      rest = others;
    }
    return heads.reduceRight((behind, first) => this.#prepend(first, behind), tail);
  }

  /** @param head no sequence */
  #prepend(head: Language, tail: Language): Language {
    if (tail === EMPTY) return head;
    const [next, rest] = split(tail);
    // x{1,2}x{3,4} is x{4,6}.
    if (
      head.shape.kind === "repeat" &&
      next.shape.kind === "repeat" &&
      head.shape.inner === next.shape.inner
    ) {
      const { inner, least, most } = head.shape;
      return this.#prepend(this.repeat(inner, least + next.shape.least, most + next.shape.most), rest);
    }
    return this.#share(`.${head.id},${tail.id}`, { kind: "sequence", head, tail });
  }

  repeat(inner: Language, least: number, most: number): Language {
    if (least > most) return NOTHING;
    if (most === 0 || inner === EMPTY) return EMPTY;
    if (inner === NOTHING) return least === 0 ? EMPTY : NOTHING;
    if (least === 1 && most === 1) return inner;
    if (inner === ANY && least === 0 && most === Infinity) return ALL;
    const { shape } = inner;
    if (shape.kind === "repeat" && shape.least <= 1 && least <= 1)
      return this.repeat(shape.inner, shape.least * least, shape.most * most);
    // A text that an empty turn completes needs no turn at all.
    const from = inner.nullable ? 0 : least;
    return this.#share(`*${inner.id},${from},${most}`, { kind: "repeat", inner, least: from, most });
  }

  /** @param depth how often it was called for what others have behind a common beginning */
  union(languages: readonly Language[], depth = 0): Language {
    const flat = new Set<Language>();
    const sets: CharacterClass[] = [];
    const add = (part: Language): void => {
      if (part.shape.kind === "union") part.shape.parts.forEach(add);
      else if (part.shape.kind === "class") sets.push(part.shape.set);
      else if (part !== NOTHING) flat.add(part);
    };
    languages.forEach(add);
    if (sets.length > 0) flat.add(this.characters(sets.flat()));
    this.#spend(flat.size);
    const isAll = ({ shape }: Language) => shape.kind === "complement" && flat.has(shape.inner);
    if (flat.has(ALL) || [...flat].some(isAll)) return ALL;
    const isEmptyExtra = [...flat].some((part) => part !== EMPTY && part.nullable);
    if (isEmptyExtra) flat.delete(EMPTY);
    const parts = (
      flat.size > 1 ? this.#joinCounts(depth < MAX_FACTORED ? this.#factor(flat, depth) : flat) : [...flat]
    ).sort((a, b) => a.id - b.id);
    if (parts.length === 0) return NOTHING;
    if (parts.length === 1) return parts[0]!;
    return this.#share(`|${parts.map(({ id }) => id).join()}`, { kind: "union", parts });
  }

  /** Joins xy and xz to x(y|z): otherwise nested counts have a part for each way in which a text may be counted. */
  #factor(parts: Iterable<Language>, depth: number): Language[] {
    const groups = new Map<Language, Language[]>();
    for (const part of parts) addTo(groups, split(part)[0], part);
    return [...groups].map(([head, group]) =>
      group.length === 1
        ? group[0]!
        : this.sequence(
            head,
            this.union(
              group.map((part) => split(part)[1]),
              depth + 1,
            ),
          ),
    );
  }

  /** Joins x{1,3}y and x{2,5}y to x{1,5}y: otherwise /.*a.{0,999}/ has a part for each a that was read. */
  #joinCounts(parts: Iterable<Language>): Language[] {
    const groups = new Map<string, Language[]>();
    for (const part of parts) {
      const [head, tail] = split(part);
      addTo(groups, `${counted(head).inner.id},${tail.id}`, part);
    }
    return [...groups.values()].flatMap((group) => {
      if (group.length === 1) return group;
      const [head, tail] = split(group[0]!);
      const ranges = group.map((part): [number, number] => {
        const { least, most } = counted(split(part)[0]);
        return [least, most];
      });
      return joined(ranges).map(([least, most]) =>
        this.sequence(this.repeat(counted(head).inner, least, most), tail),
      );
    });
  }

  intersection(languages: readonly Language[]): Language {
    const listed = languages.find(({ shape }) => shape.kind === "strings");
    if (listed?.shape.kind !== "strings")
      return this.complement(this.union(languages.map((language) => this.complement(language))));
    // Those of listed texts that are in all the others: a shorter list.
    const { set, low, high, depth } = listed.shape;
    const texts = set.sorted.slice(low, high).map((text) => text.slice(depth));
    const others = languages.filter((language) => language !== listed);
    return this.strings(texts.filter((text) => others.every((other) => this.matches(other, text))));
  }

  complement(inner: Language): Language {
    if (inner === NOTHING) return ALL;
    if (inner === ALL) return NOTHING;
    if (inner.shape.kind === "complement") return inner.shape.inner;
    return this.#share(`!${inner.id}`, { kind: "complement", inner });
  }

  /** What may follow, for every character: the derivatives. */
  transitions(language: Language): Transitions {
    if (language.transitions === undefined) {
      language.transitions = this.#derive(language.shape);
      remember(language, TABLE_BYTES + TRANSITION_BYTES * language.transitions.starts.length);
    }
    return language.transitions;
  }

  #derive(shape: Shape): Transitions {
    switch (shape.kind) {
      case "nothing":
      case "empty":
        return tableOf([[0, NOTHING]]);
      case "class": {
        const entries: [number, Language][] = [[0, NOTHING]];
        for (const [first, last] of shape.set) entries.push([first, EMPTY], [last + 1, NOTHING]);
        return tableOf(entries);
      }
      case "sequence": {
        // What may be empty at the beginning may be left out.
        const heads = [shape.head];
        const tails = [shape.tail];
        while (heads.at(-1)!.nullable && tails.at(-1) !== EMPTY) {
          const [head, tail] = split(tails.at(-1)!);
          heads.push(head);
          tails.push(tail);
        }
        return this.#combine(heads, (targets) =>
          this.union(targets.map((target, i) => this.sequence(target, tails[i]!))),
        );
      }
      case "union":
        return this.#combine(shape.parts, (targets) => this.union(targets));
      case "complement":
        return this.#combine([shape.inner], ([target]) => this.complement(target!));
      case "repeat": {
        const { inner, least, most } = shape;
        const rest = this.repeat(inner, Math.max(0, least - 1), most - 1);
        return this.#combine([inner], ([target]) => this.sequence(target!, rest));
      }
      case "strings": {
        const { set, low, high, depth, passed } = shape;
        const ranges: [point: number, from: number, to: number][] = [];
        for (let i = low; i < high; i++) {
          const point = set.sorted[i]!.codePointAt(depth);
          if (point === undefined) continue;
          if (ranges.at(-1)?.[0] === point) ranges.at(-1)![2]++;
          else ranges.push([point, i, i + 1]);
        }
        ranges.sort((a, b) => a[0] - b[0]);
        const entries = ranges.flatMap(([point, from, to]): [number, Language][] => [
          [point, this.#strings(set, from, to, depth + (point > 0xffff ? 2 : 1), passed + 1)],
          [point + 1, NOTHING],
        ]);
        return tableOf([[0, NOTHING], ...entries]);
      }
    }
  }

  /** The table of what is made from several languages, given what each of them may go on with. */
  #combine(parts: readonly Language[], make: (targets: readonly Language[]) => Language): Transitions {
    const tables = parts.map((part) => this.transitions(part));
    const starts = new Set([...BORDERS, ...tables.flatMap((table) => table.starts)]);
    this.#spend(starts.size * parts.length);
    return tableOf(
      [...starts]
        .sort((a, b) => a - b)
        .map((start) => [
          start,
          GAPS.has(start)
            ? NOTHING
            : make(tables.map((table) => table.targets[rangeOf(table.starts, start)]!)),
        ]),
    );
  }

  /** What may follow one character. */
  next(language: Language, point: number): Language {
    const { starts, targets } = this.transitions(language);
    return targets[rangeOf(starts, point)]!;
  }

  matches(language: Language, text: string): boolean {
    const { shape } = language;
    if (shape.kind === "complement") return !this.matches(shape.inner, text);
    if (shape.kind === "union") return shape.parts.some((part) => this.matches(part, text));
    if (shape.kind === "strings")
      return shape.set.all.has(shape.set.sorted[shape.low]!.slice(0, shape.depth) + text);
    let at = language;
    for (const character of text) at = this.next(at, character.codePointAt(0)!);
    return at.nullable;
  }

  /** Whether a language holds any text. Only complements have to be searched for one. */
  isAlive(language: Language): boolean {
    if (language.alive !== undefined) return language.alive;
    const from = new Map<Language, Language | undefined>([[language, undefined]]);
    const stack = [language];
    while (stack.length > 0) {
      const at = stack.pop()!;
      // Backwards: what is looked at first is what the character with the least code point leads to.
      for (const target of [...this.transitions(at).targets].reverse()) {
        if (target.alive) {
          // All on the way to it are alive as well.
          for (let back: Language | undefined = at; back; back = from.get(back)) back.alive = true;
          return true;
        }
        if (target.alive === undefined && !from.has(target)) {
          from.set(target, at);
          stack.push(target);
        }
      }
    }
    for (const seen of from.keys()) seen.alive = false;
    return false;
  }
}

function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
