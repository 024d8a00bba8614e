import { type Delta, mergeDeltas } from "../../openai/wire/choice.ts";
import { make } from "./dom.ts";
import type { TokenDetail } from "./token-detail.ts";
import { TokenText } from "./token-text.ts";

/** A turn as it is kept: what was said, what was answered, and what is noted under it. */
export interface SavedTurn {
  question: string;
  answer: Delta;
  note: string;
  /** Whether the answer was held to JSON. [false] */
  isJson?: boolean;
}

/** What somebody said and what the model answered, as an entry of the conversation's list. */
export class ChatTurn {
  readonly question: string;
  readonly element = make("li", "turn");
  /** What the model's answer is compared with the server's in. */
  readonly verdict = make("p", "verdict");
  readonly #text: TokenText;
  readonly #foot = make("div", "foot");
  readonly #note = make("p", "note");
  #deltas: Delta[] = [];

  constructor(question: string, modelName: string, detail: TokenDetail, say: (text: string) => void) {
    this.question = question;
    const answer = make("div", "answer text");
    answer.setAttribute("role", "group");
    answer.setAttribute("aria-label", "Answer");
    const page = make("div", "page");
    page.append(answer);
    this.verdict.hidden = true;
    this.#foot.append(this.#note, this.verdict);
    this.element.append(
      make("h3", "unseen", "You"),
      make("p", "said", question),
      make("h3", "who", modelName),
      page,
      this.#foot,
    );
    this.#text = new TokenText(answer, detail, say);
  }

  /** The answer so far. */
  get answer(): Delta {
    return mergeDeltas(this.#deltas);
  }

  get tokenCount(): number {
    return this.#text.tokenCount;
  }

  get saved(): SavedTurn {
    const { shown: _, ...answer } = this.answer;
    const { isJson } = this.#text;
    return { question: this.question, answer, note: this.#note.textContent ?? "", isJson };
  }

  set explains(explains: boolean) {
    this.#text.explains = explains;
  }

  /** Empties the answer: another one begins, which `isJson` or is plain text. */
  begin(isJson: boolean): void {
    this.#deltas = [];
    this.#note.textContent = "";
    this.#text.begin("", isJson);
  }

  add(delta: Delta): void {
    this.#deltas.push(delta);
    this.#text.add(delta);
  }

  /** The answer is over; `note` says how it went. */
  end(note: string): void {
    this.#text.end();
    this.#note.textContent = note;
  }

  /** Puts back an answer that was given before. */
  restore({ answer, note, isJson = false }: SavedTurn): void {
    this.begin(isJson);
    this.add(answer);
    this.end(note);
  }

  /** Whether its end is not behind what stands at the bottom of the window. */
  endsAbove(bar: HTMLElement): boolean {
    const line = Number.parseFloat(getComputedStyle(this.element).lineHeight);
    return this.#foot.getBoundingClientRect().top <= bar.getBoundingClientRect().top + line;
  }

  /** Scrolls no further than it takes to see the end. */
  showEnd(): void {
    this.#foot.scrollIntoView({ block: "nearest" });
  }

  /** Puts a button under the answer. */
  hold(button: HTMLElement): void {
    this.verdict.before(button);
  }
}
