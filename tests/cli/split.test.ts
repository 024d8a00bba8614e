import { cp, mkdir, mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { bundledModel } from "../../src/node/index.ts";
import { cli } from "./run.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgeformer-split-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("split writes a model directory for each stage, and inspect draws the plan", async () => {
  const out = join(directory, "chain");
  const { code, stdout, stderr } = await cli([
    ...["split", bundledModel(), "--out", out, "--isolates", "2", "--context", "256", "--sequences", "4"],
  ]);
  expect([code, stdout]).toEqual([0, ""]);
  expect(stderr).toContain("2 stages at a context of 256 tokens, 4 sequences, 64 KV blocks");
  for (const stage of [1, 2]) {
    expect(await readdir(join(out, `stage-${stage}`, "model"))).toContain("model.json");
    const shown = await cli(["inspect", join(out, `stage-${stage}`, "model")]);
    expect(shown.stdout).toMatch(/^stage 1 +embedding, head +█+░*·+ +\d+\.\d MB: weights 10\.0 MB/m);
    expect(shown.stdout).toMatch(/^stage 2 +layers 0 to 3 /m);
  }
  const { chain } = JSON.parse((await cli(["inspect", join(out, "stage-1", "model"), "--json"])).stdout);
  expect(chain).toMatchObject({ cuts: [0], context: 256, max_sequences: 4, kv_blocks: 64 });
  expect(chain.stages).toHaveLength(2);
});

test("auto takes as few as can be", async () => {
  const { code, stderr } = await cli([
    ...["split", bundledModel(), "--isolates", "auto", "--out", join(directory, "chain")],
  ]);
  expect(code).toBe(0);
  expect(stderr).toContain("1 stage at a context of 512 tokens");
});

test.each([
  [["--isolates", "many"], 2, "It must be a number or auto"],
  [["--isolates", "7"], 2, "a model of 4 layers can be cut into 5 stages at most"],
  [["--context", "5000"], 2, "context must be an integer from 1 to 512"],
])("%j is refused, and nothing is written", async (flags, expected, message) => {
  const out = join(directory, "chain");
  const { code, stderr } = await cli(["split", bundledModel(), "--out", out, ...flags]);
  expect([code, stderr]).toEqual([expected, expect.stringContaining(message)]);
  expect(await readdir(directory)).toEqual([]);
});

test("a directory with something in it is left alone", async () => {
  await writeFile(join(directory, "mine"), "");
  const { code, stderr } = await cli(["split", bundledModel(), "--out", directory]);
  expect([code, stderr]).toEqual([2, expect.stringContaining("is not empty")]);
  expect((await cli(["split", bundledModel(), "--out", join(directory, "mine")])).stderr).toContain(
    "is a file",
  );
  expect(await readdir(directory)).toEqual(["mine"]);
});

test("a damaged model is found out, and nothing is left", async () => {
  const broken = join(directory, "broken");
  await mkdir(broken);
  await cp(bundledModel(), broken, { recursive: true });
  const file = await open(join(broken, "weights.00.bin"), "r+");
  await file.write(Uint8Array.of(1, 2, 3), 0, 3, 5_000_000);
  await file.close();
  const { code, stderr } = await cli(["split", broken, "--out", join(directory, "chain")]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("weights.00.bin: the SHA-256 is not the one")]);
  expect(await readdir(directory)).toEqual(["broken"]);
});
