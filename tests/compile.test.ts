import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { compileEngine } from "../src/index.ts";

const ENGINE = new URL("../build/engine.wasm", import.meta.url);

describe("compileEngine", () => {
  test("takes bytes, an answer, or the promise of one", async () => {
    const bytes = await readFile(ENGINE);
    for (const given of [bytes, new Response(bytes), Promise.resolve(new Response(bytes))])
      expect(await compileEngine(given)).toBeInstanceOf(WebAssembly.Module);
  });

  test("refuses a page that came instead, and an answer that is none", async () => {
    await expect(compileEngine(new Response("<!doctype html>"))).rejects.toMatchObject({
      code: "invalid_option",
      param: "engine",
      message: expect.stringContaining("15 bytes are not engine.wasm"),
    });
    await expect(compileEngine(new Response("nothing here", { status: 404 }))).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("404"),
    });
  });

  // V8 has no WebAssembly SIMD without SSE 4.1; other processors have no such switch.
  test.runIf(process.arch === "x64")("tells a runtime without SIMD so, in a sentence", async () => {
    const program = `
      const { openModel, bundledModel } = await import(${JSON.stringify(new URL("../dist/src/node/index.js", import.meta.url).href)});
      await openModel(bundledModel()).then(() => "loaded", (error) => console.log(error.name, error.code, error.message));`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--no-enable-sse4-1",
      "--input-type=module",
      "--eval",
      program,
    ]);
    expect(stdout).toMatch(
      /^EdgeformerError unsupported_runtime this runtime has no WebAssembly SIMD; .+\n$/,
    );
  });
});
