import { compileEngine, fetchSource, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

const module = await compileEngine(fetch(import.meta.resolve("edgeformer/engine.wasm")));
const open = (name) => {
  const manifest = import.meta.resolve(`edgeformer/models/${name}/model.json`);
  return loadModel({ module, source: fetchSource(new URL(".", manifest)) });
};
console.log(JSON.stringify(await conformance(open)));
