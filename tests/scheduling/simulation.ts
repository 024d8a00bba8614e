import { EdgeformerError } from "../../src/errors.ts";
import type { GenerateOptions } from "../../src/options.ts";
import { type Capacity, Scheduler } from "../../src/serving/scheduler.ts";
import type { Generation } from "../../src/serving/sequence.ts";
import type { Batch, Stage } from "../../src/serving/stage.ts";
import { step } from "../../src/serving/step.ts";
import { uniform } from "../reference/random.ts";

/** What is simulated: a stage, and a way to ask what a request gives when nobody else is there. */
export interface System {
  capacity: Capacity;
  /** Positions of the longest sequence. */
  context: number;
  vocabSize: number;
  stage: Stage;
  generation(prompt: number[], options: GenerateOptions): Generation;
  /** Runs a generation to its end, without what is tested. */
  finish(generation: Generation): void;
}

export interface Workload {
  requests: number;
  seed: number;
  /** Chance that a request is cancelled, at a random step after it came. */
  cancel: number;
  /** Guesses per step. They need sequences that run alone and repeat themselves: both come more often then. [0] */
  promptLookup?: number;
  /** Chance that the stage throws instead of computing a batch, or after it. [0] */
  fault?: number;
  /** Whether requests have owners: one client asks for most, some ask now and then. [false] */
  owners?: boolean;
}

export interface Results {
  finished: number;
  cancelled: number;
  refused: number;
  /** Ended by a fault of the stage. */
  failed: number;
  cachedTokens: number;
  /** Tokens that came with others of their sequence in one step. */
  extraTokens: number;
  /** Sequences that entered a slot again after they had left one for others. */
  setBack: number;
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

class Fault extends Error {}

/**
 * Random arrivals, lengths, shared beginnings, cancellations and faults, driven step by step; every text that is
 * finished is compared with the one of the request alone, from a cold cache. When the stage throws, the sequences
 * with a row in that batch must fail, and no others.
 */
export class Simulation {
  readonly scheduler: Scheduler;
  readonly results: Results = {
    finished: 0,
    cancelled: 0,
    refused: 0,
    failed: 0,
    cachedTokens: 0,
    extraTokens: 0,
    setBack: 0,
    largestGap: 0,
    steps: 0,
  };
  readonly #system: System;
  readonly #workload: Workload;
  readonly #stage: Stage;
  readonly #random: () => number;
  readonly #beginnings: number[][];
  readonly #visitors = new Set<Visitor>();
  /** Sequences with rows in the batch that the stage has just failed at. */
  #hit = 0;

  constructor(system: System, workload: Workload) {
    const { promptLookup = 0, fault = 0, seed } = workload;
    this.#system = system;
    this.#workload = workload;
    this.scheduler = new Scheduler(system.capacity, { maxQueue: 10, maxWaitSteps: 200, promptLookup });
    this.#random = uniform(seed);
    this.#beginnings = Array.from({ length: 6 }, () => this.#tokens(8 + this.#below(24)));
    const chance = uniform(seed + 1);
    this.#stage = {
      run: (batch: Batch) => {
        this.results.setBack += batch.admissions.filter(({ drawn }) => drawn > 0).length;
        const fails = chance() < fault;
        const outcomes = fails && chance() < 0.5 ? [] : system.stage.run(batch);
        if (!fails) return outcomes;
        this.#hit = new Set(batch.rows.map(({ slot }) => slot)).size;
        throw new Fault();
      },
    };
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #tokens(count: number): number[] {
    return Array.from({ length: count }, () => this.#below(this.#system.vocabSize));
  }

  #arrive(): void {
    const { context } = this.#system;
    const beginning = this.#random() < 0.7 ? this.#beginnings[this.#below(this.#beginnings.length)]! : [];
    const prompt = [...beginning, ...this.#tokens(1 + this.#below(8))].slice(0, context - 1);
    const options: GenerateOptions = {
      maxTokens: 1 + this.#below(context - prompt.length),
      temperature: this.#random() < 0.3 ? 0 : 1,
      topK: this.#random() < 0.5 ? 40 : 0,
      topP: this.#random() < 0.5 ? 0.9 : 1,
      repetitionPenalty: this.#random() < 0.2 ? 1.3 : 1,
      seed: this.#below(1000),
    };
    if (this.#workload.owners) {
      const client = this.#random() < 0.7 ? 0 : 1 + this.#below(3);
      options.owner = { client: `client ${client}`, request: `request ${this.#below(1000)}` };
      options.cacheSalt = `client ${client}`;
    }
    if (this.#workload.promptLookup && this.#random() < 0.5) options.logitBias = { 5: 100, 6: 97 };
    const generation = this.#system.generation(prompt, options);
    try {
      this.scheduler.add(generation);
    } catch (error) {
      if (!(error instanceof EdgeformerError) || error.code !== "overloaded") throw error;
      this.results.refused++;
      return;
    }
    const leavesAt =
      this.#random() < this.#workload.cancel ? this.scheduler.steps + this.#below(30) : Infinity;
    this.#visitors.add({ generation, prompt, options, leavesAt, tokens: [], lastToken: -1 });
  }

  #attend(visitor: Visitor): void {
    const { generation, tokens } = visitor;
    const { steps } = this.scheduler;
    const chunks = generation.chunks.splice(0);
    this.results.extraTokens += Math.max(0, chunks.length - 1);
    for (const chunk of chunks) {
      tokens.push(...chunk.ids);
      if (visitor.lastToken >= 0)
        this.results.largestGap = Math.max(this.results.largestGap, steps - visitor.lastToken);
      visitor.lastToken = steps;
    }
    if (generation.error !== undefined) {
      if (generation.error instanceof Fault) this.results.failed++;
      else if (generation.error instanceof EdgeformerError && generation.error.code === "overloaded")
        this.results.refused++;
      else throw generation.error;
      this.#visitors.delete(visitor);
    } else if (generation.finished) {
      this.#compare(visitor);
      this.results.finished++;
      this.results.cachedTokens += generation.cachedTokens;
      this.#visitors.delete(visitor);
    } else if (steps >= visitor.leavesAt) {
      this.scheduler.remove(generation);
      this.results.cancelled++;
      this.#visitors.delete(visitor);
    }
  }

  #compare({ prompt, options, tokens }: Visitor): void {
    const alone = this.#system.generation(prompt, options);
    this.#system.finish(alone);
    const expected = alone.chunks.flatMap(({ ids }) => ids);
    if (tokens.join() !== expected.join())
      throw new Error(
        `seed ${this.#workload.seed}: ${JSON.stringify({ prompt, options })} gave ${tokens}, alone ${expected}`,
      );
  }

  run(): Results {
    let coming = this.#workload.requests;
    while (coming > 0 || this.#visitors.size > 0) {
      // Quiet times and rushes take turns.
      const rush = Math.floor(this.scheduler.steps / 50) % 2 === 0;
      if (coming > 0 && this.#below(rush ? 2 : this.#workload.promptLookup ? 20 : 5) === 0) {
        this.#arrive();
        coming--;
      }
      const failedBefore = this.results.failed;
      this.#hit = 0;
      step(this.scheduler, this.#stage);
      for (const visitor of [...this.#visitors]) this.#attend(visitor);
      if (this.results.failed - failedBefore !== this.#hit)
        throw new Error(`${this.results.failed - failedBefore} failed, ${this.#hit} were in the batch`);
    }
    this.results.steps = this.scheduler.steps;
    return this.results;
  }
}
