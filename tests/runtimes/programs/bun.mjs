import { compileEngine, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

const fileOf = (name) => Bun.file(new URL(import.meta.resolve(`edgeformer/${name}`)));
const module = await compileEngine(fileOf("engine.wasm").arrayBuffer());
const open = (name) =>
  loadModel({ module, source: { name, open: async (file) => fileOf(`models/${name}/${file}`).stream() } });
console.log(JSON.stringify(await conformance(open)));
