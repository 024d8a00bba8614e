import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { conversion, loading, mutateDirectory, type Subject } from "../convert/checkpoint-mutations.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { sentencePieceFile } from "../convert/sentencepiece-file.ts";
import { ggufVocabulary } from "../text/gguf-vocabularies.ts";
import { SPECIALS, writeChatmlCheckpoint } from "../worker/chatml-checkpoint.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const temporary = temporaryDirectory();
const COUNT = Number(process.env.MUTATIONS ?? 16_000);

/** The most memory that this process ever had. */
const peak = () => process.resourceUsage().maxRSS * 1024;
const before = process.memoryUsage.rss();
let [most, cases, slowest] = [0, 0, 0];
afterAll(() =>
  console.log(
    `${cases} cases, at most ${slowest.toFixed(2)} s and ${Math.round(most / 1e6)} MB more than at the start`,
  ),
);

async function check(subject: Subject, share: number): Promise<void> {
  const batch = Math.min(Math.ceil(COUNT * share), 250);
  const count = Math.ceil((COUNT * share) / batch) * batch;
  let refused = 0;
  for (let done = 0; done < count; done += batch) {
    const result = await mutateDirectory(subject, join(temporary, "work"), done + 1, batch);
    refused += result.refused;
    slowest = Math.max(slowest, result.slowest);
    cases += batch;
    most = Math.max(most, peak() - before);
    expect(most).toBeLessThan(300e6);
  }
  // Most mutations hurt, and not all of them.
  expect(refused).toBeGreaterThan(count / 5);
  expect(refused).toBeLessThan(count);
}

describe("what somebody has meddled with is read or refused in one line, in 2 s and 300 MB, and nothing else is written", () => {
  const variant = (name: string) => join(FIXTURES, "variants", name);
  const adapters = join(FIXTURES, "adapters");
  test.each<[string, number, Subject]>([
    ["a Llama", 0.1, conversion(join(adapters, "llama"), ["config.json", "model.safetensors"])],
    ["a GPT-2", 0.1, conversion(join(adapters, "gpt2"), ["config.json", "model.safetensors"])],
    ["a ZIP pickle", 0.1, conversion(variant("gpt2-zip-pickle"), ["pytorch_model.bin"])],
    ["a legacy pickle", 0.1, conversion(variant("gpt2-legacy-pickle"), ["pytorch_model.bin"])],
    ["an index", 0.1, conversion(variant("gpt2-sharded"), ["model.safetensors.index.json"])],
    ...["dora", "patterns", "tokens"].map((name): [string, number, Subject] => [
      `an adapter (${name})`,
      0.05,
      conversion(
        join(adapters, "gpt2"),
        [`${name}/adapter_config.json`, `${name}/adapter_model.safetensors`],
        name,
      ),
    ]),
  ])("%s", async (_, share, subject) => {
    await check(subject, share);
  });

  test.each([false, true])("a model directory (with hashes that fit: %s)", async (sealed) => {
    const [source, out] = [join(temporary, "chatml"), join(temporary, `model ${sealed}`)];
    writeChatmlCheckpoint(source);
    await convert({ source, out });
    await check(loading(out, { sealed }), 0.1);
  });

  test.each<[string, (directory: string) => void, string[]]>([
    ["tokenizer.json", () => {}, ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]],
    [
      "vocab.json",
      (directory) => {
        const { model, added_tokens } = JSON.parse(readFileSync(join(directory, "tokenizer.json"), "utf8"));
        const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
        write("vocab.json", JSON.stringify({ ...model.vocab, ...SPECIALS }));
        write("merges.txt", `#version: 0.2\n${model.merges.join("\n")}\n`);
        write("added_tokens.json", JSON.stringify({ [added_tokens[1].content]: added_tokens[1].id }));
        write("special_tokens_map.json", JSON.stringify({ eos_token: added_tokens[2] }));
        write("tokenizer_config.json", JSON.stringify({ tokenizer_class: "GPT2Tokenizer" }));
      },
      ["vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"],
    ],
    [
      "tokenizer.model",
      (directory) => {
        const { vocabulary } = ggufVocabulary("sentencepiece");
        const file = sentencePieceFile({ ...vocabulary, tokens: vocabulary.tokens.slice(0, 500) });
        writeFileSync(join(directory, "tokenizer.model"), file);
        writeFileSync(join(directory, "tokenizer_config.json"), JSON.stringify({ legacy: false }));
      },
      ["tokenizer.model", "tokenizer_config.json"],
    ],
  ])("a tokenizer: %s", async (name, write, files) => {
    const source = join(temporary, name);
    writeChatmlCheckpoint(source);
    write(source);
    if (name !== "tokenizer.json") rmSync(join(source, "tokenizer.json"));
    // Each that is accepted is held against the reference: 0.1 s.
    await check(conversion(source, files), 0.01);
  });
});
