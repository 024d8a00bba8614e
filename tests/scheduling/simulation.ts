import type { Recipe } from "../../src/architectures/recipe.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { type GenerateOptions, resolveOptions } from "../../src/options.ts";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { Generation } from "../../src/serving/sequence.ts";
import { uniform } from "../reference/random.ts";

export interface Workload {
  requests: number;
  seed: number;
  /** Chance that a request is cancelled, at a random step after it came. */
  cancel: number;
  /** Guesses per step. They need sequences that run alone and repeat themselves: both come more often then. [0] */
  promptLookup?: number;
}

export interface Outcome {
  finished: number;
  cancelled: number;
  refused: number;
  cachedTokens: number;
  /** Tokens that came with others of their sequence in one step. */
  extraTokens: number;
  /** Most steps between two tokens of one stream. */
  largestGap: number;
  steps: number;
}

interface Visitor {
  generation: Generation;
  prompt: number[];
  options: GenerateOptions;
  leavesAt: number;
  tokens: number[];
  lastToken: number;
}

/**
 * Random arrivals, lengths, shared beginnings and cancellations, driven step by step; every text that is
 * finished is compared with the one that `oracle` makes of the request alone, from a cold cache.
 */
export class Simulation {
  readonly scheduler: Scheduler;
  private readonly random: () => number;
  private readonly beginnings: number[][];
  private readonly visitors = new Set<Visitor>();
  readonly outcome: Outcome = {
    finished: 0,
    cancelled: 0,
    refused: 0,
    cachedTokens: 0,
    extraTokens: 0,
    largestGap: 0,
    steps: 0,
  };

  constructor(
    private readonly engine: Engine,
    private readonly oracle: Engine,
    private readonly recipe: Recipe,
    private readonly workload: Workload,
  ) {
    const { promptLookup = 0 } = workload;
    this.scheduler = new Scheduler(engine, { maxQueue: 12, maxWaitSteps: 200, promptLookup });
    this.random = uniform(workload.seed);
    this.beginnings = Array.from({ length: 6 }, () => this.tokens(8 + this.below(24)));
  }

  private below(n: number): number {
    return Math.floor(this.random() * n);
  }

  private tokens(count: number): number[] {
    return Array.from({ length: count }, () => this.below(this.recipe.vocabSize));
  }

  /** What the request's tokens are when nobody else is there. */
  private alone(prompt: number[], options: GenerateOptions): number[] {
    const scheduler = new Scheduler(this.oracle, { promptLookup: 0 });
    const generation = new Generation(
      prompt,
      resolveOptions(options, this.recipe.vocabSize),
      this.recipe.eosTokenIds,
      undefined,
    );
    scheduler.add(generation);
    while (!generation.finished) scheduler.step();
    return generation.chunks.flatMap(({ ids }) => ids);
  }

  private arrive(): void {
    const context = this.engine.plan.context;
    const beginning = this.random() < 0.7 ? this.beginnings[this.below(this.beginnings.length)]! : [];
    const prompt = [...beginning, ...this.tokens(1 + this.below(8))].slice(0, context - 1);
    const options: GenerateOptions = {
      maxTokens: 1 + this.below(context - prompt.length),
      temperature: this.random() < 0.3 ? 0 : 1,
      topK: this.random() < 0.5 ? 40 : 0,
      topP: this.random() < 0.5 ? 0.9 : 1,
      repetitionPenalty: this.random() < 0.2 ? 1.3 : 1,
      seed: this.below(1000),
    };
    if (this.workload.promptLookup && this.random() < 0.5) options.logitBias = { 5: 100, 6: 97 };
    const generation = new Generation(
      prompt,
      resolveOptions(options, this.recipe.vocabSize),
      this.recipe.eosTokenIds,
      undefined,
    );
    try {
      this.scheduler.add(generation);
    } catch (error) {
      if (!(error instanceof EdgeformerError) || error.code !== "overloaded") throw error;
      this.outcome.refused++;
      return;
    }
    const leavesAt = this.random() < this.workload.cancel ? this.scheduler.steps + this.below(30) : Infinity;
    this.visitors.add({ generation, prompt, options, leavesAt, tokens: [], lastToken: -1 });
  }

  private attend(visitor: Visitor): void {
    const { generation, tokens } = visitor;
    const chunks = generation.chunks.splice(0);
    this.outcome.extraTokens += Math.max(0, chunks.length - 1);
    for (const chunk of chunks) {
      tokens.push(...chunk.ids);
      if (visitor.lastToken >= 0)
        this.outcome.largestGap = Math.max(this.outcome.largestGap, this.scheduler.steps - visitor.lastToken);
      visitor.lastToken = this.scheduler.steps;
    }
    if (generation.error !== undefined) {
      this.outcome.refused++;
      this.visitors.delete(visitor);
    } else if (generation.finished) {
      const expected = this.alone(visitor.prompt, visitor.options);
      if (JSON.stringify(tokens) !== JSON.stringify(expected))
        throw new Error(
          `seed ${this.workload.seed}: ${JSON.stringify(visitor)} gave ${tokens}, alone ${expected}`,
        );
      this.outcome.finished++;
      this.outcome.cachedTokens += generation.cachedTokens;
      this.visitors.delete(visitor);
    } else if (this.scheduler.steps >= visitor.leavesAt) {
      this.scheduler.remove(generation);
      this.outcome.cancelled++;
      this.visitors.delete(visitor);
    }
  }

  run(): Outcome {
    let coming = this.workload.requests;
    while (coming > 0 || this.visitors.size > 0) {
      // Quiet times and rushes take turns.
      const rush = Math.floor(this.scheduler.steps / 50) % 2 === 0;
      if (coming > 0 && this.below(rush ? 2 : this.workload.promptLookup ? 20 : 5) === 0) {
        this.arrive();
        coming--;
      }
      this.scheduler.step();
      for (const visitor of [...this.visitors]) this.attend(visitor);
    }
    this.outcome.steps = this.scheduler.steps;
    return this.outcome;
  }
}
