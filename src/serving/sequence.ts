import type { Engine } from "../engine/engine.ts";
import type { EdgeformerError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import type { FinishReason, GenerateChunk, GeneratedLogprob, Score, TokenLogprob } from "../results.ts";
import { TextStream } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * One run of tokens through the model, as the scheduler sees it. `ids` are the tokens so far; the first
 * `computed` of them have keys and values in the cache. The scheduler computes the rest, hands over the logits
 * of the positions from `wantedFrom` on, and goes on until `finished`.
 */
export interface Sequence {
  readonly ids: number[];
  computed: number;
  /** First position whose logits are read. */
  readonly wantedFrom: number;
  /** Positions that the cache must be able to hold. */
  readonly capacity: number;
  /** Seed of the random numbers. */
  readonly seed: number | bigint;
  finished: boolean;
  /** Positions at the front that came from the cache. */
  cachedTokens: number;
  /** Why it will never finish. */
  error: EdgeformerError | undefined;
  /** Takes the logits of `position`, which lie in `slot`; `sequence` is the sequence's slot in the engine. */
  consume(engine: Engine, slot: number, sequence: number, position: number): void;
}

/** Samples a continuation of a prompt. */
export class Generation implements Sequence {
  readonly ids: number[];
  readonly promptTokens: number;
  readonly capacity: number;
  readonly wantedFrom: number;
  readonly seed: number | bigint;
  computed = 0;
  cachedTokens = 0;
  error: EdgeformerError | undefined;
  finished = false;
  /** Chunks that nobody has taken yet. */
  readonly chunks: GenerateChunk[] = [];
  private readonly text: TextStream;
  /** How often each token was generated; 0 for those of the prompt alone. Kept only for penalties. */
  private readonly counts = new Map<number, number>();
  private readonly penalized: boolean;
  private readonly stopIds: Set<number>;

  constructor(
    prompt: readonly number[],
    private readonly options: ResolvedOptions,
    eosTokenIds: readonly number[],
    private readonly tokenizer: Tokenizer | undefined,
  ) {
    this.ids = [...prompt];
    this.promptTokens = prompt.length;
    // The last token's keys are never needed, but a sequence of one token still takes a place.
    this.capacity = Math.max(1, prompt.length + options.maxTokens - 1);
    this.wantedFrom = prompt.length - 1;
    this.seed = options.seed;
    this.text = new TextStream(options.stop);
    this.penalized =
      options.repetitionPenalty !== 1 || options.presencePenalty !== 0 || options.frequencyPenalty !== 0;
    if (this.penalized) for (const id of prompt) this.counts.set(id, 0);
    this.stopIds = new Set(options.stopTokenIds);
    if (!options.ignoreEos) for (const id of eosTokenIds) this.stopIds.add(id);
    if (options.maxTokens === 0) this.finish("length", []);
  }

  private get generated(): number {
    return this.ids.length - this.promptTokens;
  }

  consume(engine: Engine, slot: number, sequence: number): void {
    const { logprobs, temperature, topK, topP, minP } = this.options;
    const logSumExp = logprobs === undefined ? 0 : engine.logSumExp(slot);
    const top = logprobs === undefined ? [] : engine.topLogprobs(slot, logprobs, logSumExp);
    const before = this.adjust(engine, slot);
    const id = engine.sample(slot, sequence, temperature, topK, topP, minP);
    if (this.stopIds.has(id)) {
      this.finish("stop", []);
      return;
    }

    this.ids.push(id);
    if (this.penalized) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    const chunk: GenerateChunk = {
      text: this.tokenizer === undefined ? "" : this.text.push(this.tokenizer.bytes(id)),
      ids: [id],
      finishReason: null,
    };
    if (logprobs !== undefined) {
      const logit = before.get(id) ?? engine.logit(slot, id);
      chunk.logprobs = [{ id, logprob: logit - logSumExp, top }];
    }
    if (this.text.stopped) this.finish("stop", [id], chunk);
    else if (this.generated === this.options.maxTokens) this.finish("length", [id], chunk);
    else this.chunks.push(chunk);
  }

  /**
   * Applies penalties, biases and the minimum length to the logits.
   * @returns the logits that it changed, as they were; empty unless log-probabilities are reported
   */
  private adjust(engine: Engine, slot: number): Map<number, number> {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, minTokens } = this.options;
    const tooEarly = this.generated < minTokens ? this.stopIds : [];
    const biases = [...logitBias, ...[...tooEarly].map((id): [number, number] => [id, -Infinity])];
    const before = new Map<number, number>();
    if (this.options.logprobs !== undefined)
      for (const id of [...this.counts.keys(), ...biases.map(([id]) => id)])
        before.set(id, engine.logit(slot, id));
    if (this.penalized)
      engine.penalize(slot, this.counts, repetitionPenalty, presencePenalty, frequencyPenalty);
    if (biases.length > 0) engine.addBias(slot, biases);
    return before;
  }

  private finish(finishReason: FinishReason, ids: number[], chunk?: GenerateChunk): void {
    this.finished = true;
    this.chunks.push({
      ...(chunk ?? (this.options.logprobs === undefined ? {} : { logprobs: [] as GeneratedLogprob[] })),
      text: (chunk?.text ?? "") + this.text.flush(),
      ids,
      finishReason,
      usage: {
        promptTokens: this.promptTokens,
        completionTokens: this.generated,
        cachedTokens: this.cachedTokens,
      },
    });
  }
}

/** Reads a text and collects the log-probability of each of its tokens. */
export class Scoring implements Sequence {
  /** The text without its last token, whose successor nobody asks about. */
  readonly ids: number[];
  readonly capacity: number;
  readonly wantedFrom = 0;
  readonly seed = 0;
  computed = 0;
  cachedTokens = 0;
  error: EdgeformerError | undefined;
  finished: boolean;
  private readonly tokenLogprobs: (number | null)[] = [null];
  private readonly topLogprobs: (TokenLogprob[] | null)[] = [null];

  constructor(
    private readonly text: readonly number[],
    private readonly top: number,
  ) {
    this.ids = text.slice(0, -1);
    this.capacity = Math.max(1, this.ids.length);
    this.finished = this.ids.length === 0;
  }

  consume(engine: Engine, slot: number, _sequence: number, position: number): void {
    const logSumExp = engine.logSumExp(slot);
    this.tokenLogprobs.push(engine.logit(slot, this.text[position + 1]!) - logSumExp);
    this.topLogprobs.push(engine.topLogprobs(slot, this.top, logSumExp));
    this.finished = position === this.ids.length - 1;
  }

  result(engine: Engine): Score {
    const sum = this.tokenLogprobs.reduce<number>((total, logprob) => total + (logprob ?? 0), 0);
    return {
      ids: [...this.text],
      tokenLogprobs: this.tokenLogprobs,
      topLogprobs: this.topLogprobs,
      perplexity: this.ids.length === 0 ? 1 : engine.exp(-sum / this.ids.length),
    };
  }
}
