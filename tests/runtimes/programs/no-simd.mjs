// The three ways to a model, each of which meets the engine first: what does it say without SIMD?
import { readFile } from "node:fs/promises";
import { compileEngine, loadModel } from "edgeformer";
import { bundledModel, directorySource, openModel } from "edgeformer/node";

async function told(work) {
  try {
    await work();
    console.log("loaded");
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }
}

const bytes = await readFile(new URL(import.meta.resolve("edgeformer/engine.wasm")));
await told(() => openModel(bundledModel()));
await told(() => compileEngine(bytes));
// A module compiled elsewhere; here its place is taken by one without an instruction.
const empty = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
await told(async () => {
  const module = await compileEngine(bytes).catch(() => empty);
  await loadModel({ module, source: directorySource(bundledModel()) });
});
