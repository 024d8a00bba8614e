import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { EdgeformerError, type Manifest } from "../../src/index.ts";
import { HttpError } from "../errors.ts";

/** Longest template that is read: the parser can take quadratic time. Templates of tool-calling models have about 10,000. */
const MAX_TEMPLATE_CHARACTERS = 32_768;

/**
 * What rendering may cost: one for each node that is evaluated, and more for large values. Conversations of 1000
 * messages stay below it. Templates that reached it took up to 0.2 s to do so.
 */
const MAX_COST = 400_000;
/** A turn of a loop, for which the interpreter makes a scope: 5 µs. */
const TURN_COST = 16;
/** Characters or entries of a value that cost as much as a node. */
const SIZE_PER_COST = 16;

/** A conversation as templates know it. */
export interface TemplateMessage {
  role: string;
  content: string;
  name?: string;
}

type Node = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;

function sizeOf({ value }: Value): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  // A number may become the length or the width of something.
  return typeof value === "number" ? Math.abs(value) : 0;
}

/** Jinja has no endless loops, but nested loops can take longer than any isolate lives. */
class BoundedInterpreter extends Interpreter {
  #cost = 0;
  /** What loops go over. */
  readonly #iterables = new Set<Node>();

  override evaluate(node: Node, environment: Environment): Value {
    if (node?.type === "For") this.#iterables.add(node.iterable?.lhs ?? node.iterable);
    const value = super.evaluate(node, environment);
    const size = sizeOf(value);
    this.#cost += 1 + (this.#iterables.has(node) ? size * TURN_COST : size / SIZE_PER_COST);
    if (!(this.#cost <= MAX_COST)) throw new Error("it does not come to an end");
    return value;
  }
}

/** Python's range, of a size that can be afforded. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_COST)) throw new Error(`range(${start}, ${stop}, ${step}) is too long`);
  return Array.from({ length }, (_, i) => start + i * step);
}

function raiseException(message: unknown): never {
  throw new HttpError(400, `The chat template refuses these messages: ${String(message).slice(0, 500)}`, {
    param: "messages",
    code: "invalid_value",
  });
}

const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: raiseException,
  // Templates ask whether these are none.
  tools: null,
  documents: null,
};

function broken(manifest: Manifest, cause: unknown): EdgeformerError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new EdgeformerError(
    "invalid_model",
    `model.json: the chat template of ${manifest.name} failed: ${reason.slice(0, 500)}`,
    { cause },
  );
}

/** Each model's template, or what is wrong with it. */
const compiled = new WeakMap<Manifest, Template | EdgeformerError>();

function compile(manifest: Manifest, text: string): Template | EdgeformerError {
  try {
    if (text.length > MAX_TEMPLATE_CHARACTERS)
      throw new Error(`it has ${text.length} characters, more than ${MAX_TEMPLATE_CHARACTERS}`);
    return new Template(text);
  } catch (cause) {
    return broken(manifest, cause);
  }
}

/**
 * The text that a model's chat template makes of a conversation, up to where the answer begins. A template sees
 * the values that it is given and nothing else of JavaScript. It has no `strftime_now`, so the same request gives the
 * same text tomorrow.
 *
 * @param text the template (`manifest.chat_template`)
 * @param tokens `bos_token` and `eos_token`, spelled out
 * @throws HttpError 400 what the template raises about the messages; EdgeformerError `invalid_model` where the
 *   template itself is wrong
 */
export function renderTemplate(
  manifest: Manifest,
  text: string,
  messages: TemplateMessage[],
  tokens: { bos_token: string; eos_token: string },
): string {
  const known = compiled.get(manifest);
  const template = known ?? compile(manifest, text);
  if (!known) compiled.set(manifest, template);
  if (template instanceof EdgeformerError) throw template;
  try {
    const environment = new Environment();
    const given = { ...GLOBALS, ...tokens, messages, add_generation_prompt: true };
    for (const [name, value] of Object.entries(given)) environment.set(name, value);
    return String(new BoundedInterpreter(environment).run(template.parsed).value);
  } catch (cause) {
    throw cause instanceof HttpError ? cause : broken(manifest, cause);
  }
}
