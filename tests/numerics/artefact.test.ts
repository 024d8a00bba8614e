// What the compiler made: the engine's size, its instructions and its memory.
import { readFileSync, statSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { bundledModel, engineModule, openModel } from "../../src/node/index.ts";

const MAX_BYTES = 28 * 1024;

/** Lines of each function of the text format. */
function functions(wat: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const body of wat.split(/^ \(func /m).slice(1)) {
    const lines = body.split("\n");
    found.set(lines[0]!.split(" ")[0]!, lines);
  }
  return found;
}

/** Lines of the loops that hold no other loop; a loop ends where its indentation comes back. */
function innermostLoops(body: string[]): string[][] {
  const loops: string[][] = [];
  body.forEach((line, start) => {
    const indent = /^ +(?=loop\b)/.exec(line)?.[0];
    if (indent === undefined) return;
    const rest = body.slice(start + 1);
    const lines = rest.slice(0, rest.indexOf(`${indent}end`));
    if (!lines.some((inner) => /^ +loop\b/.test(inner))) loops.push(lines);
  });
  return loops;
}

describe("engine.wasm", () => {
  let wat: string;
  beforeAll(() => {
    wat = readFileSync("build/engine.wat", "utf8");
  });

  test("is 28 KB at most", () => {
    expect(statSync("build/engine.wasm").size).toBeLessThanOrEqual(MAX_BYTES);
  });

  test("imports nothing but abort, and trades in numbers only", async () => {
    const module = await engineModule();
    for (const { module: from, name } of WebAssembly.Module.imports(module))
      expect(`${from}.${name}`).toBe("env.abort");
    const kinds = new Set(WebAssembly.Module.exports(module).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(["function", "memory"]);
    expect(wat).not.toMatch(/^ \(func .*\bexternref\b/m);
  });

  test("the matrix kernels' inner loops multiply int16 pairs and call nothing", () => {
    const kernels = [...functions(wat)].filter(([name]) => name.startsWith("$assembly/kernels/dot8/"));
    const hot = kernels
      .flatMap(([, body]) => innermostLoops(body))
      .filter((loop) => loop.some((line) => line.includes("i32x4.dot_i16x8_s")));
    expect(hot.length).toBeGreaterThanOrEqual(1);
    for (const loop of hot) expect(loop.filter((line) => /\bcall/.test(line))).toEqual([]);
    const row = functions(wat).get("$assembly/kernels/dot8/dot16x1")!.join("\n");
    expect(row).toContain("i32x4.dot_i16x8_s");
    expect(row).not.toMatch(/\bcall/);
  });

  test("uses baseline SIMD only", () => {
    expect(wat).not.toMatch(/relaxed/);
  });

  test("cannot grow its memory", () => {
    expect(wat).not.toMatch(/memory\.grow/);
  });
});

test("linear memory stays as it was after the load, and the steps of a token are constant", async () => {
  const model = await openModel(bundledModel(), { promptLookup: 0 });
  const bytes = model.memoryBytes;
  const callsFor = async (maxTokens: number) => {
    const before = model.calls;
    await model.complete([10, 20, 30], {
      maxTokens,
      temperature: 0.8,
      topK: 40,
      topP: 0.9,
      seed: 1,
      ignoreEos: true,
    });
    return model.calls - before;
  };
  const [ten, twenty, hundred] = [await callsFor(10), await callsFor(20), await callsFor(100)];
  expect(twenty - ten).toBe(10 * (ten / 10));
  expect(hundred).toBe(10 * ten);
  await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      model.complete(
        Array.from({ length: 40 * i + 1 }, (_, t) => t),
        { maxTokens: 30, seed: i },
      ),
    ),
  );
  await model.score(
    Array.from({ length: 512 }, (_, t) => t * 90),
    { topLogprobs: 5 },
  );
  expect(model.memoryBytes).toBe(bytes);
});
