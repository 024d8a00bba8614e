import { EdgeformerError } from "../errors.ts";
import { onlyToken } from "../only-token.ts";
import type { ResolvedOptions } from "../options.ts";
import type { FinishReason, GenerateChunk, GeneratedLogprob, Score, TokenLogprob } from "../results.ts";
import type { Owner, SharingOptions } from "../sharing.ts";
import { TextStream } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { certain, Restriction, type TokenMatcher } from "./restriction.ts";
import type { Draw, Outcome, Rating } from "./stage.ts";

/**
 * One run of tokens through the model, as the scheduler sees it. `ids` are the tokens so far; the first
 * `computed` of them have keys and values in the cache. The scheduler has the rest computed, asks what to do with
 * the logits of the positions from `wantedFrom` on, hands over what came of it, and goes on until `finished`.
 */
export interface Sequence {
  readonly ids: number[];
  computed: number;
  /** First position whose logits are still to be read, of those that `ids` has now. */
  readonly wantedFrom: number;
  /** Positions that the cache must be able to hold. */
  readonly capacity: number;
  /** Starts its random numbers: an integer from 0 to 2^64 − 1, as a number up to 2^53 − 1. */
  readonly seed: number | bigint;
  /** Random numbers that were drawn for it so far. [0] */
  readonly drawn?: number;
  /** Cached blocks are shared only among sequences with the same salt. [the empty one] */
  readonly cacheSalt?: string | undefined;
  /** Whose work it is. Sequences without an owner come in the order of their arrival. */
  readonly owner?: Owner | undefined;
  readonly finished: boolean;
  /** Positions at the front that came from the cache. */
  cachedTokens: number;
  /** Why it will never finish. */
  error: Error | undefined;
  /** How many of the tokens that are guessed to follow `ids` are worth a row, the first ones first. */
  admits(guesses: readonly number[]): number;
  /**
   * What to do with the logits of `position`. `guesses` are the tokens behind `ids` that are taken to have been
   * drawn by then.
   */
  read(position: number, guesses: readonly number[]): Draw | Rating;
  /** Takes the outcome of a read; they come in the order of their positions. What it throws ends the sequence. */
  accept(outcome: Outcome): void;
}

/**
 * Samples a continuation of a prompt. Where it is held to something, a token without an alternative is not drawn: it
 * joins the ids at once, and its row the next batch.
 */
export class Generation implements Sequence {
  readonly ids: number[];
  readonly promptTokens: number;
  readonly capacity: number;
  readonly seed: number | bigint;
  readonly cacheSalt: string | undefined;
  readonly owner: Owner | undefined;
  computed = 0;
  cachedTokens = 0;
  drawn = 0;
  error: Error | undefined;
  finished = false;
  /** Chunks that nobody has taken yet. */
  readonly chunks: GenerateChunk[] = [];
  readonly #options: ResolvedOptions;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #text: TextStream;
  readonly #stopIds: ReadonlySet<number>;
  /** How often each token was generated; 0 for those of the prompt alone. Kept only for penalties. */
  readonly #counts: Map<number, number> | undefined;
  /** How to draw a token, and how to draw one before `minTokens`. */
  readonly #draw: Draw;
  readonly #earlyDraw: Draw;
  readonly #restriction: Restriction | undefined;
  readonly #fastForward: boolean;
  /** Tokens that joined without being drawn. */
  #forced = 0;

  /**
   * @param prompt at least one token
   * @param eosTokenIds tokens that end the text, unless the options ignore them
   * @param tokenizer without one the chunks have no text
   * @param matcher what the text is held to, at its beginning
   * @param fastForward false draws tokens without an alternative like all others; the text is the same
   * @throws EdgeformerError `invalid_option` where the text can end before `minTokens` only
   */
  constructor(
    prompt: readonly number[],
    options: ResolvedOptions,
    eosTokenIds: readonly number[],
    tokenizer: Tokenizer | undefined,
    matcher?: TokenMatcher,
    fastForward = true,
  ) {
    this.ids = [...prompt];
    this.promptTokens = prompt.length;
    // The last token's keys are never needed, but a sequence of one token still takes a place.
    this.capacity = Math.max(1, prompt.length + options.maxTokens - 1);
    this.seed = options.seed;
    this.cacheSalt = options.cacheSalt;
    this.owner = options.owner;
    this.#options = options;
    this.#tokenizer = tokenizer;
    this.#text = new TextStream(options.stop);
    this.#stopIds = new Set([...options.stopTokenIds, ...(options.ignoreEos ? [] : eosTokenIds)]);

    const { temperature, topK, topP, minP, logitBias, logprobs } = options;
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = options;
    const penalized = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#counts = penalized ? new Map(prompt.map((id) => [id, 0])) : undefined;
    this.#draw = {
      kind: "draw",
      temperature,
      topK,
      topP,
      minP,
      penalties: this.#counts && {
        repetition: repetitionPenalty,
        presence: presencePenalty,
        frequency: frequencyPenalty,
        counts: this.#counts,
      },
      biases: logitBias,
      logprobs,
    };
    const excluded = [...this.#stopIds].map((id): [number, number] => [id, Number.NEGATIVE_INFINITY]);
    this.#earlyDraw = { ...this.#draw, biases: [...logitBias, ...excluded] };
    this.#restriction =
      matcher && new Restriction(matcher, options.ignoreEos ? [] : eosTokenIds, this.#stopIds);
    this.#fastForward = fastForward;
    if (options.maxTokens === 0) this.#finish("length", []);
    else if (this.#mustEnd()) this.#finish("stop", []);
    else this.#appendForced();
  }

  get #generated(): number {
    return this.ids.length - this.promptTokens;
  }

  get wantedFrom(): number {
    return this.ids.length - 1;
  }

  /** Behind a guess that leaves no choice nothing is drawn, so there it ends. */
  admits(guesses: readonly number[]): number {
    const later = this.#restriction?.clone();
    if (later === undefined) return guesses.length;
    const leavesChoice = (id: number) =>
      !this.#stopIds.has(id) && later.accept(id) && later.forced().length === 0 && !later.isComplete;
    const end = guesses.findIndex((id) => !leavesChoice(id));
    return end === -1 ? guesses.length : end;
  }

  read(_position: number, guesses: readonly number[]): Draw {
    const early = this.#generated + guesses.length < this.#options.minTokens;
    const unrestricted = early ? this.#earlyDraw : this.#draw;
    const mask = this.#maskBehind(guesses);
    const draw = mask === undefined ? unrestricted : { ...unrestricted, mask };
    if (draw.penalties === undefined || guesses.length === 0) return draw;
    const counts = new Map(draw.penalties.counts);
    for (const id of guesses) count(counts, id);
    return { ...draw, penalties: { ...draw.penalties, counts } };
  }

  /** The mask behind guesses that were admitted. */
  #maskBehind(guesses: readonly number[]): Uint32Array | undefined {
    if (this.#restriction === undefined || guesses.length === 0) return this.#restriction?.mask();
    const later = this.#restriction.clone();
    for (const id of guesses) later.accept(id);
    return later.mask();
  }

  /**
   * @throws EdgeformerError `invalid_model` when there was no token to draw, `invalid_option` when what the text is held
   *   to allows none
   */
  accept({ id, logprob, top }: Outcome): void {
    if (id < 0 && this.#restriction !== undefined)
      throw new EdgeformerError(
        "invalid_option",
        "no token could be drawn: the constraint, minTokens and stopTokenIds together allow none",
        { param: "constraint" },
      );
    if (id < 0)
      throw new EdgeformerError(
        "invalid_model",
        "no token could be drawn: every logit is −∞ or not a number; check minTokens and stopTokenIds, or the model's weights",
      );
    // A single possible token takes no random number.
    if (this.#restriction === undefined || onlyToken(this.#restriction.mask()) === undefined) this.drawn++;
    this.#take({ id, logprob, top });
    this.#appendForced();
  }

  /** Takes the tokens that come next without a choice, as if they had been drawn. */
  #appendForced(): void {
    if (this.#restriction === undefined || !this.#fastForward || this.finished) return;
    for (const id of this.#restriction.forced()) {
      this.#forced++;
      this.#take(certain(id, this.#options.logprobs));
      if (this.finished) return;
    }
  }

  /** Whether what the text is held to leaves nothing but its end. */
  #mustEnd(): boolean {
    if (!this.#restriction?.isComplete) return false;
    this.#refuseEarlyEnd();
    return true;
  }

  /** A constraint can end a text before the options allow it. */
  #refuseEarlyEnd(): void {
    const { minTokens } = this.#options;
    if (this.#generated < minTokens)
      throw new EdgeformerError(
        "invalid_option",
        `the constraint ends the text after ${this.#generated} tokens, before minTokens ${minTokens}`,
        { param: "minTokens" },
      );
  }

  #take({ id, logprob, top }: Outcome): void {
    const rated = logprob === undefined || top === undefined ? undefined : { id, logprob, top };
    if (this.#stopIds.has(id)) {
      this.#refuseEarlyEnd();
      this.#finish("stop", [], rated && { logprobs: [], stopLogprob: rated });
      return;
    }
    if (this.#restriction?.accept(id) === false)
      throw new Error(`token ${id} was drawn, which the constraint does not allow`);
    this.ids.push(id);
    if (this.#counts !== undefined) count(this.#counts, id);
    const early = this.#generated <= this.#options.minTokens && this.#options.minTokens > 0;
    const chunk: GenerateChunk = {
      text: this.#tokenizer === undefined ? "" : this.#text.push(this.#tokenizer.bytes(id), early),
      ids: [id],
      finishReason: null,
    };
    if (rated) chunk.logprobs = [rated];
    if (this.#text.stopped || this.#mustEnd()) this.#finish("stop", [id], chunk);
    else if (this.#generated === this.#options.maxTokens) this.#finish("length", [id], chunk);
    else this.chunks.push(chunk);
  }

  #finish(finishReason: FinishReason, ids: number[], chunk?: Partial<GenerateChunk>): void {
    this.finished = true;
    this.chunks.push({
      ...(chunk ?? (this.#options.logprobs === undefined ? {} : { logprobs: [] as GeneratedLogprob[] })),
      text: (chunk?.text ?? "") + this.#text.flush(),
      ids,
      finishReason,
      usage: {
        promptTokens: this.promptTokens,
        completionTokens: this.#generated,
        // The cache may have held forced tokens, too.
        cachedTokens: Math.min(this.cachedTokens, this.promptTokens),
        ...(this.#restriction && { forcedTokens: this.#forced }),
      },
    });
  }
}

function count(counts: Map<number, number>, id: number): void {
  counts.set(id, (counts.get(id) ?? 0) + 1);
}

/** Reads a text and collects the log-probability of each of its tokens. */
export class Scoring implements Sequence {
  /** The text without its last token, whose successor nobody asks about. */
  readonly ids: number[];
  readonly capacity: number;
  readonly seed = 0;
  readonly cacheSalt: string | undefined;
  readonly owner: Owner | undefined;
  computed = 0;
  cachedTokens = 0;
  error: Error | undefined;
  readonly #text: readonly number[];
  readonly #top: number;
  readonly #tokenLogprobs: number[] = [];
  readonly #topLogprobs: TokenLogprob[][] = [];

  /**
   * @param text at least one token
   * @param top alternatives to report for each token
   * @param sharing checked before
   */
  constructor(text: readonly number[], top: number, { cacheSalt, owner }: SharingOptions = {}) {
    this.#text = text;
    this.#top = top;
    this.cacheSalt = cacheSalt;
    this.owner = owner;
    this.ids = text.slice(0, -1);
    this.capacity = Math.max(1, this.ids.length);
  }

  get finished(): boolean {
    return this.#tokenLogprobs.length === this.ids.length;
  }

  admits(): number {
    return 0;
  }

  get wantedFrom(): number {
    return this.#tokenLogprobs.length;
  }

  read(position: number): Rating {
    return { kind: "rating", target: this.#text[position + 1]!, top: this.#top };
  }

  accept({ logprob, top }: Outcome): void {
    this.#tokenLogprobs.push(logprob!);
    this.#topLogprobs.push(top!);
  }

  /** @param exp e^x, the same bits on every runtime: the host's Math.exp is not */
  result(exp: (x: number) => number): Score {
    const count = this.#tokenLogprobs.length;
    const sum = this.#tokenLogprobs.reduce((total, logprob) => total + logprob, 0);
    return {
      ids: [...this.#text],
      tokenLogprobs: [null, ...this.#tokenLogprobs],
      topLogprobs: [null, ...this.#topLogprobs],
      perplexity: count === 0 ? 1 : exp(-sum / count),
    };
  }
}
