import type { Delta } from "../../openai/wire/choice.ts";
import { make, on } from "./dom.ts";
import { JsonLayout } from "./json-layout.ts";
import { inWords, type ShownToken, type TokenDetail } from "./token-detail.ts";

interface Token extends ShownToken {
  /** First code point of the generated text. */
  offset: number;
}

/** Lowest probability of each of the five colours, surest first. */
const SURE = [0.9, 0.6, 0.3, 0.1, 0];

/** A generated text: a span per token, which the pointer and the arrow keys ask for its alternatives. */
export class TokenText {
  readonly #root: HTMLElement;
  readonly #detail: TokenDetail;
  readonly #status: (text: string) => void;
  #layout: JsonLayout | undefined;
  /** Code points of the generated text so far, each as it is shown. */
  #points: string[] = [];
  #tokens: Token[] = [];
  #explains = true;

  /**
   * @param root an element within a positioned one
   * @param status says something to those who listen instead of looking
   */
  constructor(root: HTMLElement, detail: TokenDetail, status: (text: string) => void) {
    this.#root = root;
    this.#detail = detail;
    this.#status = status;
    on(root, "pointerover", (event) => {
      const token = this.#tokenOf(event.target);
      if (token && !detail.isPinned) this.#show(token);
    });
    on(root, "pointerleave", () => {
      if (!detail.isPinned && document.activeElement !== root) detail.hide();
    });
    on(root, "click", (event) => {
      const token = this.#tokenOf(event.target);
      if (!token) return detail.hide();
      this.#show(token);
      detail.isPinned = true;
    });
    on(root, "blur", () => detail.hide());
    on(root, "keydown", (event) => this.#key(event));
  }

  get tokenCount(): number {
    return this.#tokens.length;
  }

  /** Whether its tokens can be asked for their alternatives. [true] */
  set explains(explains: boolean) {
    this.#explains = explains;
    if (explains) this.#root.tabIndex = 0;
    else this.#root.removeAttribute("tabindex");
    this.#detail.hide();
  }

  /** Whether it is laid out as JSON. */
  get isJson(): boolean {
    return this.#layout !== undefined;
  }

  /** Clears the text and puts what it continues there; what follows `isJson` or is plain text. */
  begin(prompt = "", isJson = false): void {
    this.#layout = isJson ? new JsonLayout() : undefined;
    this.#root.classList.toggle("json", isJson);
    this.#detail.hide();
    this.#points = [];
    this.#tokens = [];
    this.#root.replaceChildren(...(prompt ? [make("span", "prompt", prompt)] : []));
    this.#root.setAttribute("aria-busy", "true");
    this.explains = this.#explains;
  }

  add(delta: Delta): void {
    const last = Math.max(0, this.#tokens.length - 1);
    for (const point of delta.text) this.#points.push(this.#layout?.next(point) ?? point);
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

  #tokenOf(target: EventTarget | null): Token | undefined {
    return this.#explains ? this.#tokens.find(({ span }) => span === target) : undefined;
  }

  #key(event: KeyboardEvent): void {
    const last = this.#tokens.length - 1;
    if (last < 0 || !this.#explains || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = this.#tokens.indexOf(this.#detail.token as Token);
    const next = {
      ArrowRight: Math.min(here + 1, last),
      ArrowLeft: Math.max(here - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      const token = this.#tokens[next]!;
      this.#show(token);
      this.#detail.isPinned = true;
      token.span.scrollIntoView({ block: "nearest" });
      this.#status(inWords(token));
    } else if (event.key === "Escape" && here !== -1) {
      event.stopPropagation();
      this.#detail.hide();
    }
  }

  #show(token: Token): void {
    this.#detail.show(token, this.#root.parentElement!);
  }
}
