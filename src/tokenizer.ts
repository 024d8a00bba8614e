import bpeRanks from "gpt-tokenizer/bpeRanks/r50k_base";
import { encode } from "gpt-tokenizer/encoding/r50k_base";
import type { TokenizerInfo } from "./manifest.ts";

export interface Tokenizer {
  /** Token ids of a text. Everything in it is text: the spelling of a special token has no power. */
  encode(text: string): number[];
  /** Text of token ids; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string;
  /** Bytes of one token, which may end in the middle of a character; empty for an id without a spelling. */
  bytes(id: number): Uint8Array;
}

const END_OF_TEXT = 50256;
const NOTHING_SPECIAL = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
const encoder = new TextEncoder();

/** GPT-2's byte-level BPE (r50k_base), with a checkpoint's added tokens on top. */
class R50kTokenizer implements Tokenizer {
  private readonly special: Map<number, Uint8Array>;

  constructor(added: Record<string, number>) {
    this.special = new Map(Object.entries(added).map(([token, id]) => [id, encoder.encode(token)]));
    if (!this.special.has(END_OF_TEXT)) this.special.set(END_OF_TEXT, encoder.encode("<|endoftext|>"));
  }

  encode(text: string): number[] {
    // A lone surrogate has no UTF-8: it becomes U+FFFD here, as it would on the wire.
    const wellFormed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(text));
    return encode(wellFormed, NOTHING_SPECIAL);
  }

  decode(ids: Iterable<number>): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for (const id of ids) text += decoder.decode(this.bytes(id), { stream: true });
    return text + decoder.decode();
  }

  bytes(id: number): Uint8Array {
    const special = this.special.get(id);
    if (special !== undefined) return special;
    const spelling = bpeRanks[id];
    if (spelling === undefined) return new Uint8Array(0);
    return typeof spelling === "string" ? encoder.encode(spelling) : Uint8Array.from(spelling);
  }
}

/** The tokenizer that a manifest names; undefined for a model that only speaks token ids. */
export function createTokenizer(info: TokenizerInfo): Tokenizer | undefined {
  return info.type === "r50k_base" ? new R50kTokenizer(info.added_tokens) : undefined;
}
