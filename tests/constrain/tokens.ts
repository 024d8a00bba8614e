import { readFileSync } from "node:fs";
import type { Constraint, Matcher } from "../../src/constrain/index.ts";
import { parseTokenizerTable, type Tokenizer } from "../../src/text/tokenizer.ts";

const TABLE = new URL("../../models/fable/tokenizer.bin", import.meta.url);

/** GPT-2's tokenizer, as the bundled model has it. */
export const tokenizer: Tokenizer = parseTokenizerTable(readFileSync(TABLE));
export const END = tokenizer.specialTokens.get("<|endoftext|>")!;

export function allows(mask: Uint32Array, id: number): boolean {
  return ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
}

export function allowed(mask: Uint32Array): number[] {
  const ids: number[] = [];
  for (let word = 0; word < mask.length; word++)
    for (let bits = mask[word]!; bits !== 0; bits &= bits - 1)
      ids.push(32 * word + 31 - Math.clz32(bits & -bits));
  return ids;
}

/** Writes a text; false if some token of it may not come. Mask and `accept` must agree on every one. */
export function write(matcher: Matcher, text: string, tokens = tokenizer): boolean {
  for (const id of tokens.encode(text, { addSpecialTokens: false })) {
    const may = allows(matcher.mask(), id);
    if (matcher.accept(id) !== may) throw new Error(`mask and accept do not agree on token ${id} in ${text}`);
    if (!may) return false;
  }
  return true;
}

/** Whether a text may be written from its beginning to its end. */
export function accepts(constraint: Constraint, text: string, tokens = tokenizer): boolean {
  const matcher = constraint.matcher(tokens);
  return write(matcher, text, tokens) && matcher.mayEnd;
}

/** A stream of numbers from 0 to before 1 (Marsaglia's xorshift). */
export function random(seed: number): () => number {
  let state = Math.imul(seed, 2654435761) + 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Tokens that bring a JSON text to its end. */
const CLOSING = new Set(['"', "}", "]", '"}', '"]']);

/**
 * A text of tokens drawn from the allowed ones: evenly at first, and those that close something the more often the
 * longer it gets. Undefined if it has not ended after so many tokens.
 */
export function wander(
  constraint: Constraint,
  next: () => number,
  tokens = tokenizer,
  most = 1000,
): string | undefined {
  const matcher = constraint.matcher(tokens);
  const end = tokens.specialTokens.get(tokens.namedTokens.get("eos_token")!)!;
  const ids: number[] = [];
  while (ids.length < most) {
    const may = allowed(matcher.mask());
    if (may.length === 0) throw new Error(`a dead end behind ${tokens.decode(ids)}`);
    if (may.includes(end) !== matcher.mayEnd) throw new Error("mask and mayEnd do not agree");
    const closing = next() < ids.length / 60 ? may.filter((id) => CLOSING.has(tokens.decode([id]))) : [];
    const from = closing.length > 0 ? closing : may;
    const id = matcher.mayEnd && next() < 0.5 ? end : from[Math.floor(next() * from.length)]!;
    if (!matcher.accept(id)) throw new Error(`token ${id} is in the mask, but not accepted`);
    if (id === end) return tokens.decode(ids);
    ids.push(id);
  }
  return undefined;
}
