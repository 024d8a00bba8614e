// The Web Worker of "Run in this browser". It runs the endpoint's engine with the endpoint's weights.
import { fetchSource, loadModel, type Model } from "../../../src/index.ts";
import { Choice } from "../../openai/wire/choice.ts";
import { generateOptions } from "../../openai/wire/generate-options.ts";
import type { PageRequest } from "./page-request.ts";
import type { FromRunner, ToRunner } from "./runner-messages.ts";

interface Scope {
  onmessage: ((event: MessageEvent<ToRunner>) => void) | null;
  postMessage(message: FromRunner): void;
}

const scope = globalThis as unknown as Scope;
const stops = new Map<number, AbortController>();
let loaded: Model | undefined;

/** Lets messages in between two steps. A nested zero timeout would cost 4 ms in every browser. */
function pauses(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return () =>
    new Promise((resolve) => {
      port1.onmessage = () => resolve();
      port2.postMessage(null);
    });
}

async function load(context: number): Promise<void> {
  loaded = await loadModel({
    module: await WebAssembly.compileStreaming(fetch("/page/engine.wasm")),
    source: fetchSource(new URL("/page/model/", location.origin)),
    context,
    maxSequences: 1,
    pause: pauses(),
    onProgress: (loadedBytes, totalBytes) => scope.postMessage({ type: "progress", loadedBytes, totalBytes }),
  });
  scope.postMessage({ type: "ready", memoryBytes: loaded.memoryBytes });
}

async function generate(model: Model, run: number, request: PageRequest): Promise<void> {
  const controller = new AbortController();
  stops.set(run, controller);
  const choice = new Choice(model.tokenizer, true);
  try {
    const { logprobs } = request;
    const options = { ...generateOptions(request), logprobs, signal: controller.signal };
    for await (const chunk of model.generate(request.prompt, options))
      scope.postMessage({ type: "delta", run, delta: choice.add(chunk) });
  } finally {
    stops.delete(run);
  }
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

scope.onmessage = ({ data }) => {
  if (data.type === "stop") stops.get(data.run)?.abort();
  else if (data.type === "load")
    load(data.context).catch((error) => scope.postMessage({ type: "failed", message: reason(error) }));
  else if (loaded)
    generate(loaded, data.run, data.request)
      .then(() => scope.postMessage({ type: "end", run: data.run }))
      .catch((error) => scope.postMessage({ type: "end", run: data.run, error: reason(error) }));
};
