import { compileEngine, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

const fileOf = (name) => Bun.file(new URL(import.meta.resolve(`edgeformer/${name}`)));
const model = await loadModel({
  module: await compileEngine(fileOf("engine.wasm").arrayBuffer()),
  source: { name: "fable", open: async (file) => fileOf(`models/fable/${file}`).stream() },
});
console.log(JSON.stringify(await conformance(model)));
