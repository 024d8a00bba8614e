import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { conversion, loading, mutateDirectory, type Subject } from "../convert/checkpoint-mutations.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const temporary = temporaryDirectory();
const COUNT = Number(process.env.MUTATIONS ?? 20_000);

const before = process.memoryUsage.rss();
let [most, cases] = [0, 0];
afterAll(() => console.log(`${cases} cases, at most ${Math.round(most / 1e6)} MB more than at the start`));

async function check(subject: Subject, share: number): Promise<void> {
  const batch = Math.min(Math.ceil(COUNT * share), 250);
  const count = Math.ceil((COUNT * share) / batch) * batch;
  let refused = 0;
  for (let done = 0; done < count; done += batch) {
    const result = await mutateDirectory(subject, join(temporary, "work"), done + 1, batch);
    refused += result.refused;
    cases += batch;
    most = Math.max(most, process.memoryUsage.rss() - before);
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
    ["a Llama", 0.15, conversion(join(adapters, "llama"), ["config.json", "model.safetensors"])],
    ["a GPT-2", 0.1, conversion(join(adapters, "gpt2"), ["config.json", "model.safetensors"])],
    ["a ZIP pickle", 0.15, conversion(variant("gpt2-zip-pickle"), ["pytorch_model.bin"])],
    ["a legacy pickle", 0.15, conversion(variant("gpt2-legacy-pickle"), ["pytorch_model.bin"])],
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

  test("a model directory", async () => {
    const out = join(temporary, "model");
    await convert({ source: join(adapters, "llama"), out });
    await check(loading(out), 0.2);
  });
});
