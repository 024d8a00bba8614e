import { compileEngine, fetchSource, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

async function answer(request) {
  const { origin } = new URL(request.headers.get("x-files"));
  const module = await compileEngine(fetch(`${origin}/engine.wasm`));
  const open = (name) => loadModel({ module, source: fetchSource(`${origin}/models/${name}`) });
  return Response.json(await conformance(open));
}

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
