import { compileEngine, fetchSource, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

async function answer(request) {
  const { origin } = new URL(request.headers.get("x-files"));
  const model = await loadModel({
    module: await compileEngine(fetch(`${origin}/engine.wasm`)),
    source: fetchSource(`${origin}/models/fable`),
  });
  return Response.json(await conformance(model));
}

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
