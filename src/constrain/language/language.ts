// Languages of texts as expressions with union, intersection and complement. An expression is its own automaton: what
// may follow a character is again an expression, its derivative (Brzozowski 1964), and equal ones are one object.

import type { Budget } from "../budget.ts";
import { type CharacterClass, contains, EVERYTHING, intersection, union } from "./classes.ts";

/** Strings in the order of their UTF-16 units, so that those with a common beginning are neighbours. */
export type SortedStrings = readonly string[];

export type Shape =
  | { kind: "nothing" | "empty" }
  | { kind: "class"; set: CharacterClass }
  | { kind: "sequence"; head: Language; tail: Language }
  | { kind: "union" | "intersection"; parts: readonly Language[] }
  | { kind: "complement"; inner: Language }
  | { kind: "repeat"; inner: Language; least: number; most: number }
  /** What is left, behind `depth` units, of the strings from `low` to before `high`. */
  | { kind: "strings"; strings: SortedStrings; low: number; high: number; depth: number };

/** What may follow, by the next character: from `starts[i]` to before `starts[i + 1]` it is `targets[i]`. */
export interface Transitions {
  starts: readonly number[];
  targets: readonly Language[];
}

let count = 0;

export class Language {
  readonly id = ++count;
  readonly shape: Shape;
  /** Whether the empty text belongs to it. */
  readonly nullable: boolean;
  /** Built without intersection and complement: then it is not empty, and its lengths are exact. */
  readonly plain: boolean;
  transitions: Transitions | undefined;
  /** Whether it holds any text, once that is known. */
  alive: boolean | undefined;
  #lengths: Lengths | undefined;

  constructor(shape: Shape) {
    this.shape = shape;
    this.nullable = isNullable(shape);
    this.plain = isPlain(shape);
    if (shape.kind === "nothing") this.alive = false;
    else if (this.plain || this.nullable) this.alive = true;
  }

  /** Of its texts; exact if it is plain. */
  get lengths(): Lengths {
    return (this.#lengths ??= lengthsOf(this.shape));
  }
}

/** In characters. */
interface Lengths {
  shortest: number;
  longest: number;
  /** `shortest` of whatever may follow is never above this. */
  deepest: number;
  /** All lengths, as ranges; undefined if they are many. */
  spans: readonly Span[] | undefined;
}

type Span = readonly [from: number, to: number];

const MAX_SPANS = 64;

/** Ranges in any order as few ranges in order; undefined if they are many. */
function joinSpans(spans: readonly Span[]): Span[] | undefined {
  const joined: [number, number][] = [];
  for (const [from, to] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined.length <= MAX_SPANS ? joined : undefined;
}

function addSpans(a: readonly Span[] | undefined, b: readonly Span[] | undefined): Span[] | undefined {
  return a && b && joinSpans(a.flatMap(([from, to]) => b.map(([f, t]): Span => [from + f, to + t])));
}

/** Lengths of `least` to `most` texts one after the other. */
function repeatSpans(spans: readonly Span[] | undefined, least: number, most: number): Span[] | undefined {
  if (spans?.length !== 1) return undefined;
  const [from, to] = spans[0]!;
  const out: Span[] = [];
  for (let turns = least; turns <= most && out.length <= MAX_SPANS; turns++) {
    // From here on there are no gaps.
    if ((turns + 1) * from <= turns * to + 1)
      return joinSpans([...out, [turns * from, to === 0 ? 0 : most * to]]);
    out.push([turns * from, turns * to]);
  }
  return joinSpans(out);
}

function isNullable(shape: Shape): boolean {
  switch (shape.kind) {
    case "empty":
      return true;
    case "sequence":
      return shape.head.nullable && shape.tail.nullable;
    case "union":
      return shape.parts.some(({ nullable }) => nullable);
    case "intersection":
      return shape.parts.every(({ nullable }) => nullable);
    case "complement":
      return !shape.inner.nullable;
    case "repeat":
      return shape.least === 0;
    case "strings":
      return shape.strings[shape.low]!.length === shape.depth;
    default:
      return false;
  }
}

function isPlain(shape: Shape): boolean {
  switch (shape.kind) {
    case "intersection":
    case "complement":
      return false;
    case "sequence":
      return shape.head.plain && shape.tail.plain;
    case "union":
      return shape.parts.every(({ plain }) => plain);
    case "repeat":
      return shape.inner.plain;
    default:
      return true;
  }
}

function lengthsOf(shape: Shape): Lengths {
  switch (shape.kind) {
    case "nothing":
      return { shortest: Infinity, longest: 0, deepest: 0, spans: [] };
    case "empty":
      return { shortest: 0, longest: 0, deepest: 0, spans: [[0, 0]] };
    case "class":
      return { shortest: 1, longest: 1, deepest: 1, spans: [[1, 1]] };
    case "sequence": {
      const [head, tail] = [shape.head.lengths, shape.tail.lengths];
      return {
        shortest: head.shortest + tail.shortest,
        longest: head.longest + tail.longest,
        deepest: head.deepest + tail.deepest,
        spans: addSpans(head.spans, tail.spans),
      };
    }
    case "union": {
      const lengths = shape.parts.map((part) => part.lengths);
      return {
        shortest: Math.min(...lengths.map(({ shortest }) => shortest)),
        longest: Math.max(...lengths.map(({ longest }) => longest)),
        deepest: Math.max(...lengths.map(({ deepest }) => deepest)),
        spans: lengths.every(({ spans }) => spans)
          ? joinSpans(lengths.flatMap(({ spans }) => spans!))
          : undefined,
      };
    }
    case "intersection":
    case "complement":
      return { shortest: 0, longest: Infinity, deepest: Infinity, spans: undefined };
    case "repeat": {
      const { least, most } = shape;
      const { shortest, longest, deepest, spans } = shape.inner.lengths;
      return {
        shortest: shortest * least,
        longest: longest === 0 ? 0 : longest * most,
        deepest: deepest + shortest * least,
        spans: repeatSpans(spans, least, most),
      };
    }
    case "strings": {
      const { strings, low, high, depth } = shape;
      const all = new Set<number>();
      for (let i = low; i < high; i++) all.add(characters(strings[i]!, depth));
      const longest = Math.max(...all);
      return {
        shortest: Math.min(...all),
        longest,
        deepest: longest,
        spans: joinSpans([...all].map((length): Span => [length, length])),
      };
    }
  }
}

function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

/** Characters of a text from a unit on. */
function characters(text: string, from: number): number {
  let length = 0;
  for (let i = from; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) length++;
  }
  return length;
}

export const NOTHING = new Language({ kind: "nothing" });
export const EMPTY = new Language({ kind: "empty" });
const ANY = new Language({ kind: "class", set: EVERYTHING });
/** All texts. */
export const ALL = new Language({ kind: "repeat", inner: ANY, least: 0, most: Infinity });

/** Makes expressions, each once. Sharing saves work and memory; nothing depends on it. */
export class Languages {
  readonly #known = new Map<string, Language>();
  /** Numbers of the sets of strings that are in use. */
  readonly #sets = new Map<SortedStrings, number>();
  readonly #budget: Budget | undefined;

  /** @param budget counts the derivatives that are taken and the expressions that are made */
  constructor(budget?: Budget) {
    this.#budget = budget;
  }

  get size(): number {
    return this.#known.size;
  }

  clear(): void {
    this.#known.clear();
    this.#sets.clear();
  }

  #share(key: string, shape: Shape): Language {
    let found = this.#known.get(key);
    if (!found) {
      this.#budget?.spend(2 + (key.length >> 5));
      this.#known.set(key, (found = new Language(shape)));
    }
    return found;
  }

  characters(set: CharacterClass): Language {
    if (set.length === 0) return NOTHING;
    if (set.length === 4 && set[0] === 0 && set[1] === 0xd7ff && set[3] === EVERYTHING[3]) return ANY;
    return this.#share(`c${set.join()}`, { kind: "class", set });
  }

  /** Exactly this text. */
  text(text: string): Language {
    return text === "" ? EMPTY : this.strings([text]);
  }

  /** These texts; they need not be sorted, nor different. Lone surrogates count as U+FFFD. */
  strings(texts: readonly string[]): Language {
    const strings = [...new Set(texts.map(wellFormed))].sort((a, b) => (a < b ? -1 : 1));
    return this.#strings(strings, 0, strings.length, 0);
  }

  #strings(strings: SortedStrings, low: number, high: number, depth: number): Language {
    if (low >= high) return NOTHING;
    if (high - low === 1 && strings[low]!.length === depth) return EMPTY;
    let set = this.#sets.get(strings);
    if (set === undefined) this.#sets.set(strings, (set = this.#sets.size));
    return this.#share(`s${set}:${low}:${high}:${depth}`, { kind: "strings", strings, low, high, depth });
  }

  sequence(head: Language, tail: Language): Language {
    if (head === NOTHING || tail === NOTHING) return NOTHING;
    if (head === EMPTY || (head === ALL && tail === ALL)) return tail;
    if (tail === EMPTY) return head;
    if (head.shape.kind === "sequence")
      return this.sequence(head.shape.head, this.sequence(head.shape.tail, tail));
    return this.#share(`.${head.id},${tail.id}`, { kind: "sequence", head, tail });
  }

  repeat(inner: Language, least: number, most: number): Language {
    if (least > most) return NOTHING;
    if (most === 0 || inner === EMPTY) return EMPTY;
    if (inner === NOTHING) return least === 0 ? EMPTY : NOTHING;
    if (least === 1 && most === 1) return inner;
    if (inner === ANY && least === 0 && most === Infinity) return ALL;
    const { shape } = inner;
    if (shape.kind === "repeat" && shape.least <= 1 && shape.most === Infinity && most > 0 && least <= 1)
      return this.repeat(shape.inner, Math.min(shape.least, least), Infinity);
    // A text that an empty turn completes needs no turn at all.
    const from = inner.nullable ? 0 : least;
    return this.#share(`*${inner.id},${from},${most}`, { kind: "repeat", inner, least: from, most });
  }

  union(parts: readonly Language[]): Language {
    const flat = new Set<Language>();
    let set: CharacterClass = [];
    const add = (part: Language): void => {
      if (part.shape.kind === "union") part.shape.parts.forEach(add);
      else if (part.shape.kind === "class")
        set = set.length === 0 ? part.shape.set : union(set, part.shape.set);
      else if (part !== NOTHING) flat.add(part);
    };
    parts.forEach(add);
    if (set.length > 0) flat.add(this.characters(set));
    if (flat.has(ALL)) return ALL;
    const joined = flat.size > 1 ? this.#joinCounts([...flat]) : [...flat];
    const nullable = joined.some((part) => part !== EMPTY && part.nullable);
    const kept = (nullable ? joined.filter((part) => part !== EMPTY) : joined).sort((a, b) => a.id - b.id);
    if (kept.length === 0) return NOTHING;
    if (kept.length === 1) return kept[0]!;
    return this.#share(`|${kept.map(({ id }) => id).join()}`, { kind: "union", parts: kept });
  }

  /** Joins x{a,b}y and x{c,d}y, where x is one character: otherwise /.*a.{0,999}/ has a part for each a that was read. */
  #joinCounts(parts: Language[]): Language[] {
    const groups = new Map<string, { inner: Language; tail: Language; spans: [number, number][] }>();
    const out: Language[] = [];
    for (const part of parts) {
      const { shape } = part;
      const head = shape.kind === "sequence" ? shape.head : part;
      const tail = shape.kind === "sequence" ? shape.tail : EMPTY;
      const repeat =
        head.shape.kind === "repeat"
          ? head.shape
          : head.shape.kind === "class"
            ? { inner: head, least: 1, most: 1 }
            : undefined;
      if (repeat?.inner.shape.kind !== "class") out.push(part);
      else {
        const key = `${repeat.inner.id},${tail.id}`;
        const group = groups.get(key);
        if (group) group.spans.push([repeat.least, repeat.most]);
        else groups.set(key, { inner: repeat.inner, tail, spans: [[repeat.least, repeat.most]] });
      }
    }
    for (const { inner, tail, spans } of groups.values()) {
      const bare = out.indexOf(tail);
      if (bare !== -1) {
        out.splice(bare, 1);
        spans.push([0, 0]);
      }
      spans.sort((a, b) => a[0] - b[0]);
      let [least, most] = spans[0]!;
      const push = () => out.push(this.sequence(this.repeat(inner, least, most), tail));
      for (const [from, to] of spans.slice(1)) {
        if (from <= most + 1) most = Math.max(most, to);
        else {
          push();
          [least, most] = [from, to];
        }
      }
      push();
    }
    return [...new Set(out)];
  }

  intersection(parts: readonly Language[]): Language {
    const flat = new Set<Language>();
    let set: CharacterClass | undefined;
    const add = (part: Language): void => {
      if (part.shape.kind === "intersection") part.shape.parts.forEach(add);
      else if (part.shape.kind === "class") set = set ? intersection(set, part.shape.set) : part.shape.set;
      else if (part !== ALL) flat.add(part);
    };
    parts.forEach(add);
    if (set) flat.add(this.characters(set));
    if (flat.has(NOTHING)) return NOTHING;
    for (const part of flat)
      if (part.shape.kind === "complement" && flat.has(part.shape.inner)) return NOTHING;
    const kept = [...flat].sort((a, b) => a.id - b.id);
    if (kept.length === 0) return ALL;
    if (kept.length === 1) return kept[0]!;
    if (flat.has(EMPTY)) return kept.every(({ nullable }) => nullable) ? EMPTY : NOTHING;
    const listed = kept.find(({ shape }) => shape.kind === "strings");
    if (listed?.shape.kind === "strings")
      return this.#filter(
        listed.shape,
        kept.filter((part) => part !== listed),
      );
    return this.#share(`&${kept.map(({ id }) => id).join()}`, { kind: "intersection", parts: kept });
  }

  /** Those of listed texts that are in all the others: a shorter list. */
  #filter({ strings, low, high, depth }: Shape & { kind: "strings" }, others: Language[]): Language {
    const texts = strings.slice(low, high).map((text) => text.slice(depth));
    return this.strings(texts.filter((text) => others.every((other) => this.matches(other, text))));
  }

  complement(inner: Language): Language {
    if (inner === NOTHING) return ALL;
    if (inner === ALL) return NOTHING;
    if (inner.shape.kind === "complement") return inner.shape.inner;
    return this.#share(`!${inner.id}`, { kind: "complement", inner });
  }

  /** What may follow one character. */
  derivative(language: Language, point: number): Language {
    this.#budget?.spend();
    const { shape } = language;
    switch (shape.kind) {
      case "nothing":
      case "empty":
        return NOTHING;
      case "class":
        return contains(shape.set, point) ? EMPTY : NOTHING;
      case "sequence": {
        const through = this.sequence(this.derivative(shape.head, point), shape.tail);
        return shape.head.nullable ? this.union([through, this.derivative(shape.tail, point)]) : through;
      }
      case "union":
        return this.union(shape.parts.map((part) => this.derivative(part, point)));
      case "intersection":
        return this.intersection(shape.parts.map((part) => this.derivative(part, point)));
      case "complement":
        return this.complement(this.derivative(shape.inner, point));
      case "repeat": {
        if (language === ALL) return ALL;
        const rest = this.repeat(shape.inner, Math.max(0, shape.least - 1), shape.most - 1);
        return this.sequence(this.derivative(shape.inner, point), rest);
      }
      case "strings": {
        const { strings, low, high, depth } = shape;
        const character = String.fromCodePoint(point);
        const bound = (after: boolean): number => {
          let [from, to] = [low, high];
          while (from < to) {
            const middle = (from + to) >> 1;
            const part = strings[middle]!.substring(depth, depth + character.length);
            if (after ? part <= character : part < character) from = middle + 1;
            else to = middle;
          }
          return from;
        };
        return this.#strings(strings, bound(false), bound(true), depth + character.length);
      }
    }
  }

  /** What may follow, for every character. */
  transitions(language: Language): Transitions {
    if (language.transitions) return language.transitions;
    const cuts = new Set<number>([0, 0xd800, 0xe000]);
    collectCuts(language, cuts);
    const sorted = [...cuts].filter((cut) => cut <= 0x10ffff).sort((a, b) => a - b);
    const starts: number[] = [];
    const targets: Language[] = [];
    for (const cut of sorted) {
      const target = cut === 0xd800 ? NOTHING : this.derivative(language, cut);
      if (targets.at(-1) === target) continue;
      starts.push(cut);
      targets.push(target);
    }
    return (language.transitions = { starts, targets });
  }

  /** What may follow one character, from the table. */
  next(language: Language, point: number): Language {
    const { starts, targets } = this.transitions(language);
    return targets[rangeOf(starts, point)]!;
  }

  matches(language: Language, text: string): boolean {
    let at = language;
    for (const character of text) {
      at = this.derivative(at, character.codePointAt(0)!);
      if (at === NOTHING) return false;
    }
    return at.nullable;
  }

  /** Whether a language holds any text. Only intersections and complements have to be searched for one. */
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

/** Code points before which the derivative may change. */
function collectCuts(language: Language, cuts: Set<number>): void {
  const { shape } = language;
  switch (shape.kind) {
    case "class":
      for (let i = 0; i < shape.set.length; i += 2) cuts.add(shape.set[i]!).add(shape.set[i + 1]! + 1);
      break;
    case "sequence":
      collectCuts(shape.head, cuts);
      if (shape.head.nullable) collectCuts(shape.tail, cuts);
      break;
    case "union":
    case "intersection":
      for (const part of shape.parts) collectCuts(part, cuts);
      break;
    case "complement":
    case "repeat":
      collectCuts(shape.inner, cuts);
      break;
    case "strings": {
      let last = -1;
      for (let i = shape.low; i < shape.high; i++) {
        const point = shape.strings[i]!.codePointAt(shape.depth);
        if (point !== undefined && point !== last) cuts.add((last = point)).add(point + 1);
      }
      break;
    }
  }
}
