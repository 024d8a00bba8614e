import type { Delta } from "../../openai/wire/choice.ts";
import { element, make, percent } from "./dom.ts";

interface Token {
  label: string;
  logprob: number;
  /** The likeliest tokens with their log-probabilities, most likely first. */
  top: [string, number][];
  /** First code point of the completion's text. */
  offset: number;
  span: HTMLElement;
}

/** Lowest probability of each of the five colours, surest first. */
const SURE = [0.9, 0.6, 0.3, 0.1, 0];

/** A token as it is shown on its own: what cannot be seen gets a sign. */
function visible(label: string): string {
  return label.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

/** A token as it is read aloud. */
function spoken(label: string): string {
  const text = label.trim();
  if (text) return `“${text}”`;
  return label.includes("\n") ? "line break" : "space";
}

/** The generated text: a span per token, and beside the one pointed at the alternatives that lost. */
export class Story {
  readonly #root = element("story");
  readonly #detail = element("detail");
  readonly #status: (text: string) => void;
  /** Code points of the completion so far. */
  #points: string[] = [];
  #tokens: Token[] = [];
  #current = -1;
  #pinned = false;

  /** @param status says something to those who listen instead of looking */
  constructor(status: (text: string) => void) {
    this.#status = status;
    const root = this.#root;
    root.addEventListener("pointerover", (event) => {
      const index = this.#indexOf(event.target);
      if (index !== -1 && !this.#pinned) this.#show(index);
    });
    root.addEventListener("pointerleave", () => {
      if (!this.#pinned && document.activeElement !== root) this.hide();
    });
    root.addEventListener("click", (event) => {
      const index = this.#indexOf(event.target);
      if (index === -1) return this.hide();
      this.#show(index);
      this.#pinned = true;
    });
    root.addEventListener("blur", () => this.hide());
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  get tokenCount(): number {
    return this.#tokens.length;
  }

  /** Clears the page and puts the prompt there. */
  begin(prompt: string): void {
    this.hide();
    this.#points = [];
    this.#tokens = [];
    this.#root.replaceChildren(make("span", "prompt", prompt));
    this.#root.setAttribute("aria-busy", "true");
    this.#root.tabIndex = 0;
  }

  add(delta: Delta): void {
    const last = Math.max(0, this.#tokens.length - 1);
    this.#points.push(...delta.text);
    delta.logprobs?.tokens.forEach((label, i) => {
      this.#addToken(delta, label, i);
    });
    // A model without a tokenizer has ids instead of text.
    if (!delta.tokenIds) this.#fill(last);
  }

  /** No more tokens come. */
  end(): void {
    this.#root.setAttribute("aria-busy", "false");
  }

  hide(): void {
    this.#pinned = false;
    this.#detail.hidden = true;
    this.#tokens[this.#current]?.span.classList.remove("current");
    this.#current = -1;
  }

  #addToken({ logprobs, tokenIds }: Delta, label: string, i: number): void {
    const logprob = logprobs?.token_logprobs[i] ?? 0;
    const top = Object.entries(logprobs?.top_logprobs[i] ?? {}).sort((a, b) => b[1] - a[1]);
    const probability = Math.exp(logprob);
    const span = make("span", `token p${5 - SURE.findIndex((least) => probability >= least)}`);
    if (tokenIds) span.textContent = `${tokenIds[i]} `;
    else if (label.includes("\n")) span.classList.add("newline");
    this.#tokens.push({ label, logprob, top, offset: logprobs?.text_offset[i] ?? 0, span });
    this.#root.append(span);
  }

  /** Gives tokens their text: each goes up to where the next one starts. */
  #fill(from: number): void {
    for (let i = from; i < this.#tokens.length; i++) {
      const { offset, span } = this.#tokens[i]!;
      const end = this.#tokens[i + 1]?.offset ?? this.#points.length;
      span.textContent = this.#points.slice(offset, end).join("");
    }
  }

  #indexOf(target: EventTarget | null): number {
    return this.#tokens.findIndex(({ span }) => span === target);
  }

  #key(event: KeyboardEvent): void {
    const last = this.#tokens.length - 1;
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = this.#current;
    const next = {
      ArrowRight: Math.min(here + 1, last),
      ArrowLeft: Math.max(here - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      this.#show(next);
      this.#pinned = true;
      this.#tokens[next]?.span.scrollIntoView({ block: "nearest" });
      this.#say(next);
    } else if (event.key === "Escape" && here !== -1) {
      event.stopPropagation();
      this.hide();
    }
  }

  #say(index: number): void {
    const { label, logprob, top } = this.#tokens[index]!;
    const others = top
      .filter(([other]) => other !== label)
      .slice(0, 3)
      .map(([other, value]) => `${spoken(other)} ${percent(Math.exp(value))}`);
    this.#status(
      `${spoken(label)}, ${percent(Math.exp(logprob))}. ${others.length > 0 ? `Instead of ${others.join(", ")}.` : ""}`,
    );
  }

  #show(index: number): void {
    this.#tokens[this.#current]?.span.classList.remove("current");
    this.#current = index;
    const token = this.#tokens[index]!;
    token.span.classList.add("current");
    this.#draw(token);
    this.#place(token.span);
  }

  #draw({ label, logprob, top }: Token): void {
    const head = make("p", "detail-head");
    head.append(make("b", "", visible(label)), make("span", "", percent(Math.exp(logprob))));
    const list = make("ol");
    let rest = 1;
    for (const [other, value] of top) {
      rest -= Math.exp(value);
      list.append(this.#row(visible(other), Math.exp(value), other === label));
    }
    if (rest > 0.0005) list.append(this.#row("all others", rest, false, "others"));
    this.#detail.replaceChildren(head, list, make("p", "hint", "Before temperature and filters."));
    this.#detail.hidden = false;
  }

  #row(label: string, probability: number, drawn: boolean, className = ""): HTMLElement {
    const row = make("li", drawn ? "drawn" : className);
    const bar = make("span", "bar");
    const fill = make("i");
    fill.style.width = `${Math.max(probability * 100, 0.5)}%`;
    bar.append(fill);
    row.append(make("span", "label", label), bar, make("span", "value", percent(probability)));
    return row;
  }

  /** Puts the alternatives under the token, over it where there is no room, never past the text's edges. */
  #place(span: HTMLElement): void {
    const page = this.#detail.parentElement!.getBoundingClientRect();
    const box = span.getClientRects()[0] ?? span.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#detail;
    const left = Math.max(0, Math.min(box.left - page.left, page.width - width));
    const below = box.bottom + height + 12 < window.innerHeight || box.top < height + 12;
    const top = below ? box.bottom - page.top + 6 : box.top - page.top - height - 6;
    this.#detail.style.left = `${left}px`;
    this.#detail.style.top = `${top}px`;
  }
}
