import type { ChatMessage } from "../../../src/chat.ts";
import { ChatTurn } from "./chat-turn.ts";
import { element, make, on, showError } from "./dom.ts";
import { ALTERNATIVES, type ChatFields } from "./page-request.ts";
import { saveChat, savedChat } from "./saved-chat.ts";
import { TokenDetail } from "./token-detail.ts";
import type { Surroundings, View } from "./view.ts";
import { Writer } from "./writer.ts";

/** Tokens of the shortest answer that is worth asking for. */
const SHORTEST = 8;

/** A conversation with a model that has a chat template. */
export class ChatView implements View {
  readonly #around: Surroundings;
  readonly #writer: Writer;
  readonly #prompt = element<HTMLTextAreaElement>("prompt");
  readonly #starters = [...element("welcome").querySelectorAll("button")];
  readonly #regenerateButton = make("button", "quiet", "Regenerate");
  readonly #detail = new TokenDetail();
  readonly #gap = make("li", "gap", "The context is full: the model no longer sees what is above.");
  #turns: ChatTurn[] = [];
  /** Turns at the beginning that no longer fit the context. */
  #forgotten = 0;
  /** How often the wanted length is halved, where a message leaves no room for it. */
  #halvings = 0;

  constructor(around: Surroundings) {
    this.#around = around;
    this.#writer = new Writer(around);
    this.#regenerateButton.id = "regenerate";
    this.#regenerateButton.setAttribute("type", "button");
    on(this.#regenerateButton, "click", () => void this.#regenerate());
    on(element("clear"), "click", () => this.#clear());
    on(element("probabilities"), "change", () => this.#explain());
    on(this.#prompt, "keydown", (event) => this.#key(event));
    for (const button of this.#starters) on(button, "click", () => void this.#ask(button.textContent));
    this.#restore();
    this.#explain();
    this.#arrange();
  }

  /** What the model is to answer; before the first turn, what the next one would be. */
  get #messages(): ChatMessage[] {
    const { system } = this.#around.settings;
    const seen = this.#turns.slice(this.#forgotten);
    const question = seen.pop()?.question ?? (this.#prompt.value.trim() || this.#starters[0]!.textContent);
    return [
      ...(system ? [{ role: "system", content: system }] : []),
      ...seen.flatMap((turn) => [
        { role: "user", content: turn.question },
        { role: "assistant", content: turn.answer.text },
      ]),
      { role: "user", content: question },
    ];
  }

  request(): ChatFields {
    const { facts, settings } = this.#around;
    const { format } = settings.schema;
    return {
      messages: this.#messages,
      max_completion_tokens: settings.maxTokens >> this.#halvings,
      ...settings.sampling,
      ...(facts.chat?.usesDate && { chat_template_date: new Date().toISOString().slice(0, 10) }),
      ...(format && { response_format: format }),
      logprobs: true,
      top_logprobs: ALTERNATIVES,
    };
  }

  submit(): void {
    const question = this.#prompt.value.trim();
    if (!question || this.#writer.isWriting) return;
    this.#prompt.value = "";
    void this.#ask(question);
  }

  stop(): void {
    this.#writer.stop();
  }

  /** Enter sends. Where there is no keyboard, it begins a line, and the button sends. */
  #key(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(hover: none)").matches)
      return;
    event.preventDefault();
    this.#prompt.form?.requestSubmit();
  }

  #turn(question: string): ChatTurn {
    const { facts, say } = this.#around;
    return new ChatTurn(question, facts.name, this.#detail, say);
  }

  async #ask(question: string): Promise<void> {
    if (this.#writer.isWriting) return;
    const forgotten = this.#forgotten;
    const turn = this.#turn(question);
    this.#turns.push(turn);
    await this.#answer(turn);
    if (turn.tokenCount > 0 || this.#turns.at(-1) !== turn) return;
    // Nothing came: what was said goes back to where it can be said again.
    this.#turns.pop();
    this.#forgotten = forgotten;
    this.#halvings = 0;
    this.#prompt.value ||= question;
    this.#arrange();
  }

  async #regenerate(): Promise<void> {
    const turn = this.#turns.at(-1);
    if (!turn || this.#writer.isWriting) return;
    const before = turn.saved;
    // The button goes while it writes; who pressed it finds the one that stops.
    const wasFocused = document.activeElement === this.#regenerateButton;
    const answer = this.#answer(turn);
    if (wasFocused) element("stop").focus();
    await answer;
    if (turn.tokenCount === 0) turn.restore(before);
  }

  /** Has the last turn answered. */
  async #answer(turn: ChatTurn): Promise<void> {
    this.#halvings = 0;
    let place = "";
    await this.#writer.write({
      verdict: turn.verdict,
      request: () => this.request(),
      makeRoom: () => this.#makeRoom(),
      begin: (name) => {
        place = name;
        turn.begin(!this.#around.settings.schema.isEmpty);
        this.#explain();
        this.#arrange();
      },
      add: (delta) => {
        // Who has scrolled up to read is left there.
        const follows = turn.endsAbove(element("composer"));
        turn.add(delta);
        if (follows) turn.showEnd();
      },
      end: ({ tokens, rate, first }, outcome) => {
        const notes = [
          `${tokens} tokens`,
          ...(rate ? [`${rate} a second`] : []),
          `first after ${first} ms`,
          place,
          ...(outcome === "stop" ? [] : [outcome === "length" ? "cut at the limit of tokens" : outcome]),
        ];
        turn.end(tokens > 0 ? notes.join(" · ") : "");
        if (outcome === "stop" && tokens === 0)
          showError("The model ended its answer before it began. Ask it in another way.");
        return outcome === "stopped" ? `Stopped after ${tokens} tokens.` : turn.answer.text;
      },
    });
    this.#arrange();
    this.#save();
  }

  /** Forgets the oldest turn, or asks for a shorter answer where only the last one is left. */
  #makeRoom(): boolean {
    if (this.#forgotten < this.#turns.length - 1) this.#forgotten++;
    else if (this.#around.settings.maxTokens >> (this.#halvings + 1) >= SHORTEST) this.#halvings++;
    else return false;
    this.#arrange();
    return true;
  }

  #explain(): void {
    const explains = element<HTMLInputElement>("probabilities").checked;
    element("turns").classList.toggle("sure", explains);
    element("legend").hidden = !explains;
    for (const turn of this.#turns) turn.explains = explains;
  }

  #clear(): void {
    this.stop();
    this.#turns = [];
    this.#forgotten = 0;
    showError();
    this.#save();
    this.#arrange();
    this.#prompt.focus();
    this.#around.say("A new conversation.");
  }

  /** Puts everything where it belongs now: turns, the gap after what is forgotten, the button under the last answer. */
  #arrange(): void {
    const entries = this.#turns.map((turn) => turn.element);
    if (this.#forgotten > 0) entries.splice(this.#forgotten, 0, this.#gap);
    element("turns").replaceChildren(...entries);
    element("welcome").hidden = entries.length > 0;
    element("clear").hidden = entries.length === 0;
    this.#regenerateButton.hidden = this.#writer.isWriting;
    this.#turns.at(-1)?.hold(this.#regenerateButton);
    this.#turns.at(-1)?.showEnd();
    this.#around.changed();
  }

  #save(): void {
    const turns = this.#turns.filter((turn) => turn.tokenCount > 0).map((turn) => turn.saved);
    saveChat({ fingerprint: this.#around.facts.fingerprint, turns, forgotten: this.#forgotten });
  }

  #restore(): void {
    const chat = savedChat(this.#around.facts.fingerprint);
    if (!chat) return;
    this.#forgotten = chat.forgotten;
    this.#turns = chat.turns.map((saved) => {
      const turn = this.#turn(saved.question);
      turn.restore(saved);
      return turn;
    });
  }
}
