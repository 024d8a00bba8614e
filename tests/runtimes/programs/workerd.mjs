import { fetchSource, loadModel } from "edgeformer";
import engine from "edgeformer/engine.wasm";
import { conformance } from "./conformance.mjs";

export default {
  async fetch(_request, env) {
    const source = fetchSource("https://model/models/fable", (url) => env.FILES.fetch(url));
    const model = await loadModel({ module: engine, source, pause: () => scheduler.wait(0) });
    return Response.json(await conformance(model));
  },
};
