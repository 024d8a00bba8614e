import { compileEngine, fetchSource, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

const model = await loadModel({
  module: await compileEngine(fetch(import.meta.resolve("edgeformer/engine.wasm"))),
  source: fetchSource(new URL(".", import.meta.resolve("edgeformer/models/fable/model.json"))),
});
console.log(JSON.stringify(await conformance(model)));
