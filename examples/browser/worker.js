// The worker: loads the model once, then writes one story at a time.
import { compileEngine, EdgeformerError, fetchSource, loadModel } from "edgeformer";
import engineUrl from "edgeformer/engine.wasm?url";

const tell = (message) => postMessage({ type: "status", message });

// A zero timeout is held back to 4 ms by browsers; a message to oneself is not.
const { port1, port2 } = new MessageChannel();
const waiting = [];
port1.onmessage = () => waiting.shift()();
const pause = () =>
  new Promise((resolve) => {
    waiting.push(resolve);
    port2.postMessage(null);
  });

const loading = (async () =>
  loadModel({
    module: await compileEngine(fetch(engineUrl)),
    source: fetchSource(new URL(`${import.meta.env.BASE_URL}fable`, location.href)),
    onProgress: (loaded, total) => tell(`The model is loading: ${Math.round((100 * loaded) / total)} %`),
    pause,
  }))();

let current = new AbortController();

async function write(prompt) {
  current.abort();
  const mine = new AbortController();
  current = mine;
  const model = await loading;
  try {
    tell("Writing…");
    const options = { maxTokens: 200, temperature: 0.8, seed: 1, signal: mine.signal };
    for await (const { text } of model.generate(prompt, options)) postMessage({ type: "text", text });
    tell("Done.");
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    tell(error.code === "aborted" ? "Stopped." : error.message);
  }
  if (current === mine) postMessage({ type: "end" });
}

addEventListener("message", ({ data }) => {
  if (data.type === "stop") current.abort();
  if (data.type === "write") write(data.prompt);
});

loading.then(
  () => tell("Ready."),
  (error) => tell(error.message),
);
