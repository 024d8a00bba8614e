// GPT-2's vocabulary as vocab.json and merges.txt spell it, worked out from the ranks of r50k_base.
import { createTokenizer } from "../../text/r50k.ts";

/** Ids, <|endoftext|> (the last one) included. */
export const VOCABULARY = 50257;
/** Every id from 256 to the last but one is the merge of two others. */
export const MERGES = VOCABULARY - 257;

/** Printable stand-ins for the 256 bytes (`bytes_to_unicode` of GPT-2's encoder.py). */
function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

interface Vocabulary {
  spellings: string[];
  ids: Map<string, number>;
}

let loaded: Vocabulary | undefined;

function vocabulary(): Vocabulary {
  if (loaded === undefined) {
    const alphabet = byteAlphabet();
    const tokenizer = createTokenizer({ type: "r50k_base", added_tokens: {} });
    const spellings = Array.from({ length: VOCABULARY }, (_, id) =>
      Array.from(tokenizer?.bytes(id) ?? [], (byte) => alphabet[byte]).join(""),
    );
    loaded = { spellings, ids: new Map(spellings.map((spelling, id) => [spelling, id])) };
  }
  return loaded;
}

/** A token as vocab.json spells it: each byte a printable character. */
export function gpt2Spelling(id: number): string {
  return vocabulary().spellings[id] as string;
}

/**
 * Line `index` of merges.txt, "left right": the two tokens that are left when the spelling of token
 * 256 + index is merged by all earlier lines.
 */
export function gpt2Merge(index: number): string {
  const { spellings, ids } = vocabulary();
  const limit = 256 + index;
  const parts = [...(spellings[limit] as string)];
  while (parts.length > 2) {
    let [best, at] = [limit, -1];
    for (let i = 0; i + 1 < parts.length; i++) {
      const id = ids.get(`${parts[i]}${parts[i + 1]}`) ?? limit;
      if (id < best) [best, at] = [id, i];
    }
    if (at < 0) break;
    parts.splice(at, 2, `${parts[at]}${parts[at + 1]}`);
  }
  return parts.join(" ");
}
