import type { Facts } from "../shared/facts.ts";
import { element, on } from "./dom.ts";
import type { SamplingFields } from "./page-request.ts";
import { SchemaField } from "./schema-field.ts";

/** Controls whose value is a number of the request under the same name. */
const NUMBERS = [
  "temperature",
  "top_p",
  "seed",
  "top_k",
  "min_p",
  "repetition_penalty",
  "presence_penalty",
  "frequency_penalty",
] as const;

/**
 * Where a chat begins, if the model has no settings of its own: what SmolLM2's authors use. At 0.7 a model of this size
 * wanders off within a sentence.
 */
const CHAT = { temperature: 0.2, top_p: 0.9 };

/** Tokens of an answer at most, until that is set otherwise: a page of text. */
const LONGEST_ANSWER = 512;

const input = (id: string) => element<HTMLInputElement>(id);

/** Shows each slider's value beside it, in words where a number says little. */
function showValues(): void {
  for (const output of document.querySelectorAll("output")) {
    const id = output.getAttribute("for") ?? "";
    const { value } = input(id);
    const shown = Number(value) === 0 ? (output.dataset.zero ?? value) : value;
    output.textContent = shown;
    input(id).setAttribute("aria-valuetext", shown);
  }
}

/** The controls beside the text: how the next one is to be chosen. */
export class Settings {
  readonly schema = new SchemaField();

  constructor(facts: Facts) {
    on(element("settings"), "input", (event) => {
      if (event.target === input("seed")) input("vary").checked = false;
      showValues();
    });
    this.#fit(facts);
    showValues();
  }

  /** Fits ranges and fields to the model. */
  #fit({ maxTokens, context, generation, needsKey, hasTokenizer, chat }: Facts): void {
    const tokens = input("max_tokens");
    tokens.max = String(Math.min(maxTokens, context - 1));
    // The other half of a small context is the conversation's.
    if (chat) tokens.value = String(Math.min(LONGEST_ANSWER, context >> 1));
    const start = { ...(chat && CHAT), ...generation };
    for (const [name, value] of Object.entries(start)) input(name).value = String(value);
    element("key-row").hidden = !needsKey;
    input("key").required = needsKey;
    input("stop_text").disabled = !hasTokenizer;
    for (const id of ["system-row", "form-row"]) element(id).hidden = !chat;
  }

  get key(): string {
    return input("key").value.trim();
  }

  /** What the model is told before everything else; empty for what its template says by itself. */
  get system(): string {
    return input("system").value.trim();
  }

  get maxTokens(): number {
    return Number(input("max_tokens").value);
  }

  /** Draws another seed, if the user wants a new one each time. */
  vary(): void {
    if (input("vary").checked) input("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  }

  get sampling(): SamplingFields {
    const numbers = Object.fromEntries(NUMBERS.map((name) => [name, Number(input(name).value)])) as Record<
      (typeof NUMBERS)[number],
      number
    >;
    const stop = input("stop_text").value;
    return { ...numbers, stop: stop === "" ? [] : [stop] };
  }
}
