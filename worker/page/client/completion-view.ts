import { element, on } from "./dom.ts";
import { ALTERNATIVES, type CompletionFields } from "./page-request.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { TokenDetail } from "./token-detail.ts";
import { TokenText } from "./token-text.ts";
import type { Surroundings, View } from "./view.ts";
import { Writer, type Writing } from "./writer.ts";

/** A prompt and the text that continues it, for a model without a chat template. */
export class CompletionView implements View, Writing {
  readonly verdict = element("verdict");
  readonly #around: Surroundings;
  readonly #prompt = element<HTMLTextAreaElement>("prompt");
  readonly #text: TokenText;
  readonly #writer: Writer;

  constructor(around: Surroundings) {
    this.#around = around;
    this.#text = new TokenText(element("story"), new TokenDetail(), around.say);
    this.#writer = new Writer(around);
    for (const button of document.querySelectorAll<HTMLButtonElement>("#view .starters button"))
      on(button, "click", () => {
        this.#prompt.value = button.textContent ?? "";
        this.#prompt.focus();
        around.changed();
      });
    if (around.facts.hasTokenizer) return;
    element("prompt-label").textContent = "Begin with token ids";
    this.#prompt.value = "1, 2, 3";
    document.querySelector<HTMLElement>(".starters")!.hidden = true;
  }

  request(): CompletionFields {
    const { facts, settings } = this.#around;
    const text = this.#prompt.value;
    const ids = () =>
      text
        .split(/[\s,]+/)
        .filter(Boolean)
        .map(Number);
    return {
      prompt: facts.hasTokenizer ? text : ids(),
      max_tokens: settings.maxTokens,
      ...settings.sampling,
      logprobs: ALTERNATIVES,
    };
  }

  submit(): void {
    if (!this.#writer.isWriting) void this.#writer.write(this);
  }

  stop(): void {
    this.#writer.stop();
  }

  /** What was written is the reader's: nobody else cuts it. */
  makeRoom(): boolean {
    return false;
  }

  begin(place: string): void {
    const { prompt } = this.request();
    element("place").textContent = place;
    for (const id of ["rate", "first", "count"]) element(id).textContent = "–";
    this.#text.begin(typeof prompt === "string" ? prompt : `${prompt.join(" ")} `);
  }

  add(...[delta, { rate, first, tokens }]: Parameters<Writing["add"]>): void {
    this.#text.add(delta);
    if (rate) element("rate").textContent = String(rate);
    if (tokens === 0) return;
    element("first").textContent = `${first} ms`;
    element("count").textContent = String(tokens);
  }

  end({ rate }: Stopwatch, outcome: string | null): string {
    this.#text.end();
    const { tokenCount } = this.#text;
    if (outcome === "stopped") return `Stopped after ${tokenCount} tokens.`;
    return `${tokenCount} tokens${outcome === "stop" ? "; the model ended the text" : ""}. ${rate ?? "–"} tokens per second.`;
  }
}
