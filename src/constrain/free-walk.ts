// What tokens do inside a JSON string that may hold anything: found out once for each vocabulary.

import { ALL, Languages } from "./language/language.ts";
import { type TextState, TextStates } from "./language/text-state.ts";
import type { Vocabulary } from "./vocabulary.ts";

const QUOTE = 0x22;

/** A quotation mark in a token that ends a string. */
export interface FreeExit {
  /** The node of the quotation mark. */
  node: number;
  /** Characters of the string in front of it. */
  characters: number;
  /** What the token has of the string, a character for each byte. */
  written: string;
  /** Whether a token that goes on from here may hold a further string. */
  opens: boolean;
}

export interface FreeWalk {
  /** Tokens that the string may go on with, without ending it. */
  mask: Uint32Array;
  /** Nodes of these tokens, those with the most characters first. */
  nodes: Uint32Array;
  /** How many characters each has, in the same order. */
  lengths: Uint16Array;
  /** In the order of their nodes. */
  exits: readonly FreeExit[];
}

const known = new WeakMap<Vocabulary, FreeWalk>();

export function freeWalk(vocabulary: Vocabulary): FreeWalk {
  let walk = known.get(vocabulary);
  if (!walk) known.set(vocabulary, (walk = build(vocabulary)));
  return walk;
}

function build(vocabulary: Vocabulary): FreeWalk {
  const { bytes, ends, tokens } = vocabulary;
  const mask = vocabulary.emptyMask();
  const nodes: { characters: number; node: number }[] = [];
  const exits: FreeExit[] = [];
  const path: number[] = [];
  const visit = (from: number, to: number, at: TextState, characters: number): void => {
    for (let node = from; node < to; node = ends[node]!) {
      const byte = bytes[node]!;
      if (byte === QUOTE && at.atBoundary) {
        exits.push({
          node,
          characters,
          written: String.fromCharCode(...path),
          opens: opensString(vocabulary, node),
        });
        continue;
      }
      const next = at.step(byte);
      if (!next) continue;
      const length = characters + (at.atBoundary ? 1 : 0);
      vocabulary.mark(mask, node);
      if (tokens[node] !== -1) nodes.push({ characters: length, node });
      path.push(byte);
      visit(node + 1, ends[node]!, next, length);
      path.pop();
    }
  };
  const states = new TextStates(new Languages(), true);
  visit(0, bytes.length, states.begin([{ language: ALL, least: 0, most: Infinity, origin: 0 }])!, 0);
  nodes.sort((a, b) => b.characters - a.characters);
  return {
    mask,
    nodes: Uint32Array.from(nodes, ({ node }) => node),
    lengths: Uint16Array.from(nodes, ({ characters }) => characters),
    exits,
  };
}

/** Whether two quotation marks follow each other somewhere below a node. */
export function opensString({ bytes, ends }: Vocabulary, node: number): boolean {
  const below = (from: number, to: number, seen: number): boolean => {
    for (let at = from; at < to; at = ends[at]!) {
      const count = seen + (bytes[at] === QUOTE ? 1 : 0);
      if (count === 2 || below(at + 1, ends[at]!, count)) return true;
    }
    return false;
  };
  return below(node + 1, ends[node]!, 0);
}
