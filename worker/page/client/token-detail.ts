import { make, percent } from "./dom.ts";

/** A generated token, as it is shown. */
export interface ShownToken {
  label: string;
  logprob: number;
  /** The likeliest tokens with their log-probabilities, most likely first. */
  top: [string, number][];
  span: HTMLElement;
}

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

function row(label: string, probability: number, drawn: boolean, className = ""): HTMLElement {
  const made = make("li", drawn ? "drawn" : className);
  const bar = make("span", "bar");
  const fill = make("i");
  fill.style.width = `${Math.max(probability * 100, 0.5)}%`;
  bar.append(fill);
  made.append(make("span", "label", label), bar, make("span", "value", percent(probability)));
  return made;
}

/** What a token's place could have held instead, in words. */
export function inWords({ label, logprob, top }: ShownToken): string {
  const others = top
    .filter(([other]) => other !== label)
    .slice(0, 3)
    .map(([other, value]) => `${spoken(other)} ${percent(Math.exp(value))}`);
  const instead = others.length > 0 ? `Instead of ${others.join(", ")}.` : "";
  return `${spoken(label)}, ${percent(Math.exp(logprob))}. ${instead}`;
}

/** The one box beside a token that shows the alternatives that lost to it. */
export class TokenDetail {
  readonly #box = make("div", "detail");
  #token: ShownToken | undefined;
  /** Whether it stays when the pointer goes elsewhere. */
  isPinned = false;

  constructor() {
    this.#box.id = "detail";
    this.#box.hidden = true;
  }

  /** The token that it belongs to. */
  get token(): ShownToken | undefined {
    return this.#token;
  }

  hide(): void {
    this.isPinned = false;
    this.#box.hidden = true;
    this.#token?.span.classList.remove("current");
    this.#token = undefined;
  }

  /** @param page the positioned element around the text */
  show(token: ShownToken, page: HTMLElement): void {
    this.#token?.span.classList.remove("current");
    this.#token = token;
    token.span.classList.add("current");
    this.#draw(token);
    page.append(this.#box);
    this.#place(token.span, page.getBoundingClientRect());
  }

  #draw({ label, logprob, top }: ShownToken): void {
    const head = make("p", "detail-head");
    head.append(make("b", "", visible(label)), make("span", "", percent(Math.exp(logprob))));
    const list = make("ol");
    let rest = 1;
    for (const [other, value] of top) {
      rest -= Math.exp(value);
      list.append(row(visible(other), Math.exp(value), other === label));
    }
    if (rest > 0.0005) list.append(row("all others", rest, false, "others"));
    this.#box.replaceChildren(head, list, make("p", "hint", "Before temperature and filters."));
    this.#box.hidden = false;
  }

  /** Puts the box under the token, over it where there is no room, never past the text's edges. */
  #place(span: HTMLElement, page: DOMRect): void {
    const box = [...span.getClientRects()].at(-1) ?? span.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#box;
    const left = Math.max(0, Math.min(box.left - page.left, page.width - width));
    const below = box.bottom + height + 12 < window.innerHeight || box.top < height + 12;
    const top = below ? box.bottom - page.top + 6 : box.top - page.top - height - 6;
    this.#box.style.left = `${left}px`;
    this.#box.style.top = `${top}px`;
  }
}
