import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseCheckpointConfig } from "../../src/convert/config.ts";
import { mergeLora } from "../../src/convert/lora.ts";
import { openCheckpoint } from "../../src/convert/open.ts";
import { referenceLogits, referenceStates } from "../../src/convert/reference.ts";
import { localSource, readJson } from "../../src/convert/source.ts";
import { openWeights } from "../../src/convert/weights.ts";

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");

const names = readdirSync(VARIANTS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

describe.each(names)("%s", (name) => {
  const directory = join(VARIANTS, name);
  const expected = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8")) as {
    ids: number[];
    logits: string;
  };
  const bytes = Uint8Array.from(Buffer.from(expected.logits, "base64"));
  const logits = new Float32Array(bytes.buffer);

  test("the float32 reference gives the logits of transformers", async () => {
    const source = (await localSource(directory))!;
    const { architecture, config } = parseCheckpointConfig(await readJson(source, "config.json"));
    let { checkpoint } = await openCheckpoint(source);
    const adapter = await localSource(join(directory, "adapter"));
    if (adapter) ({ checkpoint } = await mergeLora(checkpoint, adapter, architecture));
    const weights = await openWeights(checkpoint, architecture, config);
    const found = await referenceLogits(weights, await referenceStates(weights, [expected.ids]));
    await weights.close();
    expect(found.length).toBe(logits.length);
    const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i]!)), 0);
    expect(worst / largest).toBeLessThan(5e-5);
  });
});
