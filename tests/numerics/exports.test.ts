import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { engineModule } from "../../src/node/index.ts";

/** Name → number of parameters and whether a result comes back, as the text of the compiled module says. */
function compiledFunctions(wat: string): Map<string, { parameters: number; result: boolean }> {
  const signatures = new Map<string, { parameters: number; result: boolean }>();
  for (const [, name, rest] of wat.matchAll(/^ \(func (\$\S+) ?(.*)$/gm)) {
    const parameters = [...rest!.matchAll(/\(param ([^)]*)\)/g)].flatMap(([, one]) =>
      one!.split(" ").filter((word) => !word.startsWith("$")),
    );
    signatures.set(name!, { parameters: parameters.length, result: rest!.includes("(result") });
  }
  return new Map(
    [...wat.matchAll(/^ \(export "(\w+)" \(func (\$\S+)\)\)$/gm)].map(([, name, target]) => [
      name!,
      signatures.get(target!)!,
    ]),
  );
}

/** The same, as src/engine/exports.ts declares it. */
function declaredFunctions(source: string): Map<string, { parameters: number; result: boolean }> {
  const body = source.slice(source.indexOf("export interface EngineExports"));
  return new Map(
    [...body.matchAll(/^ {2}(\w+): Call<\s*\[([^\]]*)\],?\s*(number)?\s*>;$/gm)].map(
      ([, name, parameters, result]) => [
        name!,
        { parameters: [...parameters!.matchAll(/\w+: number/g)].length, result: result !== undefined },
      ],
    ),
  );
}

describe("the engine's exports", () => {
  const compiled = compiledFunctions(readFileSync("build/engine.wat", "utf8"));
  const declared = declaredFunctions(readFileSync("src/engine/exports.ts", "utf8"));

  test("are declared with the parameters and results that they have", () => {
    expect(declared.size).toBeGreaterThan(10);
    for (const [name, signature] of declared) expect([name, compiled.get(name)]).toEqual([name, signature]);
  });

  test("that are not declared are the kernels, which only tests call", async () => {
    const names = WebAssembly.Module.exports(await engineModule()).map(({ name }) => name);
    expect(names.filter((name) => name !== "memory" && !declared.has(name)).sort()).toEqual([
      "addValues",
      "dot16x1",
      "dot16x2",
      "dot8x4",
      "expand16",
      "expandSteps16",
      "scoreBlock",
    ]);
  });
});
