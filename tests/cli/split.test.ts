import { cp, mkdir, mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
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

test("an empty directory is taken, and kept where the split fails", async () => {
  const out = join(directory, "chain");
  await mkdir(out);
  const broken = join(directory, "broken");
  await cp(bundledModel(), broken, { recursive: true });
  await writeFile(join(broken, "tokenizer.bin"), Buffer.alloc(20_000_000));
  const { code, stderr } = await cli(["split", broken, "--out", out]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("tokenizer.bin: longer than the")]);
  expect(await readdir(directory)).toEqual(["broken", "chain"]);
  expect((await cli(["split", bundledModel(), "--out", out])).code).toBe(0);
  expect(await readdir(out)).toEqual(["front", "package.json", "stage-1", "start.mjs"]);
});

test("of two splits to one place one wins, and the other removes nothing of it", async () => {
  const out = join(directory, "chain");
  const split = (isolates: string) =>
    cli(["split", bundledModel(), "--out", out, "--isolates", isolates, "--context", "64"]);
  const results = await Promise.all([split("1"), split("2")]);
  expect(results.map(({ code }) => code).sort()).toEqual([0, 2]);
  expect(results.find(({ code }) => code === 2)!.stderr).toMatch(
    /was written by somebody else|is not empty|is not a model directory/,
  );
  const stages = results[0]!.code === 0 ? 1 : 2;
  expect((await readdir(out)).filter((name) => name.startsWith("stage-"))).toHaveLength(stages);
  expect(await readdir(directory)).toEqual(["chain"]);
  for (let stage = 1; stage <= stages; stage++)
    expect((await cli(["inspect", join(out, `stage-${stage}`, "model")])).code).toBe(0);
});

test("what a killed split left is removed by the next one", async () => {
  const left = join(directory, `.chain.${hostname().replace(/[^\w.-]/g, "_")}-4194305-0123abcd.partial`);
  await mkdir(join(left, "stage-1", "model"), { recursive: true });
  await mkdir(join(left, "front"));
  await writeFile(join(left, "stage-1", "model", "weights.00.bin"), "half");
  await writeFile(join(left, "front", "worker.js"), "half");
  const args = ["split", bundledModel(), "--out", join(directory, "chain")];
  await writeFile(join(left, "front", "mine"), "");
  expect((await cli(args)).code).toBe(0);
  expect((await readdir(left, { recursive: true })).sort()).toEqual(["front", "front/mine"]);
  await rm(join(left, "front", "mine"));
  await rm(join(directory, "chain"), { recursive: true });
  expect((await cli(args)).code).toBe(0);
  expect(await readdir(directory)).toEqual(["chain"]);
});
