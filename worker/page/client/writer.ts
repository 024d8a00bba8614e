import type { Delta } from "../../openai/wire/choice.ts";
import { explain, isContextFull, isFormRefused, isKeyRefused } from "./answer-error.ts";
import { element, on, showError } from "./dom.ts";
import type { PageRequest } from "./page-request.ts";
import type { Place } from "./place.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { Surroundings } from "./view.ts";

/** A text to be written. */
export interface Writing {
  /** The request as it is now. */
  request(): PageRequest;
  /** Changes the request so that it needs less of the context; false where it cannot. */
  makeRoom(): boolean;
  begin(place: Place["name"]): void;
  add(delta: Delta, watch: Stopwatch): void;
  /**
   * No more comes.
   *
   * @param outcome what the endpoint calls it, or how it ended otherwise
   * @returns what to say to those who listen instead of looking
   */
  end(watch: Stopwatch, outcome: Delta["finishReason"] | "stopped" | "failed"): string;
  /** Where the comparison with the server's text is told. */
  verdict: HTMLElement;
}

/** Writes one text at a time, by the buttons that begin and stop it. */
export class Writer {
  readonly #around: Surroundings;
  readonly #startButton = element<HTMLButtonElement>("generate");
  readonly #stopButton = element<HTMLButtonElement>("stop");
  #running: AbortController | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
    on(this.#stopButton, "click", () => this.stop());
  }

  get isWriting(): boolean {
    return this.#running !== undefined;
  }

  stop(): void {
    this.#running?.abort();
  }

  /** Writes a text to its end, and compares it with the server's if it was written elsewhere. */
  async write(writing: Writing): Promise<void> {
    const { settings, server, browser, say } = this.#around;
    const controller = new AbortController();
    const { signal } = controller;
    const place = browser.place ?? server;
    const watch = new Stopwatch();
    this.#setRunning(controller);
    showError();
    writing.verdict.hidden = true;
    settings.vary();
    writing.begin(place.name);
    say("Writing.");
    const received: Delta[] = [];
    try {
      const request = await this.#stream(writing, place, watch, received, signal);
      const outcome = received.at(-1)?.finishReason ?? null;
      say(writing.end(watch, outcome));
      if (place.showVerdict && outcome)
        say(await place.showVerdict(writing.verdict, request, received, server.generate, signal));
    } catch (error) {
      const told = writing.end(watch, signal.aborted ? "stopped" : "failed");
      if (signal.aborted) say(told);
      else if (isFormRefused(error)) settings.schema.refuse(explain(error));
      else showError(explain(error));
      if (isKeyRefused(error)) element("key").focus();
    } finally {
      this.#setRunning(undefined);
    }
  }

  /** Streams a text, making room in the context where there is none; gives the request that was taken. */
  async #stream(
    writing: Writing,
    place: Place,
    watch: Stopwatch,
    received: Delta[],
    signal: AbortSignal,
  ): Promise<PageRequest> {
    for (;;) {
      const request = writing.request();
      this.#around.changed();
      try {
        for await (const delta of place.generate(request, signal)) {
          signal.throwIfAborted();
          received.push(delta);
          watch.lap(delta.logprobs?.tokens.length ?? 0);
          writing.add(delta, watch);
        }
        return request;
      } catch (error) {
        if (!isContextFull(error) || received.length > 0 || !writing.makeRoom()) throw error;
      }
    }
  }

  /** Turns the buttons over; the focus goes along. */
  #setRunning(controller: AbortController | undefined): void {
    const [start, stop] = [this.#startButton, this.#stopButton];
    const focused = document.activeElement === start || document.activeElement === stop;
    this.#running = controller;
    start.hidden = controller !== undefined;
    stop.hidden = controller === undefined;
    this.#around.browser.locked = controller !== undefined;
    if (focused) (controller ? stop : start).focus();
  }
}
