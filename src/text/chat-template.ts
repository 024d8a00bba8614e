// A model's chat template (Jinja), rendered within bounds. It needs an interpreter, which the rest of the core does
// without: `edgeformer/chat` is an entry point of its own.

import { EdgeformerError } from "../errors.ts";
import { Jinja, ofText } from "./jinja/index.ts";

/** Longest template that is read. Those of tool-calling models have about 10,000. */
const MAX_TEMPLATE_CHARACTERS = 32_768;

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

/** Codes that stand for several others. */
const COMPOSED: Record<string, string> = {
  F: "%Y-%m-%d",
  T: "%H:%M:%S",
  D: "%m/%d/%y",
  R: "%H:%M",
};

/** Python's `strftime` of a date in UTC, in English: the same text on every machine. */
function strftime(date: Date, format: string): string {
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const [hour, weekday] = [date.getUTCHours(), date.getUTCDay()];
  const dayOfYear = (Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86_400_000;
  const numbers: Record<string, [number: number, digits: number]> = {
    Y: [year, 1],
    y: [year % 100, 2],
    m: [month + 1, 2],
    d: [day, 2],
    H: [hour, 2],
    I: [hour % 12 || 12, 2],
    M: [date.getUTCMinutes(), 2],
    S: [date.getUTCSeconds(), 2],
    j: [dayOfYear + 1, 3],
  };
  const texts: Record<string, string> = {
    B: MONTHS[month]!,
    b: MONTHS[month]!.slice(0, 3),
    A: DAYS[weekday]!,
    a: DAYS[weekday]!.slice(0, 3),
    p: hour < 12 ? "AM" : "PM",
    e: String(day).padStart(2),
    // A date without a zone has no name for it.
    Z: "",
    z: "",
    "%": "%",
  };
  const whole = format.replace(/%([FTDR])/g, (_, code: string) => COMPOSED[code]!);
  return whole.replace(/%(-?)([a-zA-Z%])/g, (part, short: string, code: string) => {
    const number = numbers[code];
    if (number === undefined)
      return texts[code]?.slice(short && code === "e" ? -String(day).length : 0) ?? part;
    return String(number[0]).padStart(short ? 1 : number[1], "0");
  });
}

/** What a template raises about the messages, as opposed to what is wrong with it. */
class Refusal extends Error {}

const GLOBALS = {
  raise_exception: ofText("raise_exception", (message) => {
    throw new Refusal(message.slice(0, 500));
  }),
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
  readonly #template: Jinja;
  readonly #text: string;

  /** @throws EdgeformerError `invalid_model` if it is no template */
  constructor(text: string) {
    this.#text = text;
    try {
      if (text.length > MAX_TEMPLATE_CHARACTERS)
        throw new Error(`it has ${text.length} characters, more than ${MAX_TEMPLATE_CHARACTERS}`);
      this.#template = new Jinja(text);
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
      ...(date && { strftime_now: ofText("strftime_now", (format) => strftime(date, format)) }),
      ...Object.fromEntries(names),
      ...others,
    };
    try {
      return this.#template.render(given);
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
