import type { Facts } from "../shared/facts.ts";
import { element } from "./dom.ts";
import { ALTERNATIVES, type PageRequest } from "./page-request.ts";

/** Controls whose value is a number of the request under the same name. */
const NUMBERS = [
  "temperature",
  "top_p",
  "max_tokens",
  "seed",
  "top_k",
  "min_p",
  "repetition_penalty",
  "presence_penalty",
  "frequency_penalty",
] as const;

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

/** The form's fields. */
export class Settings {
  /** @param onChange called after the user changed anything */
  constructor(onChange: () => void) {
    const form = element<HTMLFormElement>("form");
    const prompt = element<HTMLTextAreaElement>("prompt");
    form.addEventListener("input", (event) => {
      if (event.target === input("seed")) input("vary").checked = false;
      showValues();
      onChange();
    });
    for (const button of document.querySelectorAll<HTMLButtonElement>(".starters button"))
      button.addEventListener("click", () => {
        prompt.value = button.textContent ?? "";
        prompt.focus();
        onChange();
      });
    showValues();
  }

  /** Fits ranges and fields to the model. */
  fit(facts: Facts): void {
    const most = Math.min(facts.maxTokens, facts.context - 1);
    input("max_tokens").max = String(most);
    for (const [name, value] of Object.entries(facts.generation)) input(name).value = String(value);
    element("key-row").hidden = !facts.needsKey;
    input("key").required = facts.needsKey;
    if (!facts.hasTokenizer) {
      element("prompt-label").textContent = "Begin with token ids";
      element<HTMLTextAreaElement>("prompt").value = "1, 2, 3";
      document.querySelector<HTMLElement>(".starters")!.hidden = true;
      input("stop_text").disabled = true;
    }
    showValues();
  }

  get key(): string {
    return input("key").value.trim();
  }

  /** Draws another seed, if the user wants a new one each time. */
  vary(): void {
    if (input("vary").checked) input("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  }

  request(facts: Facts): PageRequest {
    const text = element<HTMLTextAreaElement>("prompt").value;
    const numbers = Object.fromEntries(NUMBERS.map((name) => [name, Number(input(name).value)])) as Record<
      (typeof NUMBERS)[number],
      number
    >;
    const stop = input("stop_text").value;
    return {
      prompt: facts.hasTokenizer
        ? text
        : text
            .split(/[\s,]+/)
            .filter(Boolean)
            .map(Number),
      ...numbers,
      stop: stop === "" ? [] : [stop],
      logprobs: ALTERNATIVES,
    };
  }
}
