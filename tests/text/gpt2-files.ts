import ranks from "gpt-tokenizer/bpeRanks/r50k_base";
import { BYTE_ALPHABET } from "../../src/convert/tokenizers/description.ts";

const encoder = new TextEncoder();

/** GPT-2's vocabulary as vocab.json and merges.txt spell it, worked out from the ranks in gpt-tokenizer. */
export interface Gpt2Files {
  vocab: Record<string, number>;
  /** "left right" in order of priority. */
  merges: string[];
}

function work(): Gpt2Files {
  const spellings = Array.from(ranks, (spelling) =>
    Array.from(
      typeof spelling === "string" ? encoder.encode(spelling) : (spelling ?? []),
      (byte) => BYTE_ALPHABET[byte],
    ).join(""),
  );
  const idOf = new Map(spellings.map((spelling, id) => [spelling, id]));
  // A token's merge is what the merges learnt before it leave of its bytes.
  const merges = spellings.slice(256).map((spelling, i) => {
    const parts = [...spelling];
    while (parts.length > 2) {
      let [best, place] = [256 + i, -1];
      for (let k = 0; k + 1 < parts.length; k++) {
        const merged = idOf.get(parts[k]! + parts[k + 1]!) ?? best;
        if (merged < best) [best, place] = [merged, k];
      }
      if (place === -1) throw new Error(`token ${256 + i} is no merge of two others`);
      parts.splice(place, 2, parts[place]! + parts[place + 1]!);
    }
    return parts.join(" ");
  });
  return { vocab: { ...Object.fromEntries(idOf), "<|endoftext|>": spellings.length }, merges };
}

let files: Gpt2Files | undefined;

export function gpt2Files(): Gpt2Files {
  files ??= work();
  return files;
}

/** Fields of an entry of `added_tokens` beside its id and content. */
type AddedFields = Partial<Record<"special" | "lstrip" | "rstrip" | "single_word" | "normalized", boolean>>;

/** GPT-2's tokenizer.json, with added tokens from id 50257 on and other fields replaced. */
export function gpt2Json(
  added: ({ content: string; id?: number } & AddedFields)[] = [],
  fields: Record<string, unknown> = {},
): Record<string, unknown> {
  const { vocab, merges } = gpt2Files();
  return {
    added_tokens: [{ content: "<|endoftext|>", id: 50256 }, ...added].map((token, i) => ({
      id: 50256 + i,
      special: true,
      lstrip: false,
      rstrip: false,
      single_word: false,
      normalized: false,
      ...token,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
    ...fields,
  };
}
