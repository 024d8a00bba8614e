import { EdgeformerError } from "../errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Batch, Outcomes } from "./stage.ts";
import type { Stepper } from "./step.ts";

/**
 * Stages one behind another that work at the same time, each on a batch of its own. Batches come back in the order
 * in which they were begun.
 */
export interface StageChain<Reply> {
  /** Connects the stages. What they held before is forgotten. */
  open(): Promise<void>;
  /** Sends a batch on its way. Rejects when a stage is away, or has lost what it held. */
  begin(batch: Batch): Promise<Reply>;
  /**
   * Answers the reads of a batch from what came back. Called in the order of the batches. What it throws is the error of
   * the sequences in that batch.
   */
  finish(batch: Batch, reply: Reply): Outcomes;
}

interface UnderWay<Reply> {
  batch: Batch;
  reply: Promise<Reply>;
}

/** Times in a row that a chain is opened again without a single token in between, before everybody gets the error. */
const MAX_LOSSES = 3;

/**
 * Steps on a chain of stages: as many batches are under way as the scheduler allows. Where a stage has lost what it
 * held, the chain is opened again and all sequences are read again from their tokens.
 *
 * Everybody who waits awaits one turn, so this needs a runtime where one request may await what another began: a
 * Durable Object, Node.js, a browser.
 */
export class Pipeline<Reply> implements Stepper {
  readonly scheduler: Scheduler;
  readonly #chain: StageChain<Reply>;
  readonly #pause: () => Promise<void>;
  readonly #underWay: UnderWay<Reply>[] = [];
  #isOpen = false;
  #losses = 0;
  #turn: Promise<void> | undefined;

  /** @param pause awaited in each turn, so that other work gets its own where the stages are in this isolate */
  constructor(scheduler: Scheduler, chain: StageChain<Reply>, pause: () => Promise<void>) {
    this.scheduler = scheduler;
    this.#chain = chain;
    this.#pause = pause;
  }

  async advance(): Promise<number> {
    this.#turn ??= this.#takeTurn().finally(() => {
      this.#turn = undefined;
    });
    await this.#turn;
    return this.scheduler.steps;
  }

  /** Fills the pipe and takes in what comes out of it first. */
  async #takeTurn(): Promise<void> {
    try {
      if (!this.#isOpen) await this.#chain.open();
      this.#isOpen = true;
      this.#send();
      await this.#receive();
    } catch (cause) {
      this.#lose(cause);
    }
    await this.#pause();
  }

  #send(): void {
    while (this.#underWay.length < this.scheduler.maxBatches) {
      const batch = this.scheduler.next();
      if (batch === undefined) return;
      const reply = this.#chain.begin(batch);
      // Whoever awaits it is told; after a loss nobody does.
      reply.catch(() => {});
      this.#underWay.push({ batch, reply });
    }
  }

  async #receive(): Promise<void> {
    const [oldest] = this.#underWay;
    if (oldest === undefined) return;
    const reply = await oldest.reply;
    this.#underWay.shift();
    if (oldest.batch.reads.length > 0) this.#losses = 0;
    let outcomes: Outcomes;
    try {
      outcomes = this.#chain.finish(oldest.batch, reply);
    } catch (error) {
      this.scheduler.fail(error);
      return;
    }
    this.scheduler.accept(outcomes);
  }

  /** Nothing that is under way will come back. */
  #lose(cause: unknown): void {
    this.#underWay.length = 0;
    this.#isOpen = false;
    this.#losses++;
    // A stage of another model or plan will not become the right one.
    const isFinal = cause instanceof EdgeformerError && cause.code !== "io";
    if (!isFinal && this.#losses <= MAX_LOSSES) this.scheduler.restart();
    else {
      this.#losses = 0;
      this.scheduler.failAll(isFinal ? cause : unavailable(cause));
    }
  }
}

function unavailable(cause: unknown): EdgeformerError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new EdgeformerError("io", `a stage of the model is away (${message}): try again later`, { cause });
}
