import { createInterface, type Interface } from "node:readline";
import type { Writable } from "node:stream";
import type { Conversation } from "../conversation.ts";
import { EdgeformerError } from "../errors.ts";
import type { GenerateOptions } from "../options.ts";
import type { CliIo } from "./io.ts";
import { printAnswer } from "./print-answer.ts";

const HELP = `/reset          forget what was said
/system TEXT    tell the model TEXT before everything else; without TEXT nothing
/help           this list
/bye            end the conversation, as Ctrl-D does
Ctrl-C stops an answer. A message that begins with a slash is written with two.
`;

export interface ChatLoopOptions {
  generate: GenerateOptions;
  json: boolean;
}

/** A conversation at a terminal or along a pipe, a message a line. */
export class ChatLoop {
  readonly #conversation: Conversation;
  readonly #io: CliIo;
  readonly #options: ChatLoopOptions;
  readonly #isTerminal: boolean;
  /** Stops the answer that is being given. */
  #answering: AbortController | undefined;
  /** Ctrl-C was pressed while nothing was going on: once more ends the conversation. */
  #isWarned = false;

  constructor(conversation: Conversation, io: CliIo, options: ChatLoopOptions) {
    this.#conversation = conversation;
    this.#io = io;
    this.#options = options;
    this.#isTerminal = io.stdin?.isTTY === true && io.stdout.isTTY === true;
  }

  /** @throws EdgeformerError what the model throws, where no terminal is there to say it and go on */
  async run(signal: AbortSignal | undefined): Promise<void> {
    const { stdin, stdout, screen } = this.#io;
    if (!stdin) throw new EdgeformerError("invalid_option", "there is no standard input to read from");
    const lines = createInterface({
      input: stdin,
      prompt: "> ",
      ...(this.#isTerminal ? { output: screen as unknown as Writable, terminal: true } : { terminal: false }),
    });
    const end = () => {
      this.#answering?.abort();
      lines.close();
    };
    signal?.addEventListener("abort", end, { once: true });
    lines.on("SIGINT", () => this.#interrupt(lines));
    if (this.#isTerminal) this.#note("/help shows what there is besides talking.");
    this.#prompt(lines);
    try {
      for await (const line of lines) {
        this.#isWarned = false;
        if (!(await this.#take(line.trim()))) break;
        this.#prompt(lines);
      }
    } finally {
      signal?.removeEventListener("abort", end);
      lines.close();
    }
    if (this.#isTerminal) stdout.write("\n");
    if (signal?.aborted)
      throw new EdgeformerError("aborted", "the conversation was aborted", { cause: signal.reason });
  }

  #prompt(lines: Interface): void {
    if (this.#isTerminal) lines.prompt();
  }

  #note(text: string): void {
    this.#io.stderr.write(`[${text}]\n`);
  }

  #interrupt(lines: Interface): void {
    if (this.#answering) this.#answering.abort();
    else if (this.#isWarned) lines.close();
    else {
      this.#isWarned = true;
      this.#io.stdout.write("\n");
      this.#note("Ctrl-C again, Ctrl-D or /bye ends the conversation");
      this.#prompt(lines);
    }
  }

  /** Takes a line; false ends the conversation. */
  async #take(line: string): Promise<boolean> {
    if (line === "") return true;
    if (!line.startsWith("/") || line.startsWith("//")) {
      await this.#say(line.replace(/^\/\//, "/"));
      return true;
    }
    const [command = "", ...words] = line.split(/\s+/);
    switch (command) {
      case "/bye":
      case "/exit":
      case "/quit":
        return false;
      case "/reset":
        this.#conversation.reset();
        this.#note("nothing is remembered");
        return true;
      case "/system": {
        const text = line.slice(command.length).trim();
        this.#conversation.system = words.length === 0 ? undefined : text;
        this.#note(words.length === 0 ? "no system message" : `system message: ${text}`);
        return true;
      }
      case "/help":
        this.#io.stderr.write(HELP);
        return true;
      default:
        this.#note(`${command.slice(0, 40)} is no command; /help shows what there is`);
        return true;
    }
  }

  async #say(text: string): Promise<void> {
    const controller = new AbortController();
    this.#answering = controller;
    const { generate, json } = this.#options;
    const conversation = this.#conversation;
    try {
      const chunks = conversation.say(text, { ...generate, signal: controller.signal });
      const answer = await printAnswer(chunks, this.#io, json, () => {
        if (conversation.forgotten > 0)
          this.#note(`the context is full: the oldest ${conversation.forgotten} messages are forgotten`);
      });
      this.#note(`${answer.speed}${answer.isCut ? "; cut, for want of room" : ""}`);
    } catch (error) {
      if (controller.signal.aborted) {
        this.#io.stdout.write("\n");
        this.#note("stopped");
      } else if (this.#isTerminal && error instanceof EdgeformerError) this.#note(error.message);
      else throw error;
    } finally {
      this.#answering = undefined;
    }
  }
}
