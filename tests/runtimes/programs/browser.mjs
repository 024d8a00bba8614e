// Runs on a page and, being the same file, in a Web Worker.
import { compileEngine, fetchSource, loadModel } from "edgeformer";
import { conformance } from "./conformance.mjs";

async function run() {
  const module = await compileEngine(fetch("/engine.wasm"));
  return conformance((name) => loadModel({ module, source: fetchSource(`/models/${name}`) }));
}

if (typeof document === "undefined") run().then(postMessage);
else {
  globalThis.onMainThread = run;
  globalThis.inWorker = () =>
    new Promise((resolve, reject) => {
      const worker = new Worker("/browser.js", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
}
