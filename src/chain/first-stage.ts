import type { Engine } from "../engine/engine.ts";
import { EdgeformerError } from "../errors.ts";
import { EngineStage } from "../serving/engine-stage.ts";
import type { StageChain } from "../serving/pipeline.ts";
import type { Batch, Outcomes } from "../serving/stage.ts";
import type { StageLink } from "./stage-message.ts";

export interface FirstStageOptions {
  /** Layers of the first stage: 0 … to−1. */
  to: number;
  hiddenSize: number;
  version: string;
  /** Names the chain, where one stage serves several. */
  chain: string;
  /** Makes a name that no other session has. */
  newSession: () => string;
  /** The stage behind; undefined where there is one stage only. */
  next: StageLink | undefined;
}

/**
 * The first stage, and through it the chain: rows are embedded here, go through all stages, and come back as the hidden
 * states of those that somebody reads; head and sampler are here. So a tied embedding is kept once, the random
 * numbers and the penalties stay where the sequences are, and what comes back is a row for each token and never
 * the logits, which are 20 to 100 times as many bytes.
 */
export class FirstStage implements StageChain<Float32Array> {
  readonly #engine: Engine;
  readonly #options: FirstStageOptions;
  readonly #stage: EngineStage;
  #session = "";
  #batches = 0;

  constructor(engine: Engine, options: FirstStageOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#stage = new EngineStage(engine);
  }

  async open(): Promise<void> {
    const { next, version, chain, newSession } = this.#options;
    const session = newSession();
    await next?.open({ version, stage: 1, chain, session });
    this.#session = session;
    this.#batches = 0;
  }

  async begin(batch: Batch): Promise<Float32Array> {
    const { to, next, hiddenSize } = this.#options;
    const { admissions, rows, reads } = batch;
    const engine = this.#engine;
    this.#stage.enter(batch);
    engine.embed(rows.length);
    const left = next === undefined ? reads.length : rows.length;
    engine.blocks(0, to, rows.length, left);
    const hiddenStates = this.#take(left);
    if (next === undefined) return hiddenStates;
    const reply = await next.run({
      session: this.#session,
      number: this.#batches++,
      layer: to,
      tables: Int32Array.from(admissions.flatMap(({ slot, blocks }) => [slot, blocks.length, ...blocks])),
      rows: Int32Array.from(rows.flatMap(({ position, slot }) => [position, slot])),
      wanted: Int32Array.from(reads, ({ row }) => row),
      hiddenStates,
    });
    const expected = reads.length * hiddenSize;
    if (reply.length !== expected)
      throw new EdgeformerError(
        "io",
        `the last stage gave ${reply.length} hidden states in place of ${expected}`,
      );
    return reply;
  }

  finish(batch: Batch, hiddenStates: Float32Array): Outcomes {
    this.#engine.setHiddenStates(hiddenStates);
    return this.#stage.answer(batch);
  }

  /** A copy of the hidden states of the first `rows` rows. */
  #take(rows: number): Float32Array {
    const { hiddenSize } = this.#options;
    const hiddenStates = new Float32Array(rows * hiddenSize);
    for (let row = 0; row < rows; row++) hiddenStates.set(this.#engine.hiddenStates(row), row * hiddenSize);
    return hiddenStates;
  }
}
