import type { Engine } from "./engine/engine.ts";
import { EdgeformerError } from "./errors.ts";
import type { Manifest } from "./format/manifest.ts";
import { type GenerateOptions, MAX_LOGPROBS, resolveOptions } from "./options.ts";
import { allAtOnce, type InParts } from "./parts.ts";
import type { Completion, GenerateChunk, GeneratedLogprob, Score, ScoreOptions } from "./results.ts";
import type { Scheduler } from "./serving/scheduler.ts";
import { Generation, Scoring, type Sequence } from "./serving/sequence.ts";
import type { Stepper } from "./serving/step.ts";
import { resolveSharing } from "./sharing.ts";
import type { EncodeOptions, Tokenizer } from "./text/tokenizer.ts";

/** What computes for a model. */
interface Machine {
  engine: Engine;
  stepper: Stepper;
}

/**
 * How long a sequence that waits for room rests between two looks: hundreds may wait, and to look after each step would
 * take as long as the step. Who has just come rests shortly, since most get in soon, and then longer and longer.
 */
const FIRST_REST_MS = 2;
const LONGEST_REST_MS = 20;
const NEXT_REST = 1.5;

/** Each time somebody looks who waits for room, a longer rest. */
function patience(): () => Promise<void> {
  let restMs = FIRST_REST_MS;
  return () =>
    new Promise((resolve) => {
      setTimeout(resolve, restMs);
      restMs = Math.min(LONGEST_REST_MS, NEXT_REST * restMs);
    });
}

/**
 * A loaded model. Generations started together share every step: each gets the text that it would get alone.
 *
 * Nothing in a step waits or calls back: whoever wants a result makes steps until it is there. That is what
 * Cloudflare's rule asks for, by which one request must not touch another's I/O.
 */
export class Model {
  readonly manifest: Manifest;
  /** Positions of the longest sequence, prompt and completion together. */
  readonly context: number;
  /** Undefined for a model without a tokenizer: it takes and gives token ids. */
  readonly tokenizer: Tokenizer | undefined;
  #machine: Machine | undefined;
  readonly #scheduler: Scheduler;
  readonly #fastForward: boolean;

  /** @internal loadModel makes it. */
  constructor(manifest: Manifest, machine: Machine, tokenizer: Tokenizer | undefined, fastForward = true) {
    this.manifest = manifest;
    this.#machine = machine;
    this.context = machine.engine.plan.context;
    this.tokenizer = tokenizer;
    this.#scheduler = machine.stepper.scheduler;
    this.#fastForward = fastForward;
  }

  /** Bytes of linear memory; constant from load to dispose(). */
  get memoryBytes(): number {
    return this.#live().engine.memoryBytes;
  }

  /** Calls into wasm so far. */
  get calls(): number {
    return this.#live().engine.calls;
  }

  /** Forward passes so far. */
  get steps(): number {
    return this.#scheduler.steps;
  }

  /** Whether there is anything to compute. */
  get busy(): boolean {
    return this.#scheduler.busy;
  }

  /**
   * Continues a prompt, a chunk per token. Leaving the loop early, or aborting the signal, frees everything.
   *
   * @throws EdgeformerError at the first chunk: `invalid_option`, `invalid_prompt`, `context_length_exceeded`;
   *   later: `aborted`, `disposed`
   */
  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GenerateChunk, void, undefined> {
    const { recipe } = this.manifest;
    const resolved = resolveOptions(options, recipe.vocabSize, this.manifest.generation);
    if (this.tokenizer === undefined && resolved.stop.length > 0)
      throw new EdgeformerError(
        "invalid_option",
        "stop strings need a model with a tokenizer; use stopTokenIds",
        { param: "stop" },
      );
    if (this.tokenizer === undefined && resolved.constraint !== undefined)
      throw new EdgeformerError("invalid_option", "a constraint needs a model with a tokenizer", {
        param: "constraint",
      });
    const ids = this.#promptIds(prompt);
    if (ids.length + resolved.maxTokens > this.context)
      throw new EdgeformerError(
        "context_length_exceeded",
        `the context is ${this.context} tokens; the prompt has ${ids.length} and ${resolved.maxTokens} more were asked for: shorten the prompt or lower maxTokens`,
      );

    const matcher = this.tokenizer && resolved.constraint?.matcher(this.tokenizer);
    const generation = new Generation(
      ids,
      resolved,
      recipe.eosTokenIds,
      this.tokenizer,
      matcher,
      this.#fastForward,
    );
    const { signal } = resolved;
    const rest = patience();
    this.#start(generation);
    let seen = this.#scheduler.steps;
    try {
      for (;;) {
        for (let chunk = generation.chunks.shift(); chunk !== undefined; chunk = generation.chunks.shift()) {
          yield chunk;
          if (signal?.aborted) break;
          if (chunk.finishReason !== null) return;
        }
        seen = await this.#advance(generation, seen, rest, signal);
      }
    } finally {
      this.#scheduler.remove(generation);
    }
  }

  /** The whole continuation at once; arguments and errors are generate()'s. */
  async complete(prompt: string | readonly number[], options: GenerateOptions = {}): Promise<Completion> {
    let text = "";
    const ids: number[] = [];
    const logprobs: GeneratedLogprob[] = [];
    for await (const chunk of this.generate(prompt, options)) {
      text += chunk.text;
      ids.push(...chunk.ids);
      logprobs.push(...(chunk.logprobs ?? []));
      if (chunk.finishReason !== null)
        return {
          text,
          ids,
          ...(options.logprobs === undefined ? {} : { logprobs }),
          ...(chunk.stopLogprob && { stopLogprob: chunk.stopLogprob }),
          finishReason: chunk.finishReason,
          usage: chunk.usage!,
        };
    }
    throw new EdgeformerError("aborted", "the generation ended without a reason");
  }

  /**
   * Log-probability of each token of a text, given those before it.
   *
   * @throws EdgeformerError `invalid_option`, `invalid_prompt`, `context_length_exceeded`, `aborted`, `disposed`
   */
  async score(text: string | readonly number[], options: ScoreOptions = {}): Promise<Score> {
    const top = options.topLogprobs ?? 0;
    if (!Number.isInteger(top) || top < 0 || top > MAX_LOGPROBS)
      throw new EdgeformerError(
        "invalid_option",
        `topLogprobs must be an integer from 0 to ${MAX_LOGPROBS}`,
        { param: "topLogprobs" },
      );
    const ids = this.#promptIds(text);
    const { vocabSize } = this.manifest.recipe;
    const scoring = new Scoring(ids, Math.min(top, vocabSize), resolveSharing(options));
    const rest = patience();
    this.#start(scoring);
    let seen = this.#scheduler.steps;
    try {
      while (!scoring.finished) seen = await this.#advance(scoring, seen, rest, options.signal);
      const { engine } = this.#live();
      return scoring.result((x) => engine.exp(x));
    } finally {
      this.#scheduler.remove(scoring);
    }
  }

  /**
   * The token ids of a prompt, as generate() and score() read it: those of its tokenizer, or BOS alone for an empty text,
   * which begins a new one.
   *
   * @throws EdgeformerError `invalid_prompt` for a model without a tokenizer
   */
  encodePrompt(text: string, options?: EncodeOptions): number[] {
    return allAtOnce(this.encodePromptInParts(text, options));
  }

  /** The same part by part: whoever goes through it can let others go on in between. */
  *encodePromptInParts(text: string, options?: EncodeOptions): InParts<number[]> {
    if (this.tokenizer === undefined)
      throw new EdgeformerError(
        "invalid_prompt",
        "this model has no tokenizer: give the prompt as token ids",
      );
    const ids = yield* this.tokenizer.encodeInParts(text, options);
    const { bosTokenId } = this.manifest.recipe;
    return ids.length === 0 && bosTokenId !== null ? [bosTokenId] : ids;
  }

  /** Gives the memory back. Generations that are under way fail with `disposed`. */
  dispose(): void {
    this.#machine = undefined;
  }

  #live(): Machine {
    if (this.#machine === undefined)
      throw new EdgeformerError("disposed", "the model was disposed; load it again");
    return this.#machine;
  }

  /** Checks a prompt and turns it into token ids. An empty text is the beginning of a new one: BOS. */
  #promptIds(prompt: string | readonly number[]): number[] {
    const { vocabSize } = this.manifest.recipe;
    if (typeof prompt !== "string" && !Array.isArray(prompt))
      throw new EdgeformerError("invalid_prompt", "the prompt must be a string or an array of token ids");
    const ids = typeof prompt === "string" ? this.encodePrompt(prompt) : [...prompt];
    if (ids.length === 0)
      throw new EdgeformerError("invalid_prompt", "the prompt is empty: it needs at least one token");
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== -1) {
      const id: unknown = ids[wrong];
      throw new EdgeformerError(
        "invalid_prompt",
        `prompt[${wrong}] is ${typeof id === "number" ? id : `of type ${typeof id}`}, not a token id of this model: they go from 0 to ${vocabSize - 1}`,
      );
    }
    if (ids.length > this.context)
      throw new EdgeformerError(
        "context_length_exceeded",
        `the prompt has ${ids.length} tokens, but the context is ${this.context}: shorten it`,
      );
    return ids;
  }

  #start(sequence: Sequence): void {
    this.#live();
    this.#scheduler.add(sequence);
  }

  /**
   * Waits for a step that somebody makes for everybody.
   *
   * @returns the steps so far, for the next call
   */
  async #advance(
    sequence: Sequence,
    seen: number,
    rest: () => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    if (signal?.aborted)
      throw new EdgeformerError("aborted", "the request was aborted", { cause: signal.reason });
    const { stepper } = this.#live();
    const steps = await stepper.advance(seen);
    if (sequence.error !== undefined) throw sequence.error;
    if (!sequence.finished && !stepper.scheduler.isRunning(sequence)) await rest();
    return steps;
  }
}
