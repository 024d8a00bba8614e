import { fetchSource, loadModel } from "edgeformer";
import engine from "edgeformer/engine.wasm";
import { conformance } from "./conformance.mjs";

export default {
  async fetch(_request, env) {
    const open = (name) =>
      loadModel({
        module: engine,
        source: fetchSource(`https://model/models/${name}`, (url) => env.FILES.fetch(url)),
        pause: () => scheduler.wait(0),
      });
    return Response.json(await conformance(open));
  },
};
