import type { Delta } from "../../openai/wire/choice.ts";
import type { PageRequest } from "./page-request.ts";
import type { FromRunner, ToRunner } from "./runner-messages.ts";

/** The model in a Web Worker of this page. */
export class BrowserModel {
  readonly #worker: Worker;
  #runs = 0;
  readonly #listeners = new Set<(message: FromRunner) => void>();

  private constructor() {
    this.#worker = new Worker("/page/runner.js", { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromRunner>) => {
      for (const listener of this.#listeners) listener(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const message = event.message || "the page's Web Worker could not be started";
      for (const listener of this.#listeners) listener({ type: "failed", message });
    };
  }

  /**
   * Fetches the engine and the model directory.
   *
   * @throws Error with what went wrong
   */
  static async load(
    context: number,
    onProgress: (loadedBytes: number, totalBytes: number) => void,
  ): Promise<BrowserModel> {
    const model = new BrowserModel();
    try {
      await new Promise<void>((resolve, reject) => {
        model.#listeners.add((message) => {
          if (message.type === "progress") onProgress(message.loadedBytes, message.totalBytes);
          else if (message.type === "ready") resolve();
          else if (message.type === "failed") reject(new Error(message.message));
        });
        model.#send({ type: "load", context });
      });
    } catch (error) {
      model.#worker.terminate();
      throw error;
    }
    model.#listeners.clear();
    return model;
  }

  /** Generates here; the same deltas as the endpoint streams. */
  async *generate(request: PageRequest, signal: AbortSignal): AsyncGenerator<Delta> {
    const run = ++this.#runs;
    const received: FromRunner[] = [];
    let wake = () => {};
    const listener = (message: FromRunner) => {
      received.push(message);
      wake();
    };
    const stop = () => this.#send({ type: "stop", run });
    this.#listeners.add(listener);
    signal.addEventListener("abort", stop);
    try {
      this.#send({ type: "generate", run, request });
      for (;;) {
        for (let message = received.shift(); message; message = received.shift()) {
          signal.throwIfAborted();
          if (message.type === "failed") throw new Error(message.message);
          if (!("run" in message) || message.run !== run) continue;
          if (message.type === "delta") yield message.delta;
          else if (message.error === undefined) return;
          else throw new Error(message.error);
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (received.length > 0) resolve();
        });
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener("abort", stop);
      stop();
    }
  }

  #send(message: ToRunner): void {
    this.#worker.postMessage(message);
  }
}
