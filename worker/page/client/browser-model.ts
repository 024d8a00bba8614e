import type { Delta } from "../../openai/wire/choice.ts";
import { AnswerError } from "./answer-error.ts";
import type { PageRequest } from "./page-request.ts";
import type { FromRunner, ToRunner } from "./runner-messages.ts";

/** The model in a Web Worker of this page. */
export class BrowserModel {
  readonly #worker = new Worker("/page/runner.js", { type: "module" });

  private constructor() {}

  /**
   * Fetches the engine and the model directory.
   *
   * @throws AnswerError with what went wrong; the signal's reason
   */
  static async load(
    context: number,
    onProgress: (loadedBytes: number, totalBytes: number) => void,
    signal: AbortSignal,
  ): Promise<BrowserModel> {
    const model = new BrowserModel();
    try {
      for await (const message of model.#ask({ type: "load", context }, signal))
        if (message.type === "progress") onProgress(message.loadedBytes, message.totalBytes);
      return model;
    } catch (error) {
      model.#worker.terminate();
      throw error;
    }
  }

  /**
   * Generates here; the same deltas as the endpoint streams.
   *
   * @throws AnswerError what the model refused; the signal's reason
   */
  async *generate(request: PageRequest, signal: AbortSignal): AsyncGenerator<Delta> {
    for await (const message of this.#ask({ type: "generate", request }, signal))
      if (message.type === "delta") yield message.delta;
  }

  /** What the worker answers, up to its end. Leaving the loop stops it. */
  async *#ask(message: ToRunner, signal: AbortSignal): AsyncGenerator<FromRunner> {
    const { port1: port, port2 } = new MessageChannel();
    const received: FromRunner[] = [];
    let wake = () => {};
    const receive = (answer: FromRunner) => {
      received.push(answer);
      wake();
    };
    const abort = () => wake();
    port.onmessage = ({ data }: MessageEvent<FromRunner>) => receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message || "the page's Web Worker could not be started";
      receive({ type: "failed", message: why, code: null, param: null });
    };
    signal.addEventListener("abort", abort);
    try {
      this.#worker.postMessage(message, [port2]);
      for (;;) {
        signal.throwIfAborted();
        const answer = received.shift();
        if (answer === undefined)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        else if (answer.type === "failed") throw new AnswerError(answer.message, answer.code, answer.param);
        else if (answer.type === "end") return;
        else yield answer;
      }
    } finally {
      signal.removeEventListener("abort", abort);
      port.postMessage("stop");
      port.close();
    }
  }
}
