/// <reference path="./jinja.d.ts" />

// A model's chat template (Jinja), rendered within bounds. It needs @huggingface/jinja, which the rest of the core does
// without: `edgeformer/chat` is an entry point of its own.

import { Environment, Template } from "@huggingface/jinja";
import { EdgeformerError } from "../errors.ts";
import { BoundedInterpreter, MAX_COST } from "./bounded-interpreter.ts";

/** Longest template that is read: the parser can take quadratic time. Those of tool-calling models have about 10,000. */
const MAX_TEMPLATE_CHARACTERS = 32_768;

/** Python's range, of a size that can be afforded. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  // A list would become a number by way of its text, which may be endless.
  if (![start, stop, step].every((bound) => typeof bound === "number"))
    throw new Error("range() takes numbers");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_COST)) throw new Error(`range(${start}, ${stop}, ${step}) is too long`);
  return Array.from({ length }, (_, i) => start + i * step);
}

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** Python's `strftime` of a date in UTC, in English: the same text on every machine. */
function strftime(date: Date, format: string): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const [month, day] = [MONTHS[date.getUTCMonth()]!, DAYS[date.getUTCDay()]!];
  const parts: Record<string, string> = {
    "%Y": String(date.getUTCFullYear()),
    "%y": two(date.getUTCFullYear() % 100),
    "%m": two(date.getUTCMonth() + 1),
    "%d": two(date.getUTCDate()),
    "%B": month,
    "%b": month.slice(0, 3),
    "%A": day,
    "%a": day.slice(0, 3),
    "%H": two(date.getUTCHours()),
    "%M": two(date.getUTCMinutes()),
    "%S": two(date.getUTCSeconds()),
    "%%": "%",
  };
  return format.replace(/%./g, (part) => parts[part] ?? part);
}

/** What a template raises about the messages, as opposed to what is wrong with it. */
class Refusal extends Error {}

const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: (message: unknown): never => {
    throw new Refusal(typeof message === "string" ? message.slice(0, 500) : "no reason is given");
  },
  // Templates ask whether these are none.
  tools: null,
  documents: null,
};

/** What a template is told. Names are Hugging Face's, because templates use them. */
export interface ChatTemplateValues {
  /** The conversation: `role`, `content`, and whatever else the template reads. */
  messages: readonly object[];
  /** Functions that the model may call, as JSON schemas. [none] */
  tools?: readonly object[] | null | undefined;
  /** End with what begins an answer. [true] */
  add_generation_prompt?: boolean | undefined;
  /** What `strftime_now` tells; a template without a date has no such function. [no date] */
  date?: Date | undefined;
  /** Anything else that a template may ask for, such as `enable_thinking`. */
  [name: string]: unknown;
}

/** A chat template, compiled. It sees the values that it is given and nothing else of JavaScript. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #text: string;

  /** @throws EdgeformerError `invalid_model` if it is no template */
  constructor(text: string) {
    this.#text = text;
    try {
      if (text.length > MAX_TEMPLATE_CHARACTERS)
        throw new Error(`it has ${text.length} characters, more than ${MAX_TEMPLATE_CHARACTERS}`);
      this.#template = new Template(text);
    } catch (cause) {
      throw this.#broken(cause);
    }
  }

  #broken(cause: unknown, hasDate = true): EdgeformerError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const clock = !hasDate && this.asksForDate ? " (strftime_now is there only if a date is given)" : "";
    return new EdgeformerError("invalid_model", `the chat template failed: ${reason.slice(0, 500)}${clock}`, {
      cause,
    });
  }

  /** Whether the text of a conversation may depend on the date. */
  get asksForDate(): boolean {
    return this.#text.includes("strftime_now");
  }

  /** Whether the template says what tools there are. */
  get asksForTools(): boolean {
    return /\btools\b/.test(this.#text);
  }

  /**
   * The text of a conversation.
   *
   * @param names `bos_token`, `eos_token` and the like, spelled out (`Tokenizer.namedTokens`)
   * @throws EdgeformerError `invalid_prompt` for what the template raises about the messages, `invalid_model` where it
   *   is at fault itself
   */
  render(values: ChatTemplateValues, names: ReadonlyMap<string, string> = new Map()): string {
    const { date, ...others } = values;
    const given = {
      add_generation_prompt: true,
      ...GLOBALS,
      ...(date && {
        strftime_now: (format: unknown) => strftime(date, typeof format === "string" ? format : ""),
      }),
      ...Object.fromEntries(names),
      ...others,
    };
    try {
      const environment = new Environment();
      for (const [name, value] of Object.entries(given))
        if (value !== undefined) environment.set(name, value);
      return String(new BoundedInterpreter(environment).run(this.#template.parsed).value);
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw this.#broken(cause, date !== undefined);
      throw new EdgeformerError(
        "invalid_prompt",
        `the chat template refuses these messages: ${cause.message}`,
        {
          param: "messages",
          cause,
        },
      );
    }
  }
}
