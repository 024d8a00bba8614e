import { expect, test } from "vitest";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { readGgufTokenizer } from "../../src/convert/tokenizers/gguf.ts";
import { proveTokenizer } from "../../src/convert/tokenizers/prove.ts";
import {
  amendTokenizer,
  namedTokens,
  type TokenizerConfig,
} from "../../src/convert/tokenizers/tokenizer-config.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { uniform } from "../reference/random.ts";
import { ggufVocabulary } from "../text/gguf-vocabularies.ts";

type Json = Record<string, unknown> | unknown[];

const ODD = [
  null,
  -1,
  1e9,
  0.5,
  "",
  "x",
  "\u2581",
  [],
  {},
  true,
  [[]],
  { type: "Sequence" },
  { type: "ByteLevel" },
];

/** Every place within a value: its holder and its key. The vocabulary and its merges count as a few. */
function places(value: unknown, found: [Json, string][] = []): [Json, string][] {
  if (typeof value !== "object" || value === null) return found;
  const keys = Object.keys(value);
  for (const key of keys.length > 40 ? keys.filter((_, i) => i % 100 === 7) : keys) {
    found.push([value as Json, key]);
    places((value as Record<string, unknown>)[key], found);
  }
  return found;
}

test.each(["bytes", "sentencepiece"] as const)(
  "mutated tokenizer files are read or refused, never worse: %s",
  async (name) => {
    const { vocabulary } = ggufVocabulary(name);
    const [first, second, third] = vocabulary.tokens;
    const original = JSON.stringify([
      readGgufTokenizer(vocabulary).json,
      {
        config: {
          bos_token: second,
          eos_token: { content: third },
          add_bos_token: true,
          add_prefix_space: false,
          added_tokens_decoder: { "1": { content: second } },
          additional_special_tokens: [second],
        },
        specials: { pad_token: first },
        added: { word: vocabulary.tokens.length },
      } satisfies TokenizerConfig,
    ]);
    const draw = uniform(17);
    const one = <T>(items: readonly T[]) => items[Math.floor(draw() * items.length)]!;
    let [read, refused] = [0, 0];
    for (let round = 0; round < 1200; round++) {
      const copy = JSON.parse(original);
      for (let changes = draw() < 0.7 ? 1 : 3; changes > 0; changes--) {
        // The two documents themselves, and the three of the second, are objects: that is checked where they are read.
        const [holder, key] = one(places(copy).filter(([held]) => held !== copy && held !== copy[1]));
        const object = holder as Record<string, unknown>;
        if (draw() < 0.3) delete object[key];
        else {
          const others = places(copy).map(([held, at]) => (held as typeof object)[at]);
          object[key] = structuredClone(draw() < 0.5 ? one(ODD) : one(others));
        }
      }
      try {
        const [json, files] = copy;
        const names = namedTokens(files);
        const amended = amendTokenizer(json, files, names, 800);
        const description = describeTokenizerJson(amended, names);
        const tokenizer = parseTokenizerTable(compileTokenizer(description));
        tokenizer.decode(tokenizer.encode("Hello, world! 123", { allowSpecial: true }));
        if (round % 40 === 0) await proveTokenizer(tokenizer, description, amended, "tokenizer.json");
        read++;
      } catch (error) {
        expect(error).toMatchObject({
          name: "EdgeformerError",
          code: expect.stringMatching(/^(invalid|unsupported)_model$/),
          message: expect.not.stringContaining("\n"),
        });
        expect((error as Error).message.length).toBeLessThan(600);
        refused++;
      }
    }
    expect(read).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
  },
);
